"""RFC 6902's own examples (appendix A), then what Kubernetes adds: limits, kinds of errors."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.api.status import BadRequest, Invalid, TooLarge
from ferryman.registry.patches.json_patch import json_patch, same

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=3), inner),
    max_leaves=8,
)

# Title, document, patch, result.
APPLIES: list[tuple[str, Any, list[Any], Any]] = [
    (
        "A.1 adding an object member",
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": "qux"}],
        {"baz": "qux", "foo": "bar"},
    ),
    (
        "A.2 adding an array element",
        {"foo": ["bar", "baz"]},
        [{"op": "add", "path": "/foo/1", "value": "qux"}],
        {"foo": ["bar", "qux", "baz"]},
    ),
    (
        "A.3 removing an object member",
        {"baz": "qux", "foo": "bar"},
        [{"op": "remove", "path": "/baz"}],
        {"foo": "bar"},
    ),
    (
        "A.4 removing an array element",
        {"foo": ["bar", "qux", "baz"]},
        [{"op": "remove", "path": "/foo/1"}],
        {"foo": ["bar", "baz"]},
    ),
    (
        "A.5 replacing a value",
        {"baz": "qux", "foo": "bar"},
        [{"op": "replace", "path": "/baz", "value": "boo"}],
        {"baz": "boo", "foo": "bar"},
    ),
    (
        "A.6 moving a value",
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        "A.7 moving an array element",
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    (
        "A.8 testing a value: success",
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [
            {"op": "test", "path": "/baz", "value": "qux"},
            {"op": "test", "path": "/foo/1", "value": 2},
        ],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    (
        "A.10 adding a nested member object",
        {"foo": "bar"},
        [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
        {"foo": "bar", "child": {"grandchild": {}}},
    ),
    (
        "A.11 ignoring unrecognized elements",
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}],
        {"foo": "bar", "baz": "qux"},
    ),
    (
        "A.14 escape ordering",
        {"/": 9, "~1": 10},
        [{"op": "test", "path": "/~01", "value": 10}],
        {"/": 9, "~1": 10},
    ),
    (
        "A.16 adding an array value",
        {"foo": ["bar"]},
        [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}],
        {"foo": ["bar", ["abc", "def"]]},
    ),
    (
        "replacing the whole document",
        {"a": 1},
        [{"op": "replace", "path": "", "value": {"b": 2}}],
        {"b": 2},
    ),
    (
        "adding replaces a member that is there",
        {"a": 1},
        [{"op": "add", "path": "/a", "value": None}],
        {"a": None},
    ),
    (
        "copying copies",
        {"a": {"b": []}},
        [
            {"op": "copy", "from": "/a", "path": "/c"},
            {"op": "add", "path": "/c/b/-", "value": 1},
        ],
        {"a": {"b": []}, "c": {"b": [1]}},
    ),
    (
        "an empty key",
        {"": {"": 1}},
        [{"op": "replace", "path": "//", "value": 2}],
        {"": {"": 2}},
    ),
    (
        "moving to where it is",
        {"a": [1, 2]},
        [{"op": "move", "from": "/a/0", "path": "/a/0"}],
        {"a": [1, 2]},
    ),
    (
        "numbers are equal by value, whatever their spelling",
        {"a": 1.0},
        [{"op": "test", "path": "/a", "value": 1}],
        {"a": 1.0},
    ),
]

DOES_NOT_APPLY: list[tuple[str, Any, Any]] = [
    ("A.9 a test fails", {"baz": "qux"}, {"op": "test", "path": "/baz", "value": "bar"}),
    ("A.12 adding to what is not there", {"foo": 1}, {"op": "add", "path": "/baz/bat", "value": 1}),
    ("A.15 strings and numbers", {"~1": 10}, {"op": "test", "path": "/~01", "value": "10"}),
    ("true is not 1", {"a": 1}, {"op": "test", "path": "/a", "value": True}),
    ("removing what is not there", {"a": 1}, {"op": "remove", "path": "/b"}),
    ("removing everything", {"a": 1}, {"op": "remove", "path": ""}),
    ("replacing what is not there", {"a": 1}, {"op": "replace", "path": "/b", "value": 1}),
    ("beyond the end", {"a": [1]}, {"op": "add", "path": "/a/2", "value": 1}),
    ("a leading zero", {"a": [1, 2]}, {"op": "remove", "path": "/a/01"}),
    ("a negative index", {"a": [1, 2]}, {"op": "remove", "path": "/a/-1"}),
    ("after the last cannot be removed", {"a": [1]}, {"op": "remove", "path": "/a/-"}),
    ("into a number", {"a": 1}, {"op": "add", "path": "/a/b", "value": 1}),
    ("copying what is not there", {"a": 1}, {"op": "copy", "from": "/b", "path": "/c"}),
]  # fmt: skip

IS_NONE: list[tuple[str, Any]] = [
    ("no list", {}),
    ("no object", [1]),
    ("A.13 no such op", [{"op": "spam", "path": "/a", "value": 1}]),
    ("no op", [{"path": "/a"}]),
    ("no path", [{"op": "remove"}]),
    ("no value", [{"op": "add", "path": "/a"}]),
    ("no from", [{"op": "move", "path": "/a"}]),
    ("a relative path", [{"op": "remove", "path": "a"}]),
    ("a path that is none", [{"op": "remove", "path": 1}]),
    ("a bad escape", [{"op": "remove", "path": "/~2"}]),
    ("into itself", [{"op": "move", "from": "/a", "path": "/a/b"}]),
]


@pytest.mark.parametrize(
    ("document", "patch", "result"), [c[1:] for c in APPLIES], ids=[c[0] for c in APPLIES]
)
def test_a_patch_applies(document: Any, patch: list[Any], result: Any) -> None:
    before = deepcopy((document, patch))
    assert json_patch(document, patch) == result
    assert (document, patch) == before


@pytest.mark.parametrize(
    ("document", "operation"),
    [c[1:] for c in DOES_NOT_APPLY],
    ids=[c[0] for c in DOES_NOT_APPLY],
)
def test_a_patch_that_does_not_fit_is_invalid(document: Any, operation: Any) -> None:
    before = deepcopy(document)
    with pytest.raises(Invalid):
        json_patch(document, [{"op": "add", "path": "/first", "value": 1}, operation])
    assert document == before


@pytest.mark.parametrize("patch", [c[1] for c in IS_NONE], ids=[c[0] for c in IS_NONE])
def test_what_is_no_json_patch_is_a_bad_request(patch: Any) -> None:
    with pytest.raises(BadRequest):
        json_patch({"a": {}}, patch)


def test_a_patch_has_limits() -> None:
    with pytest.raises(TooLarge, match="10000"):
        json_patch({}, [{"op": "test", "path": "", "value": {}}] * 10_001)
    doubling = [{"op": "copy", "from": "/a", "path": "/a/-"}] * 60
    with pytest.raises(TooLarge, match="copy"):
        json_patch({"a": ["x"]}, doubling)


@given(JSON, JSON)
def test_replacing_the_root_gives_the_new_document(document: Any, new: Any) -> None:
    assert same(json_patch(document, [{"op": "replace", "path": "", "value": new}]), new)


@given(st.dictionaries(st.text("ab/~", max_size=3), JSON), st.text("ab/~", max_size=3), JSON)
def test_adding_and_removing_a_member_are_inverse(
    document: dict[str, Any], key: str, value: Any
) -> None:
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    added = json_patch(document, [{"op": "add", "path": pointer, "value": value}])
    assert same(added, {**document, key: value})
    removed = json_patch(added, [{"op": "remove", "path": pointer}])
    assert same(removed, {k: v for k, v in document.items() if k != key})
