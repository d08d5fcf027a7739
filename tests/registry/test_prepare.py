"""What the conformance suite of ObjectClient does not reach: laws, and hostile metadata."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.api.kinds.relay import RELAY
from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.api.status import ApiError, BadRequest, Invalid, NotFound
from ferryman.registry.prepare import Stamp, prepare_create, prepare_status, prepare_update
from tests.support.object_client import ISLAND, WIDGET, island, widget

STAMP = Stamp("uid-1", "2026-01-01T12:00:00Z", "abcde")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 3),
        "colour": st.sampled_from(["red", "green"]),
        "parts": st.lists(st.sampled_from("ab"), unique=True).map(
            lambda names: [{"name": name} for name in names]
        ),
    },
)


def kept(obj: Object) -> Object:
    """As a store keeps it."""
    made = prepare_create(WIDGET, obj, STAMP)
    made["metadata"]["resourceVersion"] = "5"
    return made


@given(FIELDS, FIELDS)
def test_the_generation_moves_exactly_when_the_spec_does(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    old = kept(widget("a", **before))
    frozen = deepcopy(old)
    new = {**deepcopy(old), "spec": deepcopy(after)}
    result = prepare_update(WIDGET, old, new)
    changed = old["spec"] != result["spec"]
    assert result["metadata"]["generation"] == 1 + changed
    assert (result is old) == (not changed)
    assert old == frozen


@given(FIELDS)
def test_defaults_are_stable(fields: dict[str, Any]) -> None:
    once = kept(widget("a", **fields))
    assert prepare_update(WIDGET, once, deepcopy(once)) is once


@given(FIELDS, JSON)
def test_a_status_write_touches_the_status_only(fields: dict[str, Any], status: Any) -> None:
    old = kept(widget("a", **fields))
    frozen = deepcopy(old)
    new = {**deepcopy(old), "status": status, "spec": {"replicas": 77}}
    try:
        result = prepare_status(WIDGET, old, new)
    except Invalid:
        assert not isinstance(status, dict)
        return
    assert {k: v for k, v in result.items() if k != "status"} == frozen
    assert old == frozen


META_FIELDS = st.sampled_from(
    [
        "name", "generateName", "namespace", "labels", "annotations", "finalizers",
        "ownerReferences", "uid", "resourceVersion", "generation", "deletionTimestamp",
    ]
)  # fmt: skip
SPEC_FIELDS = st.sampled_from(
    ["ports", "target", "listen", "hosts", "port", "name", "address", "workload", "hold", "timeout"]
)
SPECS = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(SPEC_FIELDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(META_FIELDS, JSON), SPECS, st.sampled_from([WIDGET, ISLAND, RELAY]))
def test_no_input_is_a_crash(meta: dict[str, Any], spec: Any, kind: Kind) -> None:
    namespace = {"namespace": "east"} if kind is WIDGET else {}
    old = {"metadata": {"name": "a", "resourceVersion": "5", "uid": "u", **namespace}}
    for candidate in (meta, {"name": "a", "resourceVersion": "5", **namespace, **meta}):
        obj = {"metadata": candidate, "spec": spec}
        with suppress(ApiError):
            made = prepare_create(kind, deepcopy(obj), STAMP)
            assert made["metadata"]["uid"] == "uid-1"
        with suppress(ApiError):
            assert prepare_update(kind, old, obj)["metadata"]["uid"] == "u"


METADATA: list[tuple[str, Any, str]] = [
    ("no name", {"name": ""}, "name or generateName is required"),
    ("a long name", {"name": "a" * 254}, "no more than 253 bytes"),
    ("a name with a line end", {"name": "a\n"}, "RFC 1123 subdomain"),
    ("no namespace", {"namespace": None}, "metadata.namespace: Required value"),
    ("a bad namespace", {"namespace": "a.b"}, "RFC 1123 label"),
    ("a bad label", {"labels": {"a b": "c"}}, "name part must consist"),
    ("a bad label prefix", {"labels": {"A_/b": "c"}}, "prefix part must be"),
    ("a bad label value", {"labels": {"a": "-"}}, "a valid label must be"),
    ("a label that is no text", {"labels": {"a": 1}}, "must be a string"),
    ("labels that are none", {"labels": [1]}, "must be an object"),
    ("an annotation that is no text", {"annotations": {"a": 1}}, "must be a string"),
    ("huge annotations", {"annotations": {"a": "x" * 300_000}}, "Too long"),
    ("a bad finalizer", {"finalizers": ["a b"]}, "name part must consist"),
    ("both of the collector's", {"finalizers": ["orphan", "foregroundDeletion"]}, "cannot be both"),
    ("an owner without uid", {"ownerReferences": [{"kind": "X"}]}, "ownerReferences[0].uid"),
    (
        "two controllers",
        {
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "X", "name": n, "uid": n, "controller": True}
                for n in "ab"
            ]
        },
        "only one reference can have controller",
    ),
]


@pytest.mark.parametrize(("change", "why"), [c[1:] for c in METADATA], ids=[c[0] for c in METADATA])
def test_bad_metadata_is_invalid(change: dict[str, Any], why: str) -> None:
    obj = widget("a")
    obj["metadata"] |= change
    with pytest.raises(Invalid) as caught:
        prepare_create(WIDGET, obj, STAMP)
    assert any(why in str(cause) for cause in caught.value.causes)


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    obj = island("a")
    obj["metadata"]["namespace"] = "east"
    with pytest.raises(Invalid, match="not allowed on this type"):
        prepare_create(ISLAND, obj, STAMP)


@pytest.mark.parametrize(
    "obj", [None, [], "x", {"metadata": []}, {"metadata": {"name": 1}}, {"kind": 3}]
)
def test_what_is_no_object_is_a_bad_request(obj: Any) -> None:
    with pytest.raises(BadRequest):
        prepare_create(WIDGET, obj, STAMP)


def test_causes_are_limited_whatever_is_sent() -> None:
    obj = widget("a", parts=[{"name": i} for i in range(5000)])
    with pytest.raises(Invalid) as caught:
        prepare_create(WIDGET, obj, STAMP)
    assert len(caught.value.causes) == 100


def test_a_long_base_of_a_generated_name_is_cut() -> None:
    obj = widget("")
    obj["metadata"] |= {"name": "", "generateName": "x" * 100}
    assert prepare_create(WIDGET, obj, STAMP)["metadata"]["name"] == "x" * 58 + "abcde"


def test_a_kind_without_status_has_no_status_to_write() -> None:
    with pytest.raises(NotFound):
        prepare_status(ISLAND, island("a"), island("a"))


def test_empty_and_null_metadata_is_left_out() -> None:
    obj = widget("a", labels={}, finalizers=[], ownerReferences=[])
    obj["metadata"] |= {"annotations": None, "creationTimestamp": None}
    assert set(kept(obj)["metadata"]) == {
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "resourceVersion",
    }
