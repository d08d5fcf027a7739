"""HTTP/1.1, decoded as it passes by; pure.

Each direction (``side``) cuts its stream into heads (read by ``head``), bodies and chunks; requests
wait in a queue for their answers. It is our own and not httptools: that has no offsets (secrets are
masked in the raw bytes, too), cannot be told that bytes were left out, and does not know that the
answer to HEAD has no body.

After bytes that could not be kept up with, a direction is *lost* until something comes that begins
like a message. Source: RFC 9112; docker's ``Upgrade: tcp`` and raw streams: moby, api/swagger.yaml.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from ferryman.inspection.decoder import FOREVER, Span, Start, Switch, Undecodable
from ferryman.inspection.events import (
    Event,
    Facts,
    Fields,
    MessageBegan,
    MessageData,
    MessageEnded,
)
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.http1 import head as heads
from ferryman.inspection.http1.side import BETWEEN, HELD_LIMIT, IN_BODY, Phase, Side
from ferryman.inspection.titles import title

PIPELINE_LIMIT = 1024

_SUCCESSORS = {"websocket": "websocket", "h2c": "h2"}
_RAW = ("application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream")
_MISSED = "bytes that could not be kept up with"


@dataclass(slots=True)
class _Request:
    """One that waits for its answer."""

    exchange: int
    method: str
    facts: Facts
    upgrades: bool


def decoder(start: Start) -> Http1:
    """For ``detect``."""
    return Http1(start)


class Http1:
    """One connection."""

    def __init__(self, start: Start) -> None:
        self._redact = start.redact
        self._next = start.exchange
        self._up = Side(UP, start.up)
        self._down = Side(DOWN, start.down)
        self._waiting: deque[_Request] = deque()
        self._switch: Switch | None = None
        self._said: list[Event] = []

    # -- the contract, see ``decoder`` --

    def receive(self, direction: Direction, data: bytes) -> list[Event]:
        side = self._side(direction)
        side.end += len(data)
        try:
            self._feed(side, data)
        except Undecodable as error:
            # What is left are lines of text: ``session`` scrubs them.
            self._up.buffer.clear()
            self._down.buffer.clear()
            raise Undecodable(str(error), self._told()) from None
        return self._told()

    def skipped(self, direction: Direction, count: int, *, missed: bool) -> list[Event]:
        side = self._side(direction)
        side.end += count
        counted = 0
        if side.phase in IN_BODY:
            counted = count if side.phase is Phase.UNTIL_CLOSE else min(count, side.left)
            side.size += counted
            side.missed += counted if missed else 0
            self._count(side, counted)
        if counted < count:
            self._lose(side, side.end - count)
        return self._told()

    def ended(self, direction: Direction) -> list[Event]:
        side = self._side(direction)
        if not side.over:
            side.over = True
            self._end(side)
        return self._told()

    def examined(self, direction: Direction) -> int:
        side = self._side(direction)
        return side.end - len(side.buffer)

    def secrets(self, direction: Direction) -> list[Span]:
        side = self._side(direction)
        found, side.secrets = side.secrets, []
        return found

    def skippable(self, direction: Direction) -> int | None:
        side = self._side(direction)
        if side.phase is Phase.UNTIL_CLOSE:
            return FOREVER
        return side.end + side.left if side.phase in IN_BODY else side.end

    def switched(self) -> Switch | None:
        return self._switch

    # -- cutting --

    def _side(self, direction: Direction) -> Side:
        return self._up if direction == UP else self._down

    def _told(self) -> list[Event]:
        for side in (self._up, self._down):
            if side.pieces:
                self._flush(side)
        said, self._said = self._said, []
        return said

    def _feed(self, side: Side, data: bytes) -> None:
        position, size = 0, len(data)
        while position < size:
            if self._switch is not None:
                self._hand_on(self._switch, data[position:])
                return
            match side.phase:
                case Phase.HEAD | Phase.TRAILERS:
                    head, position = side.gather_head(data, position)
                    if head is not None:
                        self._take_head(side, head, side.end - size + position - len(head))
                case Phase.BODY | Phase.CHUNK:
                    taken = min(side.left, size - position)
                    whole = taken == size
                    side.pieces.append(data if whole else data[position : position + taken])
                    side.size += taken
                    position += taken
                    self._count(side, taken)
                case Phase.CHUNK_SIZE | Phase.CHUNK_END:
                    position = side.gather_line(data, position)
                case Phase.UNTIL_CLOSE:
                    side.pieces.append(data[position:])
                    side.size += size - position
                    return
                case Phase.HELD:
                    side.buffer += data[position:]
                    if len(side.buffer) > HELD_LIMIT:
                        raise Undecodable("too much said before the answer to an upgrade")
                    return
                case Phase.LOST:
                    if (side.direction == DOWN and not self._waiting) or not side.begins(data):
                        side.secrets.append(Span(side.end - size, side.end))  # for all we know
                        return
                    side.phase = Phase.HEAD

    def _count(self, side: Side, taken: int) -> None:
        """Bytes of a body have passed."""
        if side.phase is not Phase.UNTIL_CLOSE:
            side.left -= taken
            if not side.left:
                if side.phase is Phase.CHUNK:
                    side.phase = Phase.CHUNK_END
                else:
                    self._finish(side)

    # -- messages --

    def _take_head(self, side: Side, data: bytes, start: int) -> None:
        if side.phase is Phase.TRAILERS:
            head = heads.read_trailers(data, redact=self._redact)
            self._mask(side, head, start)
            self._finish(side, head.fields)
            return
        head = heads.read(data, redact=self._redact)
        self._mask(side, head, start)
        if side.direction == UP:
            self._request(side, head)
        else:
            self._answer(side, head)

    def _mask(self, side: Side, head: heads.Head, start: int) -> None:
        side.secrets += [Span(start + a, start + b) for a, b in head.secrets]

    def _request(self, side: Side, head: heads.Head) -> None:
        if len(self._waiting) >= PIPELINE_LIMIT:
            raise Undecodable(f"more than {PIPELINE_LIMIT} requests without an answer")
        length = heads.request_length(head)
        facts = heads.request_facts(head)
        method = head.first[0]
        upgrades = method == "CONNECT" or (
            "upgrade" in head.headers and "upgrade" in heads.options(head, "connection")
        )
        self._waiting.append(_Request(self._next, method, facts, upgrades))
        began = MessageBegan(self._next, UP, title(f"{method} {head.first[1]}"), head.fields, facts)
        self._next += 1
        self._begin(side, began, length)

    def _answer(self, side: Side, head: heads.Head) -> None:
        status = int(head.first[1])
        request = self._waiting[0] if self._waiting else None
        length = heads.answer_length(head, status, request.method if request else "")
        if request is None:
            exchange, self._next = self._next, self._next + 1
        else:
            exchange = request.exchange
        facts = heads.answer_facts(head, status)
        side.interim = status < 200 and status != 101
        began = MessageBegan(exchange, DOWN, str(status), head.fields, facts, alone=request is None)
        protocol = _successor(head, status, length, request)
        if protocol is not None:
            self._begin(side, began, 0)
            self._upgrade(protocol, head, request)
            return
        if request is not None and not side.interim:
            request.upgrades = False
        self._begin(side, began, length)
        if self._up.phase is Phase.HELD and not side.interim:
            self._resume()

    def _begin(self, side: Side, began: MessageBegan, length: int) -> None:
        self._said.append(began)
        side.exchange, side.size, side.missed = began.exchange, 0, 0
        if length == heads.CHUNKED:
            side.phase = Phase.CHUNK_SIZE
        elif length == heads.UNTIL_CLOSE:
            side.phase = Phase.UNTIL_CLOSE
        elif length:
            side.phase, side.left = Phase.BODY, length
        else:
            self._finish(side)

    def _flush(self, side: Side) -> None:
        data = side.pieces[0] if len(side.pieces) == 1 else b"".join(side.pieces)
        side.pieces.clear()
        self._said.append(MessageData(side.exchange, side.direction, data))

    def _finish(self, side: Side, trailers: Fields = (), error: str = "") -> None:
        """The present message is over."""
        if side.pieces:
            self._flush(side)
        self._said.append(
            MessageEnded(
                side.exchange, side.direction, side.size, trailers, missed=side.missed, error=error
            )
        )
        side.phase = Phase.HEAD
        if side.direction == UP:
            if self._waiting and self._waiting[-1].upgrades:
                side.phase = Phase.HELD
        elif self._waiting and not side.interim and self._waiting[0].exchange == side.exchange:
            self._waiting.popleft()

    # -- upgrades --

    def _resume(self) -> None:
        """The upgrade was refused: what the client said meanwhile is HTTP after all."""
        side = self._up
        if not any(request.upgrades for request in self._waiting):
            side.phase = Phase.HEAD
            held = bytes(side.buffer)
            side.buffer.clear()
            self._feed(side, held)

    def _upgrade(self, protocol: str, head: heads.Head, request: _Request | None) -> None:
        held = bytes(self._up.buffer)
        self._up.buffer.clear()
        self._switch = Switch(
            protocol,
            Start(
                up=self._up.end - len(held),
                down=self._down.end,  # put right if there is more in hand
                exchange=self._next,
                redact=self._redact,
                fields=head.fields,
                facts=request.facts if request else {},
                answers=request.exchange if request and protocol == "h2" else 0,
            ),
            up=held,
        )

    def _hand_on(self, switch: Switch, rest: bytes) -> None:
        """The rest of the answer's bytes in hand belongs to the successor."""
        start = replace(switch.start, down=self._down.end - len(rest))
        self._switch = replace(switch, start=start, down=rest)

    # -- what goes wrong --

    def _lose(self, side: Side, end: int) -> None:
        """Other bytes than a body's were missed at ``end``: who answers whom is not known now."""
        if side.phase not in BETWEEN:
            self._finish(side, error=_MISSED)
        down, waiting = self._down, self._waiting
        answered = waiting and down.phase not in BETWEEN and waiting[0].exchange == down.exchange
        for request in list(waiting)[1 if answered else 0 :]:
            self._said.append(MessageEnded(request.exchange, DOWN, 0, error=_MISSED))
            waiting.pop()
        side.get_lost(end)
        if side is self._up and down.phase in BETWEEN:
            down.get_lost(down.end)
        if self._up.phase is Phase.HELD:
            self._up.get_lost(self._up.end)

    def _end(self, side: Side) -> None:
        """The direction is over, and with it its message and those that waited for it."""
        if side.phase is Phase.UNTIL_CLOSE:
            self._finish(side)
        elif side.phase not in BETWEEN:
            self._finish(side, error="cut off")
        if side.direction == DOWN:
            for request in self._waiting:
                self._said.append(MessageEnded(request.exchange, DOWN, 0, error="no answer"))
            self._waiting.clear()


def _successor(head: heads.Head, status: int, length: int, request: _Request | None) -> str | None:
    """The protocol that follows this answer, or None if HTTP goes on."""
    if status == 101:
        names = heads.options(head, "upgrade")
        return _SUCCESSORS.get(names[0], "opaque")
    if request is None or status // 100 != 2:
        return None
    if request.method == "CONNECT":
        return ""
    raw = head.headers.get("content-type", "").startswith(_RAW)
    return "opaque" if raw and length == heads.UNTIL_CLOSE else None
