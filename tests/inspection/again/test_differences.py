"""What two answers differ in: nothing that differs by nature, everything else in a line."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.inspection.again.differences import differences
from ferryman.inspection.events import Facts, Fields
from ferryman.inspection.exchanges import Exchange, Message

BYTES = (("Content-Type", "application/octet-stream"),)
JSON = (("Content-Type", "application/json"),)


def exchange(body: bytes = b"{}", fields: Fields = JSON, status: int = 200) -> Exchange:
    facts: Facts = {"status": status, "type": dict(fields).get("Content-Type", "")}
    answer = Message(str(status), 0, 0, fields, facts, body, len(body))
    return Exchange(1, 1, "http/1.1", "l", "c", "e", None, answer)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (exchange(), exchange(), []),
        (exchange(), exchange(status=500), ["status: 200 → 500"]),
        (exchange(b'{"a": 1, "b": 2}'), exchange(b'{"b":2,"a":1}'), []),
        (
            exchange(b'{"a": [1, {"b c": 2}], "d": null}'),
            exchange(b'{"a": [1, {"b c": "2"}, 3], "e": true}'),
            [
                '$.a[1]["b c"]: 2 → "2"',
                "$.a[2]: (none) → 3",
                "$.d: null → (none)",
                "$.e: (none) → true",
            ],
        ),
        (exchange(b"1"), exchange(b"true"), ["$: 1 → true"]),
        (exchange(b"a\nb\n"), exchange(b"a\nc\n"), ["@@ -2 +2 @@", "- b", "+ c"]),
        (
            exchange(b"\0abc", BYTES),
            exchange(b"\0abd!", BYTES),
            ["body: 4 bytes → 5 bytes, different from byte 3 on"],
        ),
        (
            exchange(fields=(*JSON, ("Date", "1"), ("ETag", "x"))),
            exchange(fields=(*JSON, ("date", "2"), ("etag", "y"))),
            ["etag: x → y"],
        ),
        (
            exchange(fields=(*JSON, ("Set-Cookie", "[redacted]"))),
            exchange(fields=(*JSON, ("Set-Cookie", "s=1"))),
            [],
        ),
        (exchange(fields=JSON), exchange(fields=()), ["content-type: application/json → (none)"]),
        (exchange(fields=JSON, body=b"\x1b[2J"), exchange(b"x"), ["@@ -1 +1 @@", "- �[2J", "+ x"]),
    ],
)
def test_differences(before: Exchange, after: Exchange, said: list[str]) -> None:
    assert differences(before, after) == said


def test_bodies_are_compared_without_their_codings() -> None:
    coded = exchange(gzip.compress(b'{"a":1}'), (*JSON, ("Content-Encoding", "gzip")))
    assert differences(coded, exchange(b'{"a": 1}')) == []


def test_headers_may_be_left_out() -> None:
    before, after = exchange(fields=(*JSON, ("X", "1"))), exchange(fields=(*JSON, ("X", "2")))
    assert differences(before, after, {"x"}) == []


def test_a_body_that_was_cut_when_it_was_kept_is_not_compared() -> None:
    before = exchange(b'{"a"')
    assert before.answer is not None
    before = replace(before, answer=replace(before.answer, size=9))
    assert differences(before, exchange(b'{"a": 1}')) == []


def test_an_answer_that_is_not_whole_now_is_different() -> None:
    after = exchange()
    assert after.answer is not None
    after = replace(after, answer=replace(after.answer, error="cut off"))
    assert differences(exchange(), after) == ["the answer is not whole: cut off"]
    assert differences(exchange(), replace(after, answer=None)) == ["no answer: there was one"]


def test_there_are_no_more_lines_than_fit() -> None:
    before, after = (json.dumps([n] * 99).encode() for n in (1, 2))
    lines = differences(exchange(before), exchange(after))
    assert len(lines) == 21
    assert lines[-1] == "…"


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_any_two_bodies_differ_in_words_exactly_if_they_differ(was: bytes, now: bytes) -> None:
    lines = differences(exchange(was, ()), exchange(now, ()))
    assert was != now or not lines
    assert all(line.isprintable() for line in lines)
