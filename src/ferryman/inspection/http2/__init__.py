"""HTTP/2 in clear, by prior knowledge or after an upgrade, and the gRPC on it; pure.

Here frames are cut and header blocks put together; ``hpack`` reads them, ``streams`` says what the
frames of a stream mean. It is our own and not h2: that plays one side and ends the connection on
what it does not like; who looks on follows both, loses no header block, and must know where in the
bytes a secret is. Source: RFC 9113.
"""

from __future__ import annotations

from dataclasses import dataclass

from ferryman.inspection.decoder import Decoder, Start, Undecodable
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.http2.hpack import BLOCK_LIMIT, HeaderBlocks
from ferryman.inspection.http2.streams import Streams
from ferryman.inspection.machine import Machine, Window

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADER = 9
_DATA, _HEADERS, _RST_STREAM, _PUSH_PROMISE, _GOAWAY, _CONTINUATION = 0, 1, 3, 5, 7, 9
_END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x4, 0x8, 0x20
_READ = (_HEADERS, _RST_STREAM, _PUSH_PROMISE, _GOAWAY, _CONTINUATION)


def decoder(start: Start) -> Decoder:
    """For ``detect``; after an upgrade the preface comes, too."""
    return Http2(start)


@dataclass(slots=True)
class _Block:
    """A header block in parts; ``places`` are each part's index in it and offset in the stream."""

    start: int
    stream: int
    promised: int
    ends_stream: bool
    data: bytearray
    places: list[tuple[int, int]]


@dataclass(slots=True)
class _Data:
    """The frame whose payload passes by; of ``stream`` 0 nobody wants to know."""

    stream: int = 0
    padding: int = 0
    ends_stream: bool = False


class Http2(Machine):
    """One connection."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self._prefaced = False
        self._headers = {way: HeaderBlocks(redact=start.redact) for way in (UP, DOWN)}
        self._blocks: dict[Direction, _Block | None] = {UP: None, DOWN: None}
        self._data = {UP: _Data(), DOWN: _Data()}
        self._streams = Streams(self._report, start)

    def examined(self, direction: Direction) -> int:
        """See ``decoder.Decoder``: what is secret in a header block is known once it is whole."""
        block = self._blocks[direction]
        return super().examined(direction) if block is None else block.start

    def _step(self, direction: Direction, window: Window) -> bool:
        if direction is UP and not self._prefaced:
            return self._preface(window)
        if len(window) < _HEADER:
            return False
        head = window.peek(0, _HEADER)
        size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        block = self._blocks[direction]
        if block is not None and (kind != _CONTINUATION or block.stream != stream):
            raise Undecodable("a header block that does not go on")
        if kind == _DATA:
            return self._begin_data(direction, window, size, flags, stream)
        if kind not in _READ:
            window.take(_HEADER)
            self._data[direction] = _Data()
            window.body = size
            return True
        if size > BLOCK_LIMIT:
            raise Undecodable(f"a frame of more than {BLOCK_LIMIT} bytes")
        if len(window) < _HEADER + size:
            return False
        self._frame(direction, window, kind, flags, stream, size)
        return True

    def _preface(self, window: Window) -> bool:
        here = window.peek(0, len(PREFACE))
        if not PREFACE.startswith(here):
            raise Undecodable("a client that does not begin as HTTP/2 does")
        if len(here) < len(PREFACE):
            return False
        window.take(len(PREFACE))
        self._prefaced = True
        return True

    # --- DATA, and whatever passes by.

    def _begin_data(
        self, direction: Direction, window: Window, size: int, flags: int, stream: int
    ) -> bool:
        padded = 1 if flags & _PADDED else 0
        if len(window) < _HEADER + padded:
            return False
        padding = window[_HEADER] if padded else 0
        if size < padded + padding:
            raise Undecodable("more padding than there are data")
        window.take(_HEADER + padded)
        self._data[direction] = _Data(stream, padding, bool(flags & _END_STREAM))
        window.body = size - padded
        if not window.body:
            self._body_ended(direction)
        return True

    def _piece(self, direction: Direction, data: bytes, count: int, *, missed: bool) -> None:
        passing = self._data[direction]
        # The padding comes last: how much of this piece is before it?
        left = self._windows[direction].body + count - passing.padding
        wanted = max(0, min(count, left))
        if passing.stream and wanted:
            self._streams.data(
                direction, passing.stream, data[:wanted], wanted, wanted if missed else 0
            )

    def _body_ended(self, direction: Direction) -> None:
        passing = self._data[direction]
        if passing.stream and passing.ends_stream:
            self._streams.ended(direction, passing.stream)

    # --- Frames that are read whole.

    def _frame(
        self, direction: Direction, window: Window, kind: int, flags: int, stream: int, size: int
    ) -> None:
        payload = window.peek(_HEADER, _HEADER + size)
        start = window.position
        match kind:
            case 1 | 5:
                self._begin_block(direction, start, kind, flags, stream, payload)
            case 9:
                self._go_on(direction, start, payload)
        if kind in (_HEADERS, _PUSH_PROMISE, _CONTINUATION) and flags & _END_HEADERS:
            self._end_block(direction, window)
        window.take(_HEADER + size)
        if kind == _RST_STREAM:
            self._streams.reset(direction, stream, int.from_bytes(payload[:4], "big"))
        elif kind == _GOAWAY:
            self._streams.goaway(direction, int.from_bytes(payload[4:8], "big"), payload[8:])

    def _begin_block(
        self, direction: Direction, start: int, kind: int, flags: int, stream: int, payload: bytes
    ) -> None:
        first = 1 if flags & _PADDED else 0
        end = len(payload) - (payload[0] if first and payload else 0)
        promised = 0
        if kind == _PUSH_PROMISE:
            promised = int.from_bytes(payload[first : first + 4], "big") & 0x7FFFFFFF
            first += 4
        elif flags & _PRIORITY:
            first += 5
        if first > end:
            raise Undecodable("a header block that is shorter than its frame says")
        ends = kind == _HEADERS and bool(flags & _END_STREAM)
        data, place = bytearray(payload[first:end]), (0, start + _HEADER + first)
        self._blocks[direction] = _Block(start, stream, promised, ends, data, [place])

    def _go_on(self, direction: Direction, start: int, payload: bytes) -> None:
        block = self._blocks[direction]
        if block is None:
            raise Undecodable("a header block that goes on without having begun")
        if len(block.data) + len(payload) > BLOCK_LIMIT or len(block.places) >= BLOCK_LIMIT // 64:
            raise Undecodable(f"a header block of more than {BLOCK_LIMIT} bytes")
        block.places.append((len(block.data), start + _HEADER))
        block.data += payload

    def _end_block(self, direction: Direction, window: Window) -> None:
        block = self._blocks[direction]
        assert block is not None
        fields = self._headers[direction].decode(bytes(block.data))
        for field in fields:
            for start, end in field.secrets:
                _mask(window, block, start, end, field.filler)
        self._blocks[direction] = None
        pairs = [(field.name, field.value) for field in fields]
        if block.promised:
            self._streams.promised(block.promised, pairs)
        else:
            self._streams.headers(direction, block.stream, pairs, ends=block.ends_stream)

    def _ended(self, direction: Direction) -> None:
        self._streams.closed(direction)


def _mask(window: Window, block: _Block, start: int, end: int, filler: int) -> None:
    """Hide a part of the block, which may be spread over frames."""
    ends = [index for index, _ in block.places[1:]] + [len(block.data)]
    for (index, offset), until in zip(block.places, ends, strict=True):
        a, b = max(start, index), min(end, until)
        if a < b:
            window.secret(offset + a - index, offset + b - index, filler)
