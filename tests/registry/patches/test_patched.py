"""What holds for every format of patches."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from ferryman.api.client import PatchType
from ferryman.api.status import BadRequest, UnsupportedMediaType
from ferryman.registry.patches import patched
from tests.support.object_client import WIDGET, widget


def kept() -> dict[str, Any]:
    obj = widget("a", parts=[{"name": "x"}])
    obj["metadata"] |= {"resourceVersion": "5", "uid": "u"}
    return obj


@pytest.mark.parametrize(
    ("patch_type", "body"),
    [
        ("merge", {"spec": {"replicas": 2}}),
        ("strategic", {"spec": {"replicas": 2}}),
        ("json", [{"op": "add", "path": "/spec/replicas", "value": 2}]),
    ],
)
def test_the_result_shares_nothing_with_the_document(patch_type: PatchType, body: Any) -> None:
    document = kept()
    result = patched(WIDGET, document, patch_type, body)
    assert result["spec"] == {"parts": [{"name": "x"}], "replicas": 2}
    result["metadata"]["labels"] = {}
    result["spec"]["parts"][0]["name"] = "y"
    assert document == kept()


def test_without_a_version_a_patch_is_for_the_one_that_is_there() -> None:
    body: dict[str, Any] = {"metadata": {"resourceVersion": None}}
    assert patched(WIDGET, kept(), "merge", body)["metadata"]["resourceVersion"] == "5"
    body = {"metadata": {"resourceVersion": "4"}}
    assert patched(WIDGET, kept(), "merge", body)["metadata"]["resourceVersion"] == "4"


@pytest.mark.parametrize(
    ("patch_type", "body"),
    [
        ("merge", []),
        ("merge", "x"),
        ("strategic", None),
        ("json", [{"op": "replace", "path": "", "value": 3}]),
        ("json", [{"op": "remove", "path": "/metadata"}]),
        ("json", [{"op": "replace", "path": "/metadata/namespace", "value": "west"}]),
        ("strategic", {"apiVersion": "v9"}),
    ],
)
def test_a_patch_must_leave_the_same_object(patch_type: PatchType, body: Any) -> None:
    document = kept()
    with pytest.raises(BadRequest):
        patched(WIDGET, document, patch_type, deepcopy(body))
    assert document == kept()


def test_server_side_apply_is_refused_in_words() -> None:
    with pytest.raises(UnsupportedMediaType, match="server-side apply is not supported"):
        patched(WIDGET, kept(), "apply", {})
