"""SPDY/3.1 frames: how each looks on the wire, and a reader that takes any split of the bytes.

Control frames are small and come out whole; DATA is passed on as it arrives, as views into the
bytes that were read, so a frame of 16 MiB is never buffered. ``connection`` gives them meaning.
Source: SPDY/3.1 draft, 2.2 and 2.6.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from msgspec import Struct

from ferryman.errors import PeerError

CONTROL_LIMIT = 65536
"""Bytes that a control frame of a known type may have; unknown ones are skipped at any length."""
DATA_LIMIT = (1 << 24) - 1
"""Bytes that a DATA frame can have: its length has 24 bits."""

FIN = 0x01
UNIDIRECTIONAL = 0x02

PROTOCOL_ERROR = 1
INVALID_STREAM = 2
REFUSED_STREAM = 3
CANCEL = 5

INITIAL_WINDOW_SIZE = 7  # a SETTINGS id

_VERSION = 3
_ID = 0x7FFFFFFF  # the reserved high bit is ignored when read
_HEAD = struct.Struct("!II")
_ONE = struct.Struct("!I")
_TWO = struct.Struct("!II")
_SYN = struct.Struct("!IIBB")


class SynStream(Struct, frozen=True):
    stream: int
    block: bytes
    flags: int = 0
    associated: int = 0
    priority: int = 0

    def encode(self) -> bytes:
        fixed = _SYN.pack(self.stream, self.associated, self.priority << 5, 0)
        return _control(1, self.flags, fixed + self.block)


class SynReply(Struct, frozen=True):
    stream: int
    block: bytes
    flags: int = 0

    def encode(self) -> bytes:
        return _control(2, self.flags, _ONE.pack(self.stream) + self.block)


class RstStream(Struct, frozen=True):
    stream: int
    status: int

    def encode(self) -> bytes:
        return _control(3, 0, _TWO.pack(self.stream, self.status))


class Settings(Struct, frozen=True):
    """``entries`` are (flags, id, value)."""

    entries: tuple[tuple[int, int, int], ...]
    flags: int = 0

    def encode(self) -> bytes:
        body = b"".join(_TWO.pack(flags << 24 | key, value) for flags, key, value in self.entries)
        return _control(4, self.flags, _ONE.pack(len(self.entries)) + body)


class Ping(Struct, frozen=True):
    id: int

    def encode(self) -> bytes:
        return _control(6, 0, _ONE.pack(self.id))


class GoAway(Struct, frozen=True):
    last_stream: int
    status: int

    def encode(self) -> bytes:
        return _control(7, 0, _TWO.pack(self.last_stream, self.status))


class Headers(Struct, frozen=True):
    stream: int
    block: bytes
    flags: int = 0

    def encode(self) -> bytes:
        return _control(8, self.flags, _ONE.pack(self.stream) + self.block)


class WindowUpdate(Struct, frozen=True):
    """``stream`` 0 is the whole connection."""

    stream: int
    delta: int

    def encode(self) -> bytes:
        return _control(9, 0, _TWO.pack(self.stream, self.delta))


class DataChunk(Struct, frozen=True):
    """A piece of a DATA frame; ``ends_frame`` on its last, and only there ``fin`` may be set."""

    stream: int
    data: memoryview
    ends_frame: bool
    fin: bool


Control = SynStream | SynReply | RstStream | Settings | Ping | GoAway | Headers | WindowUpdate
Frame = Control | DataChunk


_WITH_HEADERS: dict[type[SynStream | SynReply | Headers], str] = {
    SynStream: "SYN_STREAM",
    SynReply: "SYN_REPLY",
    Headers: "HEADERS",
}


def describe(frame: Frame) -> str:
    """A frame in a few words, for a trace: its name, its ids, and of a payload the length only."""
    match frame:
        case DataChunk(stream, data, ends_frame, fin):
            more = "" if ends_frame else ", more of it to come"
            return f"DATA {stream}: {len(data)} bytes{more}{', FIN' if fin else ''}"
        case RstStream(stream, status):
            return f"RST_STREAM {stream}: status {status}"
        case GoAway(last, status):
            return f"GOAWAY: last stream {last}, status {status}"
        case WindowUpdate(stream, delta):
            return f"WINDOW_UPDATE {stream}: {delta} bytes"
        case Settings(entries):
            return "SETTINGS: " + ", ".join(f"{key}={value}" for _, key, value in entries)
        case Ping(number):
            return f"PING {number}"
        case SynStream(stream, _, flags) | SynReply(stream, _, flags) | Headers(stream, _, flags):
            return f"{_WITH_HEADERS[type(frame)]} {stream}{', FIN' if flags & FIN else ''}"


def data_head(stream: int, length: int, *, fin: bool = False) -> bytes:
    """The eight bytes before the payload of a DATA frame."""
    return _HEAD.pack(stream, (FIN if fin else 0) << 24 | length)


def _control(kind: int, flags: int, body: bytes) -> bytes:
    return _HEAD.pack((0x8000 | _VERSION) << 16 | kind, flags << 24 | len(body)) + body


def _syn_stream(flags: int, body: bytes) -> SynStream:
    if len(body) < _SYN.size:
        raise PeerError(f"a SYN_STREAM of {len(body)} bytes, expected at least {_SYN.size}")
    stream, associated, priority, _ = _SYN.unpack_from(body)
    return SynStream(stream & _ID, body[_SYN.size :], flags, associated & _ID, priority >> 5)


def _syn_reply(flags: int, body: bytes) -> SynReply:
    return SynReply(*_stream_and_block(body, "SYN_REPLY"), flags)


def _headers(flags: int, body: bytes) -> Headers:
    return Headers(*_stream_and_block(body, "HEADERS"), flags)


def _rst_stream(_: int, body: bytes) -> RstStream:
    stream, status = _exactly(_TWO, body, "RST_STREAM")
    return RstStream(stream & _ID, status)


def _ping(_: int, body: bytes) -> Ping:
    return Ping(_exactly(_ONE, body, "PING")[0])


def _go_away(_: int, body: bytes) -> GoAway:
    last, status = _exactly(_TWO, body, "GOAWAY")
    return GoAway(last & _ID, status)


def _window_update(_: int, body: bytes) -> WindowUpdate:
    stream, delta = _exactly(_TWO, body, "WINDOW_UPDATE")
    return WindowUpdate(stream & _ID, delta & _ID)


def _settings(flags: int, body: bytes) -> Settings:
    count = _ONE.unpack_from(body)[0] if len(body) >= 4 else 0
    if len(body) != 4 + 8 * count:
        raise PeerError(f"SETTINGS of {len(body)} bytes for {count} entries")
    entries = _TWO.iter_unpack(body[4:])
    return Settings(tuple((key >> 24, key & 0xFFFFFF, value) for key, value in entries), flags)


def _stream_and_block(body: bytes, name: str) -> tuple[int, bytes]:
    if len(body) < 4:
        raise PeerError(f"a {name} of {len(body)} bytes, expected at least 4")
    return _ONE.unpack_from(body)[0] & _ID, body[4:]


def _exactly(fields: struct.Struct, body: bytes, name: str) -> tuple[int, ...]:
    if len(body) != fields.size:
        raise PeerError(f"a {name} of {len(body)} bytes, expected {fields.size}")
    return fields.unpack(body)


_PARSERS: dict[int, Callable[[int, bytes], Control]] = {
    1: _syn_stream,
    2: _syn_reply,
    3: _rst_stream,
    4: _settings,
    6: _ping,
    7: _go_away,
    8: _headers,
    9: _window_update,
}


class FrameReader:
    """Cuts a stream of bytes into frames; keeps less than one control frame."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._body = bytearray()
        self._left = 0  # of the present frame's body
        self._parser: Callable[[int, bytes], Control] | None = None
        self._flags = 0
        self._stream = 0  # of the present DATA frame, or 0: stream 0 is never data

    def receive(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """The frames, and pieces of DATA, that are in these bytes. Raises PeerError."""
        frames: list[Frame] = []
        view = memoryview(data)
        position, end = 0, len(view)
        while position < end:
            if self._left:
                taken = min(self._left, end - position)
                self._left -= taken
                self._take(view[position : position + taken], frames)
                position += taken
            else:
                taken = min(_HEAD.size - len(self._head), end - position)
                self._head += view[position : position + taken]
                position += taken
                if len(self._head) == _HEAD.size:
                    self._begin(*_HEAD.unpack(self._head))
                    self._head.clear()
                    if not self._left:
                        self._take(view[:0], frames)
        return frames

    def _begin(self, word: int, flags_and_length: int) -> None:
        self._flags, self._left = flags_and_length >> 24, flags_and_length & 0xFFFFFF
        if word < 0x80000000:
            if word == 0:
                raise PeerError("DATA for stream 0")
            self._stream, self._parser = word, None
            return
        version, kind = word >> 16 & 0x7FFF, word & 0xFFFF
        if version != _VERSION:
            raise PeerError(f"a control frame of SPDY version {version}, expected {_VERSION}")
        self._stream, self._parser = 0, _PARSERS.get(kind)
        if self._parser is not None and self._left > CONTROL_LIMIT:
            raise PeerError(f"a control frame of {self._left} bytes, at most {CONTROL_LIMIT}")

    def _take(self, piece: memoryview, frames: list[Frame]) -> None:
        """A piece of the present frame's body, which is over when nothing is left."""
        over = not self._left
        if self._stream:
            fin = over and bool(self._flags & FIN)
            if piece or fin:
                frames.append(DataChunk(self._stream, piece, over, fin))
        elif self._parser is not None:  # else of a type that we do not know: skip it
            self._body += piece
            if over:
                frames.append(self._parser(self._flags, bytes(self._body)))
                self._body.clear()
