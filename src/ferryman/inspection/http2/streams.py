"""The streams of an HTTP/2 connection: requests, answers, pushes, and gRPC calls; pure.

``Http2`` hands on what the frames hold. Too many open streams are not told of; header blocks are
read nevertheless, so the others stay readable. Sources: RFC 9113; gRPC's PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ferryman.inspection import grpc
from ferryman.inspection.decoder import Start
from ferryman.inspection.events import (
    Facts,
    Fields,
    MessageBegan,
    MessageData,
    MessageEnded,
    Recognised,
)
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.machine import Report, line
from ferryman.inspection.titles import title

OPEN_LIMIT = 1024
"""Streams that are open at the same time; more are not told of."""

CUT = "the connection ended within it"
_ERRORS = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM",
    "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip
_SIDES = {UP: "client", DOWN: "server"}
_HIDDEN = (":method", ":path", ":scheme", ":status")  # they are in the title and the facts
_NONE: Facts = {}


@dataclass(slots=True)
class _Part:
    """One side's message."""

    began: bool = False
    ended: bool = False
    size: int = 0
    missed: int = 0
    messages: grpc.Counter | None = None


@dataclass(slots=True)
class _Stream:
    exchange: int
    parts: dict[Direction, _Part] = field(default_factory=lambda: {UP: _Part(), DOWN: _Part()})


class Streams:
    """All that are open."""

    def __init__(self, report: Report, start: Start) -> None:
        self._report = report
        self._open: dict[int, _Stream] = {}
        self._last = 0
        self._protocol = "h2"
        if start.answers:
            upgraded = _Stream(start.answers)
            upgraded.parts[UP] = _Part(began=True, ended=True)
            self._open[1] = upgraded
            self._last = 1

    def headers(
        self, direction: Direction, number: int, pairs: Sequence[tuple[str, str]], *, ends: bool
    ) -> None:
        """A whole header block: a request's, an answer's, or trailers."""
        stream = self._open.get(number)
        if stream is None:
            if direction is DOWN or number <= self._last or len(self._open) >= OPEN_LIMIT:
                return
            self._last = number
            stream = self._open[number] = _Stream(self._report.number())
        part = stream.parts[direction]
        if part.ended:
            return
        if part.began:
            if ends:
                trailers = tuple(pairs)
                self._end(number, stream, direction, trailers)
        elif direction is UP:
            self._request(stream, part, dict(pairs), _visible(pairs))
        else:
            self._answer(stream, part, dict(pairs), _visible(pairs))
        if ends and part.began and not part.ended:
            self._end(number, stream, direction)

    def promised(self, number: int, pairs: Sequence[tuple[str, str]]) -> None:
        """The server says a request that the client need not make."""
        if number in self._open or len(self._open) >= OPEN_LIMIT:
            return
        stream = self._open[number] = _Stream(self._report.number())
        part = stream.parts[UP]
        self._request(stream, part, dict(pairs), _visible(pairs), " (pushed)")
        self._end(number, stream, UP)

    def data(self, direction: Direction, number: int, data: bytes, count: int, missed: int) -> None:
        """So many bytes of a body; without ``data`` they were skipped."""
        stream = self._open.get(number)
        if stream is None or not stream.parts[direction].began or stream.parts[direction].ended:
            return
        part = stream.parts[direction]
        part.size += count
        part.missed += missed
        if data:
            self._report.say(MessageData(stream.exchange, direction, data))
            if part.messages is not None:
                part.messages.count(data)
        else:
            part.messages = None  # where they begin is not known any more

    def ended(self, direction: Direction, number: int) -> None:
        """The last DATA frame of a message was whole."""
        stream = self._open.get(number)
        if stream is not None and stream.parts[direction].began:
            self._end(number, stream, direction)

    def reset(self, direction: Direction, number: int, code: int) -> None:
        """RST_STREAM ends what is not whole; an answer that never came is said to be that."""
        stream = self._open.pop(number, None)
        if stream is None:
            return
        why = f"reset by the {_SIDES[direction]}: {_error(code)}"
        answer = stream.parts[DOWN]
        self._cut(stream, UP, why)
        if not answer.began:
            answer.began = True
            began = MessageBegan(stream.exchange, DOWN, why, (), {"error": _error(code)})
            self._report.say(began)
        self._cut(stream, DOWN, why)

    def goaway(self, direction: Direction, code: int, text: bytes) -> None:
        """The server takes leave, or the client is not pleased: it need not say goodbye."""
        if direction is DOWN or code:
            words = f"GOAWAY {_error(code)} {line(text)}".strip()
            self._report.alone(direction, words, facts={"error": _error(code)})

    def closed(self, direction: Direction) -> None:
        """No more frames come this way."""
        for stream in self._open.values():
            self._cut(stream, direction, CUT)

    # --- Messages.

    def _request(
        self, stream: _Stream, part: _Part, head: dict[str, str], fields: Fields, note: str = ""
    ) -> None:
        method, path = head.get(":method", ""), head.get(":path", "")
        host = head.get(":authority", "") or head.get("host", "")
        path, mark, query = path.partition("?")
        facts: dict[str, str | int] = {"method": method, "path": title(path), "host": title(host)}
        if mark:
            facts["query"] = title(query)
        _add_type(facts, head)
        text = " ".join(filter(None, (method, path + mark + query or host)))
        if grpc.is_grpc(head):
            service, rpc = grpc.names(path)
            facts |= {"service": title(service), "method": title(rpc)}
            text = f"{service}/{rpc}"
            part.messages = grpc.Counter()
        self._recognise("grpc" if grpc.is_grpc(head) else "h2")
        part.began = True
        began = MessageBegan(stream.exchange, UP, title(text + note), fields, facts)
        self._report.say(began)

    def _answer(self, stream: _Stream, part: _Part, head: dict[str, str], fields: Fields) -> None:
        text = head.get(":status", "")
        status = int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 0
        facts: dict[str, str | int] = {"status": status}
        _add_type(facts, head)
        if grpc.is_grpc(head):
            part.messages = grpc.Counter()
            facts |= grpc.status_facts(fields)
            text = " ".join([text, *grpc.status_words(fields)])
        say = self._report.say
        say(MessageBegan(stream.exchange, DOWN, title(text), fields, facts))
        part.began = status == 101 or not 100 <= status < 200
        if not part.began:  # an interim answer; the answer proper is still to come
            say(MessageEnded(stream.exchange, DOWN, 0))

    def _end(
        self, number: int, stream: _Stream, direction: Direction, trailers: Fields = ()
    ) -> None:
        part = stream.parts[direction]
        if part.ended:
            return
        part.ended = True
        facts: dict[str, str | int] = dict(grpc.status_facts(trailers))
        if part.messages is not None:
            facts["messages"] = part.messages.messages
        self._report.say(
            MessageEnded(stream.exchange, direction, part.size, trailers, facts, part.missed)
        )
        if all(part.ended for part in stream.parts.values()):
            self._open.pop(number, None)

    def _cut(self, stream: _Stream, direction: Direction, why: str) -> None:
        part = stream.parts[direction]
        if part.began and not part.ended:
            part.ended = True
            said = MessageEnded(
                stream.exchange, direction, part.size, missed=part.missed, error=why
            )
            self._report.say(said)

    def _recognise(self, protocol: str) -> None:
        if protocol != self._protocol:
            self._protocol = protocol
            self._report.say(Recognised(protocol))


def _visible(pairs: Sequence[tuple[str, str]]) -> Fields:
    return tuple((name, value) for name, value in pairs if name not in _HIDDEN)


def _add_type(facts: dict[str, str | int], head: dict[str, str]) -> None:
    if kind := head.get("content-type", "").partition(";")[0].strip().lower():
        facts["type"] = title(kind)


def _error(code: int) -> str:
    return _ERRORS[code] if code < len(_ERRORS) else f"error {code}"
