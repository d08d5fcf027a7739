"""Random exchanges, read by h11 one at a time and by our decoder all together."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from ferryman.inspection.decoder import Start
from ferryman.inspection.events import Event, MessageBegan, MessageData, MessageEnded
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.http1 import decoder
from tests.support.split import cut, cuts

_TOKEN = st.text("abcdefXYZ0123456789-_", min_size=1, max_size=12)
_VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30)
_BODY = st.binary(max_size=300) | st.binary(max_size=300).map(gzip.compress)


@dataclass(frozen=True)
class Read:
    """A message, whoever read it."""

    first: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    trailers: tuple[tuple[str, str], ...]


@st.composite
def messages(draw: st.DrawFn, first: str, *, body: bool) -> bytes:
    """The bytes of a message that begins with this line."""
    fields = [
        ("Host", "h"),
        *((f"X-{draw(_TOKEN)}", draw(_VALUE)) for _ in range(draw(st.integers(0, 4)))),
    ]
    content = draw(_BODY) if body else b""
    tail = content
    if body and draw(st.booleans()):
        fields.append(("Transfer-Encoding", "chunked"))
        pieces = [piece for piece in cut(content, draw(cuts)) if piece]
        tail = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n"
        if draw(st.booleans()):
            tail += b"X-Sum: 1\r\n"
        tail += b"\r\n"
    elif body or draw(st.booleans()):
        fields.append(("Content-Length", str(len(content))))
    lines = [
        first,
        *(f"{name}:{draw(st.sampled_from(('', ' ', '  ')))}{value}" for name, value in fields),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + tail


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request and all its answers."""
    method = draw(st.sampled_from(("GET", "HEAD", "POST", "PATCH", "M-SEARCH")))
    asked = draw(messages(f"{method} /{draw(_TOKEN)} HTTP/1.1", body=method in ("POST", "PATCH")))
    answered = b""
    if draw(st.booleans()):
        answered = draw(messages("HTTP/1.1 103 Early Hints", body=False)).replace(
            b"Content-Length", b"X"
        )
    status = draw(st.sampled_from((200, 204, 304, 404, 500)))
    empty = method == "HEAD" or status in (204, 304)
    said = draw(messages(f"HTTP/1.1 {status} Some Reason", body=not empty))
    if b"Content-Length" not in said and b"chunked" not in said and not empty:
        said = said.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n", 1)
    return asked, answered + said


def read_by_h11(asked: bytes, answered: bytes) -> list[Read]:
    """One exchange; h11 needs to have sent the request before it reads the answer."""
    server, client = h11.Connection(h11.SERVER), h11.Connection(h11.CLIENT)
    server.receive_data(asked)
    client.receive_data(answered)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    client.send(request)
    out = [_message(server, request)]
    for event in iter(client.next_event, None):
        assert isinstance(event, h11.InformationalResponse | h11.Response)
        out.append(_message(client, event))
        if isinstance(event, h11.Response):
            return out
    return out


def _message(
    machine: h11.Connection, head: h11.Request | h11.InformationalResponse | h11.Response
) -> Read:
    body = b""
    trailers: tuple[tuple[str, str], ...] = ()
    while not isinstance(head, h11.InformationalResponse):
        event = machine.next_event()
        if isinstance(event, h11.EndOfMessage):
            trailers = _texts(event.headers)
            break
        assert isinstance(event, h11.Data), event
        body += event.data
    first = (
        f"{head.method.decode()} {head.target.decode()}"
        if isinstance(head, h11.Request)
        else str(head.status_code)
    )
    return Read(first, _texts(head.headers), body, trailers)


def _texts(headers: h11._headers.Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode(), value.decode()) for name, value in headers)


def read_by_us(events: list[Event]) -> dict[tuple[int, Direction], list[Read]]:
    out: dict[tuple[int, Direction], list[Read]] = {}
    body: dict[Direction, bytes] = {}
    began: dict[Direction, MessageBegan] = {}
    for event in events:
        match event:
            case MessageBegan():
                began[event.direction], body[event.direction] = event, b""
            case MessageData():
                body[event.direction] += event.data
            case MessageEnded():
                head = began[event.direction]
                assert event.size == len(body[event.direction])
                read = Read(
                    head.title, _lower(head.fields), body[event.direction], _lower(event.trailers)
                )
                out.setdefault((event.exchange, event.direction), []).append(read)
    return out


def _lower(fields: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in fields)


@settings(max_examples=150)
@given(st.lists(exchanges(), min_size=1, max_size=4), cuts, st.booleans())
def test_we_read_what_h11_reads(
    said: list[tuple[bytes, bytes]], places: list[int], pipelined: bool
) -> None:
    machine = decoder(Start(redact=False))
    events: list[Event] = []
    ways: tuple[Direction, Direction] = (UP, DOWN)
    parts = list(zip(ways, map(b"".join, zip(*said, strict=True)), strict=True))
    if not pipelined:
        parts = [part for pair in said for part in zip(ways, pair, strict=True)]
    for way, data in parts:
        for piece in cut(data, places):
            events += machine.receive(way, piece)
    ours = read_by_us(events)
    for number, (asked, answered) in enumerate(said, 1):
        request, *answers = read_by_h11(asked, answered)
        assert ours[number, UP] == [request]
        assert ours[number, DOWN] == answers
    assert len(ours) == 2 * len(said)
