"""Which form an answer has, and what a body is."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.api.status import NotAcceptable, UnsupportedMediaType
from ferryman.apiserver.negotiation import (
    Form,
    accepted,
    accepts_aggregated_discovery,
    body_type,
    patch_type,
)

KUBECTL_GET = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,"
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
KUBECTL_DISCOVERY = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
)
PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("", Form("json", "object")),
        ("*/*", Form("json", "object")),
        ("application/json", Form("json", "object")),
        ("application/json;stream=watch", Form("json", "object")),
        ("application/yaml", Form("yaml", "object")),
        ("application/vnd.kubernetes.protobuf,application/json", Form("json", "object")),
        ("text/html, */*;q=0.1", Form("json", "object")),
        ("application/json;q=0.5, application/yaml", Form("yaml", "object")),
        (KUBECTL_GET, Form("json", "table", "v1")),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", Form("json", "table", "v1beta1")),
        ("application/json;as=Table;v=v7;g=meta.k8s.io,application/json", Form()),
        ("application/json;as=Chair;v=v1;g=meta.k8s.io,application/json", Form()),
        (PARTIAL, Form("json", "metadata", "v1")),
    ],
)
def test_the_first_form_that_can_be_written_is_chosen(header: str, form: Form) -> None:
    assert accepted(header) == form


@pytest.mark.parametrize(
    "header",
    [
        "text/html",
        "application/vnd.kubernetes.protobuf",
        "application/json;q=0",
        "application/json;as=Table;v=v7;g=meta.k8s.io",
    ],
)
def test_what_cannot_be_written_is_not_acceptable(header: str) -> None:
    with pytest.raises(NotAcceptable):
        accepted(header)


@given(st.text())
def test_any_accept_header_has_an_answer(header: str) -> None:
    accepts_aggregated_discovery(header)
    with contextlib.suppress(NotAcceptable):
        assert isinstance(accepted(header), Form)


@pytest.mark.parametrize(
    ("header", "aggregated"),
    [
        (KUBECTL_DISCOVERY, True),
        ("application/json", False),
        ("", False),
        ("application/json, " + KUBECTL_DISCOVERY, False),
        (KUBECTL_DISCOVERY.replace("v=v2;", "v=v2beta1;"), False),
    ],
)
def test_discovery_is_aggregated_for_those_who_ask(header: str, aggregated: bool) -> None:
    assert accepts_aggregated_discovery(header) is aggregated


def test_bodies_are_json_yaml_or_protobuf_and_json_if_nothing_is_said() -> None:
    assert body_type("") == "json"
    assert body_type("application/json; charset=utf-8") == "json"
    assert body_type("Application/YAML") == "yaml"
    assert body_type("application/vnd.kubernetes.protobuf") == "protobuf"
    with pytest.raises(UnsupportedMediaType):
        body_type("text/plain")


def test_there_are_four_kinds_of_patch() -> None:
    assert patch_type("application/json-patch+json") == "json"
    assert patch_type("application/merge-patch+json") == "merge"
    assert patch_type("application/strategic-merge-patch+json; charset=utf-8") == "strategic"
    assert patch_type("application/apply-patch+yaml") == "apply"
    with pytest.raises(UnsupportedMediaType):
        patch_type("application/json")
