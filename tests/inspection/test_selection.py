"""--only and --grep between the sessions and a form: what comes through, and when."""

from __future__ import annotations

import gzip

import pytest

from ferryman.inspection import selection
from ferryman.inspection.events import Event, MessageBegan, MessageData, MessageEnded, Recognised
from ferryman.inspection.feed import DOWN, UP, Chunk, Closed, Missed, Noted, Opened
from ferryman.inspection.filters import Filter, grep
from ferryman.inspection.selection import Selection
from ferryman.inspection.session import Decoded, Seen
from tests.support.inspecting import Said, events, records, seen

BODY = gzip.compress(b"needle in a haystack")
TALK: Said = [
    (UP, b"GET /ok HTTP/1.1\r\nX-Trace: abc\r\n\r\n"),
    (DOWN, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    (UP, b"POST /bad HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"),
    (
        DOWN,
        b"HTTP/1.1 500 Oh\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        + BODY,
    ),
]


def chosen(only: str = "", pattern: str = "", said: Said = TALK) -> list[str]:
    """Titles of the messages that come through."""
    choice = Selection(Filter(only) if only else None, grep(pattern) if pattern else None)
    passed = [it for one in seen(records(said), raw=False) for it in choice.receive(one)]
    passed += choice.finish(0)
    began = [it.event for it in events(passed) if isinstance(it.event, MessageBegan)]
    ended = [it for it in events(passed) if isinstance(it.event, MessageEnded)]
    assert len(began) == len(ended)
    return [event.title for event in began]


@pytest.mark.parametrize(
    ("only", "pattern", "titles"),
    [
        ("", "", ["GET /ok", "200", "POST /bad", "500"]),
        ("method=POST", "", ["POST /bad", "500"]),
        ("status>=400", "", ["POST /bad", "500"]),
        ("status=200 or method=POST", "", ["GET /ok", "200", "POST /bad", "500"]),
        ("size<10", "", ["GET /ok", "200"]),
        ("connection=1 protocol=http/1.1 client~5001", "", ["GET /ok", "200", "POST /bad", "500"]),
        ("connection=2", "", []),
        ("header.x-trace=abc", "", ["GET /ok", "200"]),
        ("", "n..dle", ["POST /bad", "500"]),
        ("", "X-Trace: a", ["GET /ok", "200"]),
        ("", "^body$", ["POST /bad", "500"]),
        ("method=GET", "needle", []),
        ("", "nowhere", []),
    ],
)
def test_whole_exchanges_come_through_or_not(only: str, pattern: str, titles: list[str]) -> None:
    assert chosen(only, pattern) == titles


def test_a_yes_lets_the_rest_through_as_it_comes() -> None:
    choice = Selection(Filter("status=200"))
    out: list[Seen] = []
    began: list[Event] = [MessageBegan(1, UP, "GET /"), MessageEnded(1, UP, 0)]
    for event in began:
        out += choice.receive(Decoded(1, 0, event))
    assert out == []
    answer = Decoded(1, 1, MessageBegan(1, DOWN, "200", facts={"status": 200}))
    assert choice.receive(answer) == [*(Decoded(1, 0, event) for event in began), answer]
    piece = Decoded(1, 2, MessageData(1, DOWN, b"x"))
    assert choice.receive(piece) == [piece]


def test_connections_and_gaps_come_through_and_notes_end_nothing() -> None:
    choice = Selection(Filter("method=GET"))
    for record in (Opened(1, 0, "l", "c", "e"), Missed(1, 0, UP, 3), Noted(1, 0, "x"),
                   Noted(0, 0, "y")):  # fmt: skip
        assert choice.receive(record) == [record]
    asked = Decoded(1, 0, MessageBegan(1, UP, "GET /", facts={"method": "GET"}))
    assert choice.receive(asked) == [asked]
    assert choice.receive(Noted(1, 0, "x")) == [Noted(1, 0, "x")]
    ended = Decoded(1, 0, MessageEnded(1, UP, 0))
    assert choice.receive(ended) == [ended]
    assert choice.receive(Closed(1, 1, 0, 0, ""))[-1] == Closed(1, 1, 0, 0, "")


def test_bytes_of_connections_that_nobody_knows_are_chosen_by_connection_and_words() -> None:
    for only, pattern, passes in (("protocol=opaque", "", True), ("method=GET", "", False),
                                  ("", "SSH-2", True), ("", "HTTP", False)):  # fmt: skip
        choice = Selection(Filter(only) if only else None, grep(pattern) if pattern else None)
        choice.receive(Decoded(1, 0, Recognised("opaque")))
        chunk = Chunk(1, 0, UP, b"SSH-2.0\r\n")
        assert choice.receive(chunk) == ([chunk] if passes else [])


def test_what_waits_for_a_verdict_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "HELD_LIMIT", 100)
    choice = Selection(Filter("status=200"))
    choice.receive(Decoded(1, 0, MessageBegan(1, UP, "PUT /")))
    for _ in range(3):
        choice.receive(Decoded(1, 0, MessageData(1, UP, b"x" * 40)))
    assert choice.dropped == 40
    passed = choice.receive(Decoded(1, 0, MessageBegan(1, DOWN, "200", facts={"status": 200})))
    assert len(passed) == 4
