"""Whole connections to be fuzzed: HTTP/1.1 and what it becomes, from session to printed line."""

from __future__ import annotations

import random
import zlib

from ferryman.inspection.events import Event, MessageData
from ferryman.inspection.feed import DOWN, UP, Record
from ferryman.inspection.forms import Options, make
from tests.support.fuzzing import Target
from tests.support.inspecting import events, records, seen, shown

TURN = b"\x00|\x00"
"""Stands in an input where the other side begins to speak."""
_TURNS = 40


def session_target() -> Target:
    """A session never raises, says the same however its bytes are cut, and prints no escapes."""
    return Target("session", _run, lambda: _SEEDS, _WORDS)


def _run(data: bytes) -> str:
    parts = data.split(TURN)[:_TURNS]
    said = [((UP, DOWN)[turn % 2], part) for turn, part in enumerate(parts) if part]
    chance = random.Random(zlib.crc32(data))
    places = [chance.randrange(1 << 16) for _ in range(4)]
    whole = _told(records(said))
    assert _told(records(said, places)) == whole, f"cut at {sorted(places)}"
    for name in ("pretty", "json"):
        assert b"\x1b" not in shown(make(name, Options(verbose=True)), records(said, places))
    kinds = [type(event).__name__ for event in whole]
    extras = [getattr(event, name, "") for event in whole for name in ("protocol", "reason")]
    errors = [getattr(event, "error", "") for event in whole]
    return " ".join(filter(None, [*kinds, *extras, *errors]))[:200]


def _told(given: list[Record]) -> list[Event]:
    """The events, with neighbouring pieces of a body joined."""
    out: list[Event] = []
    for one in events(seen(given)):
        event, last = one.event, out[-1] if out else None
        if (
            isinstance(event, MessageData)
            and isinstance(last, MessageData)
            and (event.exchange, event.direction) == (last.exchange, last.direction)
        ):
            out[-1] = MessageData(event.exchange, event.direction, last.data + event.data)
        else:
            out.append(event)
    return out


def _seed(*turns: str) -> bytes:
    return TURN.join(turn.replace("|", "\r\n").encode("latin-1") for turn in turns)


_CHUNKED = "Transfer-Encoding: chunked||"
_SEEDS = (
    _seed("GET / HTTP/1.1|Host: a||", "HTTP/1.1 200 OK|Content-Length: 2||hi"),
    _seed(
        f"POST / HTTP/1.1|{_CHUNKED}3|abc|0|A: b||HEAD / HTTP/1.1||",
        f"HTTP/1.1 100 Continue||HTTP/1.1 404 N|Content-Type: application/json|{_CHUNKED}"
        "5|[1,2]|0||HTTP/1.1 200 OK||",
    ),
    _seed(
        "GET / HTTP/1.1|Connection: Upgrade|Upgrade: websocket||",
        "HTTP/1.1 101 S|Upgrade: websocket|Connection: Upgrade||\x81\x02hi\x88\x00",
        "\x81\x82\0\0\0\0ab",
    ),
    _seed(
        "CONNECT a:1 HTTP/1.1||", "HTTP/1.1 200 OK||", "GET / HTTP/1.0||", "HTTP/1.0 200 OK||abc"
    ),
    _seed(
        "GET / HTTP/1.1|Connection: Upgrade|Upgrade: h2c|HTTP2-Settings: AAMAAABk||",
        "HTTP/1.1 101 S|Upgrade: h2c|Connection: Upgrade||\0\0\0\4\0\0\0\0\0",
        "PRI * HTTP/2.0||SM||\0\0\0\4\0\0\0\0\0",
    ),
)
_WORDS = (
    TURN, b"\r\n", b"\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1 ",
    b"GET / HTTP/1.1\r\n\r\n", b"0\r\n\r\n", b"Authorization: x", b"\xff\x1b", b"101", b"204",
    b"Connection: Upgrade\r\nUpgrade: tcp\r\n", b"Content-Encoding: gzip\r\n",
)  # fmt: skip
