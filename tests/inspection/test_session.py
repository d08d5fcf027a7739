"""One connection from its first byte to its last: what is recognised, masked, skipped, given up."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferryman.inspection import detect
from ferryman.inspection.decoder import Decoder, Span, Start, Switch, Undecodable
from ferryman.inspection.events import (
    Event,
    MessageBegan,
    MessageData,
    MessageEnded,
    Recognised,
    Undecoded,
)
from ferryman.inspection.feed import (
    DOWN,
    UP,
    Chunk,
    Closed,
    Direction,
    Ended,
    Missed,
    Noted,
    Opened,
    Record,
    Skip,
    Skipped,
)
from ferryman.inspection.session import Decoded, Seen, Session
from ferryman.inspection.sessions import Sessions
from tests.support.inspecting import events, raw_bytes, records, seen
from tests.support.split import cuts

ASK = b"GET /x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer HUSH\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: HUSH\r\n\r\nhello"
TALK = [(UP, ASK), (DOWN, OK), (UP, ASK), (DOWN, OK)]


def told(passed: list[Seen]) -> list[Event]:
    return [one.event for one in events(passed)]


def test_bytes_are_masked_and_come_before_what_they_mean() -> None:
    opened, recognised, chunk, began, ended = seen(records([(UP, ASK)], closed=False))
    assert isinstance(opened, Opened)
    assert recognised == Decoded(1, 1_000_000, Recognised("http/1.1"))
    assert isinstance(chunk, Chunk)
    assert chunk.data == ASK.replace(b"HUSH", b"****")
    assert isinstance(began, Decoded)
    assert isinstance(began.event, MessageBegan)
    assert dict(began.event.fields)["Authorization"] == "Bearer [redacted]"
    assert isinstance(ended, Decoded)


@given(cuts)
def test_however_the_bytes_are_cut_events_are_the_same_and_bytes_come_in_order(
    places: list[int],
) -> None:
    passed = seen(records(TALK, places))
    whole = seen(records(TALK))
    assert _joined(told(passed)) == _joined(told(whole))
    assert raw_bytes(passed) == raw_bytes(whole)
    assert b"HUSH" not in raw_bytes(passed)[1, UP] + raw_bytes(passed)[1, DOWN]
    assert (
        b"".join(data for way, data in TALK if way == DOWN).replace(b"HUSH", b"****")
        == raw_bytes(passed)[1, DOWN]
    )


def _joined(said: list[Event]) -> list[Event]:
    out: list[Event] = []
    for event in said:
        last = out[-1] if out else None
        if isinstance(event, MessageData) and isinstance(last, MessageData):
            out[-1] = MessageData(last.exchange, last.direction, last.data + event.data)
        else:
            out.append(event)
    return out


def test_a_head_that_is_not_whole_is_held_back_and_hidden_at_the_end() -> None:
    half = b"GET /x HTTP/1.1\r\nAuthorization: Bearer HU"
    session = Session(1, raw=True)
    first = session.receive(Chunk(1, 1, UP, half))
    assert [type(one) for one in first] == [Decoded]  # it is HTTP, and no more is known
    last = session.receive(Closed(1, 2, len(half), 0, ""))
    assert raw_bytes(last) == {(1, UP): b"*" * len(half)}


def test_without_redaction_bytes_go_through_at_once() -> None:
    session = Session(1, raw=True, redact=False)
    session.receive(Chunk(1, 1, UP, ASK))
    half = b"GET /x HTTP/1.1\r\nAuthorization: Bearer HU"
    assert session.receive(Chunk(1, 2, UP, half)) == [Chunk(1, 2, UP, half)]


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-x\r\n", b"\x00\x01\x02\x03\x04\x05\x06\x07\x08", b"x\n"]
)
def test_what_nobody_knows_is_opaque_bytes(data: bytes) -> None:
    passed = seen(records([(UP, data), (DOWN, data)]), raw=False)
    assert told(passed) == [Recognised("opaque")]
    assert raw_bytes(passed) == {(1, UP): data, (1, DOWN): data}


def test_a_connection_that_says_nothing_is_not_recognised() -> None:
    passed = seen(records([]))
    assert [type(one) for one in passed] == [Opened, Ended, Ended, Closed]


def test_bytes_too_few_to_tell_are_opaque_at_the_end() -> None:
    passed = seen(records([(UP, b"GET /")]))
    assert told(passed) == [Recognised("opaque")]
    assert raw_bytes(passed) == {(1, UP): b"GET /"}


def test_when_the_protocol_breaks_the_rest_is_bytes_without_secrets() -> None:
    rest = b"nonsense\r\nAuthorization: Bearer HUSH\r\nfoo\r\n"
    passed = seen(records([*TALK, (UP, rest), (UP, b"Cookie: HU"), (UP, b"SH\r\nbar")]), raw=False)
    said = told(passed)
    assert said[-1] == Undecoded("not a request in HTTP/1.1")
    shown = raw_bytes(passed)[1, UP]
    assert shown == (
        b"nonsense\r\nAuthorization:" + b"*" * 13 + b"\nfoo\r\nCookie:" + b"*" * 6 + b"\nbar"
    )


class Broken:
    """A decoder whose every answer may be a mistake."""

    def __init__(self, where: str, examined: int = 0) -> None:
        self._where = where
        self._examined = examined

    def _maybe(self, where: str) -> None:
        if where == self._where:
            raise ZeroDivisionError("HUSH")

    def receive(self, direction: Direction, data: bytes) -> list[Event]:
        self._maybe("receive")
        return []

    def skipped(self, direction: Direction, count: int, *, missed: bool) -> list[Event]:
        self._maybe("skipped")
        return []

    def ended(self, direction: Direction) -> list[Event]:
        self._maybe("ended")
        return []

    def examined(self, direction: Direction) -> int:
        self._maybe("examined")
        return self._examined

    def secrets(self, direction: Direction) -> list[Span]:
        self._maybe("secrets")
        return []

    def skippable(self, direction: Direction) -> int | None:
        self._maybe("skippable")
        return 0

    def switched(self) -> Switch | None:
        self._maybe("switched")
        return None


def use(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let HTTP be decoded by this one."""
    module = ModuleType("ferryman_test_decoder")
    module.decoder = lambda start: decoder  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(detect.MODULES, "http/1.1", module.__name__)


@pytest.mark.parametrize(
    "where", ["receive", "skipped", "ended", "examined", "secrets", "skippable", "switched"]
)
def test_a_decoder_that_fails_anywhere_hurts_nobody_and_shows_no_secret(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Broken(where), monkeypatch)
    given_ = records(TALK)
    given_[3:3] = [Missed(1, 2, UP, 10), Skipped(1, 2, DOWN, 10)]
    passed = seen(given_)
    assert b"HUSH" not in b"".join(raw_bytes(passed).values())
    assert "HUSH" not in repr(told(passed))
    assert isinstance(passed[-1], Closed)
    if where != "skippable":
        last = told(passed)[-1]
        assert isinstance(last, Undecoded)
        assert last.reason.startswith("the decoder failed: ZeroDivisionError")


def test_a_decoder_that_examines_nothing_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(Broken("never"), monkeypatch)
    session = Session(1, raw=True)
    session.receive(Chunk(1, 1, UP, ASK))
    kept = 0
    for _ in range(100):
        passed = session.receive(Chunk(1, 1, UP, b"x" * 65536))
        kept += 65536 - sum(map(len, raw_bytes(passed).values()))
        assert kept <= 1 << 20
        assert set(b"".join(raw_bytes(passed).values())) <= {0x2A}


def test_a_decoder_that_is_not_there_makes_a_connection_opaque(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(detect.MODULES, "http/1.1", "ferryman.inspection.nowhere")
    passed = seen(records(TALK), raw=False)
    assert told(passed)[:2] == [
        Recognised("opaque"),
        Undecoded("the decoder failed: ModuleNotFoundError"),
    ]
    assert b"HUSH" not in b"".join(raw_bytes(passed).values())


def test_a_reset_leaves_nothing_that_looks_whole() -> None:
    said = [(UP, b"GET / HTTP/1.0\r\n\r\n"), (DOWN, b"HTTP/1.0 200 OK\r\n\r\nabc")]
    assert told(seen(records(said)))[-1] == MessageEnded(1, DOWN, 3)
    assert told(seen(records(said, reset="boom")))[-1] == MessageEnded(1, DOWN, 3, error="boom")


def test_what_could_not_be_kept_up_with_passes_on_and_is_counted() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    session = Session(1)
    passed: list[Seen] = []
    for record in (Chunk(1, 1, UP, ASK), Chunk(1, 2, DOWN, head), Missed(1, 3, DOWN, 1000)):
        passed += session.receive(record)
    assert passed[-2] == Missed(1, 3, DOWN, 1000)
    assert told(passed)[-1] == MessageEnded(1, DOWN, 1000, missed=1000)


def test_a_websocket_follows_http_with_offsets_going_on() -> None:
    ask = ASK.replace(b"Host", b"Connection: Upgrade\r\nUpgrade: websocket\r\nHost")
    answer = b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    frame = b"\x81\x02hi"
    passed = seen(records([(UP, ask), (DOWN, answer + frame)]))
    assert raw_bytes(passed)[1, DOWN] == answer + frame
    assert Recognised("opaque") not in told(passed)


def test_after_connect_the_protocol_is_found_out_again() -> None:
    said = [
        (UP, b"CONNECT h:80 HTTP/1.1\r\n\r\n"),
        (DOWN, b"HTTP/1.1 200 OK\r\n\r\n"),
        (UP, ASK[:10]),
        (UP, ASK[10:]),
        (DOWN, OK),
    ]
    passed = seen(records(said))
    assert [event.title for event in told(passed) if isinstance(event, MessageBegan)] == [
        "CONNECT h:80", "200", "GET /x", "200",
    ]  # fmt: skip
    assert raw_bytes(passed)[1, UP] == b"".join(d for way, d in said if way == UP).replace(
        b"HUSH", b"****"
    )


# -- what need not be copied --


def commands(given_: list[Record], *, raw: bool = False, body_limit: int = 0) -> list[Skip]:
    session = Session(1, raw=raw, body_limit=body_limit)
    out: list[Skip] = []
    for record in given_:
        session.receive(record)
        out += session.commands()
    return out


BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


def test_summaries_ask_for_bodies_to_be_skipped_and_stay_right() -> None:
    asked = commands(records([(UP, ASK), (DOWN, BIG + b"x" * 1000)], closed=False))
    assert asked == [Skip(1, DOWN, len(BIG) + 1_000_000)]
    session = Session(1, body_limit=0)
    for record in records([(UP, ASK), (DOWN, BIG + b"x" * 1000)], closed=False):
        session.receive(record)
    passed = session.receive(Skipped(1, 5, DOWN, 999_000))
    assert told(passed) == [MessageEnded(1, DOWN, 1_000_000)]
    assert told(session.receive(Chunk(1, 6, UP, ASK)))[-1] == MessageEnded(2, UP, 0)


def test_a_body_that_was_shown_as_far_as_is_wanted_is_skipped() -> None:
    given_ = records([(UP, ASK), (DOWN, BIG), *[(DOWN, b"x" * 600)] * 3], closed=False)
    assert commands(given_, body_limit=1500) == [Skip(1, DOWN, len(BIG) + 1_000_000)]
    passed = seen(given_, raw=False, body_limit=1500)
    shown = [event.data for event in told(passed) if isinstance(event, MessageData)]
    assert b"".join(shown) == b"x" * 1500


def test_small_bodies_and_those_that_are_wanted_are_not_skipped() -> None:
    assert commands(records(TALK)) == []
    assert commands(records([(UP, ASK), (DOWN, BIG)], closed=False), body_limit=1 << 30) == []
    assert commands(records([(UP, ASK), (DOWN, BIG)], closed=False), raw=True) == []


def test_opaque_bytes_are_left_alone_for_ever_when_nobody_wants_them() -> None:
    given_ = records([(UP, b"\x01\x02"), (DOWN, b"\x03"), (UP, b"\x04")], closed=False)
    assert commands(given_) == [Skip(1, UP, None), Skip(1, DOWN, None)]
    assert commands(given_, body_limit=1) == []


def test_a_body_without_end_is_left_alone_for_ever() -> None:
    given_ = records([(UP, ASK), (DOWN, b"HTTP/1.0 200 OK\r\n\r\nx")], closed=False)
    assert commands(given_) == [Skip(1, DOWN, None)]


# -- many of them --


def test_connections_are_kept_apart_and_forgotten() -> None:
    one, two = records(TALK), records(TALK, connection=2)
    mixed = [record for pair in zip(one, two, strict=True) for record in pair]
    passed = seen(mixed)
    for number, alone in ((1, one), (2, two)):
        assert [it for it in passed if it.connection == number] == seen(alone)


def test_beyond_the_limit_only_opening_and_closing_is_seen() -> None:
    sessions = Sessions(limit=1)
    sessions.receive(Opened(1, 0, "", "", ""))
    assert sessions.receive(Opened(2, 0, "", "", "")) == [Opened(2, 0, "", "", "")]
    assert sessions.receive(Chunk(2, 0, UP, ASK)) == []
    assert sessions.commands() == [Skip(2, UP, None), Skip(2, DOWN, None)]
    assert sessions.receive(Closed(2, 0, 1, 1, "")) == [Closed(2, 0, 1, 1, "")]
    assert sessions.unseen == 1
    assert sessions.receive(Noted(0, 0, "x")) == [Noted(0, 0, "x")]
    sessions.receive(Closed(1, 0, 1, 1, ""))
    assert len(sessions.receive(Chunk(3, 0, UP, ASK))) > 1


PIECES = (
    ASK, OK, ASK[:20], ASK[20:], b"\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"*1\r\n$4\r\nPING\r\n", b"\x16\x03\x01\x00\x10\x01", b"\0\0\0\x08\x04\xd2\x16\x2f",
    b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
)  # fmt: skip
NUMBERS, NOW, COUNTS = st.integers(0, 3), st.just(0), st.integers(0, 99)
WAYS: st.SearchStrategy[Direction] = st.sampled_from((UP, DOWN))
NAME = st.just("a")
RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(Chunk, NUMBERS, NOW, WAYS, st.sampled_from(PIECES) | st.binary(max_size=40)),
    st.builds(Missed, NUMBERS, NOW, WAYS, COUNTS),
    st.builds(Skipped, NUMBERS, NOW, WAYS, COUNTS),
    st.builds(Ended, NUMBERS, NOW, WAYS),
    st.builds(Opened, NUMBERS, NOW, NAME, NAME, NAME),
    st.builds(Closed, NUMBERS, NOW, COUNTS, COUNTS, st.sampled_from(("", "r"))),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(RECORDS, max_size=30), st.booleans(), st.sampled_from((0, 10, 1 << 20)))
def test_no_sequence_of_records_raises_or_loses_bytes(
    given_: list[Record], raw: bool, limit: int
) -> None:
    given_ = [*given_, *(Closed(number, 1, 1, 1, "") for number in range(4))]
    passed = seen(given_, raw=raw, body_limit=limit)
    if raw:
        carried = {key: len(data) for key, data in raw_bytes(given_).items()}
        assert {key: len(data) for key, data in raw_bytes(passed).items()} == carried


def test_a_decoder_that_says_so_is_given_up_with_what_it_said_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Honest(Broken):
        def receive(self, direction: Direction, data: bytes) -> list[Event]:
            raise Undecodable("nothing I know", [MessageEnded(1, UP, 0)])

    use(Honest("never"), monkeypatch)
    passed = seen(records([(UP, ASK), (UP, b"more")]), raw=False)
    assert told(passed)[1:] == [MessageEnded(1, UP, 0), Undecoded("nothing I know")]
    assert raw_bytes(passed)[1, UP] == b"*" * len(ASK) + b"more"


def test_after_a_hole_at_the_beginning_all_is_hidden_for_nobody_can_tell_what_it_is() -> None:
    given_ = records([(UP, b"password: x\n"), (DOWN, b"ok\n")])
    given_[1:1] = [Missed(1, 0, UP, 5)]
    assert set(b"".join(raw_bytes(seen(given_)).values())) == {0x2A}
    assert raw_bytes(seen(given_, redact=False)) == raw_bytes(given_)


def test_the_start_says_what_a_decoder_needs() -> None:
    assert Start() == Start(up=0, down=0, exchange=1, redact=True)
