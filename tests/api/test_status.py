from __future__ import annotations

from typing import Any

import pytest

from ferryman.api import status
from ferryman.api.resource import Resource
from ferryman.errors import Conflict, Unavailable, UserError

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", True)
PODS = Resource("", "v1", "pods", "Pod", True)


def test_errors_speak_kubernetes_words() -> None:
    assert str(status.not_found(PODS, "x")) == 'pods "x" not found'
    assert str(status.already_exists(DEPLOYMENTS, "x")) == 'deployments.apps "x" already exists'
    assert str(status.stale(PODS, "x")).startswith('Operation cannot be fulfilled on pods "x": ')
    one, two = status.Cause("spec.a", "bad"), status.Cause("spec.b", "worse")
    assert str(status.invalid(PODS, "x", [one])) == 'Pod "x" is invalid: spec.a: bad'
    assert (
        str(status.invalid(DEPLOYMENTS, "x", [one, two]))
        == 'Deployment.apps "x" is invalid: [spec.a: bad, spec.b: worse]'
    )


@pytest.mark.parametrize(
    "error",
    [
        status.not_found(PODS, "x"),
        status.invalid(DEPLOYMENTS, "x", [status.Cause("spec.a", "bad", "FieldValueRequired")]),
        status.stale(PODS, "x"),
        status.already_exists(PODS, "x"),
        status.Expired("too old"),
        status.TooManyRequests("slower", details={"retryAfterSeconds": 1}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_goes_over_the_wire_and_comes_back(error: status.ApiError) -> None:
    said = error.to_status()
    assert (said["kind"], said["status"], said["code"]) == ("Status", "Failure", error.code)
    back = status.from_status(error.code, said)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert (back.details, back.causes) == (error.details, error.causes)


@pytest.mark.parametrize(
    ("code", "said", "cls"),
    [
        (404, {}, status.NotFound),
        (409, {}, status.StaleVersion),
        (409, {"reason": "AlreadyExists"}, status.AlreadyExists),
        (503, {"details": "nonsense"}, status.ServiceUnavailable),
        (418, {"reason": "Teapot"}, status.ApiError),
        (422, {"details": {"causes": [3, {"field": "a"}]}}, status.Invalid),
    ],
)
def test_any_answer_becomes_an_error(code: int, said: dict[str, Any], cls: type) -> None:
    assert type(status.from_status(code, said)) is cls


def test_errors_are_grouped_by_what_a_caller_can_do() -> None:
    assert issubclass(status.NotFound, UserError)
    assert issubclass(status.StaleVersion, Conflict)
    assert issubclass(status.AlreadyExists, Conflict)
    assert issubclass(status.Expired, Unavailable)
