"""The examples of Kubernetes' own documents and tests, on a pod-like schema."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.api.status import BadRequest
from ferryman.registry.patches.merge_patch import merge_patch
from ferryman.registry.patches.strategic import strategic_patch


def by(key: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "array",
        "x-kubernetes-patch-strategy": "merge",
        "x-kubernetes-patch-merge-key": key,
        "items": {"type": "object", "properties": properties},
    }


SCHEMA = {
    "properties": {
        "containers": by("name", ports=by("containerPort"), env=by("name"), args={"type": "array"}),
        "tolerations": {"type": "array"},
        "finalizers": {"type": "array", "x-kubernetes-patch-strategy": "merge"},
        "volumes": {**by("name"), "x-kubernetes-patch-strategy": "merge,retainKeys"},
        "strategy": {"type": "object", "x-kubernetes-patch-strategy": "retainKeys"},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
        },
        "tags": {"type": "array", "x-kubernetes-list-type": "set"},
        "selectors": {"additionalProperties": by("name")},
    }
}


def named(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": name, **more} for name in names]


# Title, original, patch, result.
EXAMPLES: list[tuple[str, Any, Any, Any]] = [
    (
        "a container is added beside the others",
        {"containers": [{"name": "nginx", "image": "nginx-1.0"}]},
        {"containers": [{"name": "log-tailer", "image": "tailer-1.0"}]},
        {
            "containers": [
                {"name": "log-tailer", "image": "tailer-1.0"},
                {"name": "nginx", "image": "nginx-1.0"},
            ]
        },
    ),
    (
        "one container changes, deeply",
        {"containers": [{"name": "a", "env": named("x", "y", value="1")}, {"name": "b"}]},
        {"containers": [{"name": "a", "env": [{"name": "y", "value": "2"}]}]},
        {
            "containers": [
                {"name": "a", "env": [{"name": "x", "value": "1"}, {"name": "y", "value": "2"}]},
                {"name": "b"},
            ]
        },
    ),
    (
        "lists without a strategy are replaced",
        {"containers": [{"name": "a", "args": ["x", "y"]}], "tolerations": [{"key": "a"}]},
        {"containers": [{"name": "a", "args": ["z"]}], "tolerations": [{"key": "b"}]},
        {"containers": [{"name": "a", "args": ["z"]}], "tolerations": [{"key": "b"}]},
    ),
    (
        "$patch: replace of a list",
        {"containers": named("a", "b")},
        {"containers": [{"$patch": "replace"}, {"name": "c"}]},
        {"containers": named("c")},
    ),
    (
        "$patch: delete of an item",
        {"containers": named("a", "b", "c")},
        {"containers": [{"$patch": "delete", "name": "b"}]},
        {"containers": named("a", "c")},
    ),
    (
        "an item that is deleted and said again begins anew",
        {"containers": named("a", "b", image="old")},
        {"containers": [{"name": "a"}, {"$patch": "delete", "name": "a"}]},
        {"containers": [{"name": "a"}, {"name": "b", "image": "old"}]},
    ),
    (
        "$patch: replace of a map",
        {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
        {"strategy": {"$patch": "replace", "type": "Recreate"}},
        {"strategy": {"type": "Recreate"}},
    ),
    (
        "$patch: delete of a map",
        {"strategy": {"type": "Recreate"}, "x": 1},
        {"strategy": {"$patch": "delete"}},
        {"strategy": {}, "x": 1},
    ),
    (
        "$patch: merge is what happens anyway",
        {"strategy": {"a": 1}},
        {"strategy": {"$patch": "merge", "b": 2}},
        {"strategy": {"a": 1, "b": 2}},
    ),
    (
        "$retainKeys clears what it does not list",
        {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
        {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
        {"strategy": {"type": "Recreate"}},
    ),
    (
        "$retainKeys in an item of a list",
        {"volumes": [{"name": "v", "emptyDir": {}}]},
        {"volumes": [{"name": "v", "$retainKeys": ["name", "host"], "host": {"path": "/x"}}]},
        {"volumes": [{"name": "v", "host": {"path": "/x"}}]},
    ),
    (
        "null removes, in new maps too",
        {"a": {"b": 1, "c": 2}},
        {"a": {"b": None}, "new": {"x": None, "y": 1}},
        {"a": {"c": 2}, "new": {"y": 1}},
    ),
    (
        "primitive lists are sets that grow",
        {"finalizers": ["a", "b"], "tags": ["x"]},
        {"finalizers": ["b", "c", "c"], "tags": ["y"]},
        {"finalizers": ["a", "b", "c"], "tags": ["y", "x"]},
    ),
    (
        "$deleteFromPrimitiveList",
        {"finalizers": ["a", "b", "c"]},
        {"$deleteFromPrimitiveList/finalizers": ["b", "z"], "finalizers": ["d"]},
        {"finalizers": ["d", "a", "c"]},
    ),
    (
        "$setElementOrder, as kubectl apply sends it",
        {"containers": named("a", "b", "c")},
        {
            "$setElementOrder/containers": named("c", "d", "a"),
            "containers": [{"name": "d"}, {"$patch": "delete", "name": "b"}],
        },
        {"containers": named("c", "d", "a")},
    ),
    (
        "$setElementOrder alone, with an item that only the server knows",
        {"containers": named("a", "server", "b")},
        {"$setElementOrder/containers": named("b", "a")},
        {"containers": named("server", "b", "a")},
    ),
    (
        "$setElementOrder of primitives",
        {"finalizers": ["a", "b"]},
        {"$setElementOrder/finalizers": ["b", "a", "c"], "finalizers": ["c"]},
        {"finalizers": ["b", "a", "c"]},
    ),
    (
        "several keys tell items apart where the schema says so",
        {"parts": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]},
        {"parts": [{"port": 53, "protocol": "UDP", "name": "dns"}]},
        {
            "parts": [
                {"port": 53, "protocol": "TCP"},
                {"port": 53, "protocol": "UDP", "name": "dns"},
            ]
        },
    ),
    (
        "a key that the list has twice is kept twice",
        {"containers": [{"name": "a", "ports": [
            {"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]}]},
        {"containers": [{"name": "a", "ports": [{"containerPort": 53, "name": "dns"}]}]},
        {"containers": [{"name": "a", "ports": [
            {"containerPort": 53, "protocol": "TCP", "name": "dns"},
            {"containerPort": 53, "protocol": "UDP"}]}]},
    ),
    (
        "below additionalProperties the schema still counts",
        {"selectors": {"x": named("a", "b")}},
        {"selectors": {"x": [{"name": "a", "v": 1}]}},
        {"selectors": {"x": [{"name": "a", "v": 1}, {"name": "b"}]}},
    ),
    (
        "a new list sheds directives",
        {},
        {"containers": [*named("a"), {"$patch": "delete", "name": "b"}], "new": [{"k": None}]},
        {"containers": named("a"), "new": [{}]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("original", "patch", "result"), [c[1:] for c in EXAMPLES], ids=[c[0] for c in EXAMPLES]
)
def test_examples(original: Any, patch: Any, result: Any) -> None:
    before = deepcopy((original, patch))
    assert strategic_patch(original, patch, SCHEMA) == result
    assert (original, patch) == before


@pytest.mark.parametrize(
    "patch",
    [
        [],
        {"strategy": {"$patch": "explode"}},
        {"containers": [{"image": "x"}]},
        {"containers": ["x"]},
        {"$setElementOrder/containers": "x"},
        {"$setElementOrder/containers": ["x"], "containers": []},
        {"strategy": {"$retainKeys": ["a"], "b": 1}},
    ],
)
def test_what_is_no_strategic_patch_is_a_bad_request(patch: Any) -> None:
    with pytest.raises(BadRequest):
        strategic_patch({"containers": named("a")}, patch, SCHEMA)


VALUES = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text("ab", max_size=2), VALUES)
KEYED = st.lists(st.sampled_from("abcde"), unique=True).map(lambda names: named(*names))


@given(OBJECTS, OBJECTS)
def test_without_lists_it_is_a_merge_patch(document: Any, patch: Any) -> None:
    assert strategic_patch(document, patch, SCHEMA) == merge_patch(document, patch)


@given(KEYED, KEYED, st.permutations("abcde"))
def test_the_asked_for_order_holds_and_nothing_is_lost_or_doubled(
    before: list[Any], patch: list[Any], order: list[str]
) -> None:
    result = strategic_patch(
        {"containers": before},
        {"containers": patch, "$setElementOrder/containers": named(*order)},
        SCHEMA,
    )["containers"]
    names = [item["name"] for item in result]
    wanted = {item["name"] for item in (*before, *patch)}
    assert names == [name for name in order if name in wanted]


@given(KEYED, KEYED)
def test_a_strategic_patch_is_idempotent(before: list[Any], patch: list[Any]) -> None:
    once = strategic_patch({"containers": before}, {"containers": patch}, SCHEMA)
    assert strategic_patch(once, {"containers": patch}, SCHEMA) == once
