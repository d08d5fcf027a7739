from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from ferryman.api import codec
from ferryman.api.status import BadRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


class Part(Struct, frozen=True, rename="camel", omit_defaults=True):
    part_name: str
    weight: int = 1


class Whole(Struct, frozen=True, rename="camel", omit_defaults=True):
    parts: tuple[Part, ...] = ()
    title: str = ""


def test_structs_and_plain_objects_convert_both_ways() -> None:
    whole = Whole(parts=(Part("a"), Part("b", 2)))
    plain = {"parts": [{"partName": "a"}, {"partName": "b", "weight": 2}]}
    assert codec.encode(whole) == plain
    assert codec.decode(Whole, plain) == whole


def test_unknown_fields_are_ignored_and_null_counts_as_left_out() -> None:
    plain = {"parts": None, "title": None, "other": {"x": None}}
    assert codec.decode(Whole, plain) == Whole()


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(BadRequest, match=r"not a Whole: .*\$\.parts\[1\]\.weight"):
        codec.decode(Whole, {"parts": [{"partName": "a"}, {"partName": "b", "weight": "2"}]})


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b'"\\ud800"', b"NaN", b"1e999", b"[" * 100_000, b"{} {}"],
    ids=["empty", "open", "no UTF-8", "surrogate", "NaN", "huge", "deep", "two"],
)
def test_what_is_no_json_is_a_bad_request(data: bytes) -> None:
    with pytest.raises(BadRequest, match="not JSON"):
        codec.from_json(data)
    with pytest.raises(BadRequest, match="not JSON"):
        codec.duplicate_keys(data if data not in (b"NaN", b"1e999", b'"\\ud800"') else b"{")


@pytest.mark.parametrize("value", ["\ud800", {1j: 1}, object()])
def test_what_json_cannot_say_is_a_bad_request(value: object) -> None:
    with pytest.raises(BadRequest):
        codec.to_json(value)


def test_too_deep_a_value_is_a_bad_request() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(BadRequest, match="deep"):
        codec.to_json(value)
    while value:  # else its own deallocation is what runs deep
        (value,) = value  # type: ignore[assignment]


def test_keys_that_are_there_twice_are_found() -> None:
    data = b'{"a": 1, "b": {"c": 1, "c": 2}, "a": 3, "d": [{"e": 1, "e": 1}]}'
    assert codec.duplicate_keys(data) == ["c", "e", "a"]
    assert codec.duplicate_keys(b'{"a": {"b": 1}, "b": 1}') == []


@given(JSON)
def test_json_and_copies_are_faithful_and_ones_own(value: object) -> None:
    assert codec.from_json(codec.to_json(value)) == value
    copied = codec.copy(value)
    assert copied == value
    assert copied is not value or not isinstance(value, (dict, list))
