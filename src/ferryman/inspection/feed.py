"""What the data plane tells of the connections that it lets be observed; pure.

A feed is a sequence of these records, each in a frame: ``encode`` writes one, ``Frames`` cuts a
stream of bytes into them. It goes through a pipe to the process that decodes, and into ``.ferry``
files. The other way go ``Command``s: what need not be copied any more.

Times are nanoseconds since the epoch. Directions are seen from the client: UP is what it says,
DOWN what it is answered. Offsets count a direction's bytes from the connection's first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ferryman.errors import PeerError

Direction = Literal["up", "down"]
UP: Direction = "up"
DOWN: Direction = "down"

FRAME_LIMIT = 1 << 20
"""The most bytes that one frame may have after its header."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A client came; ``endpoint`` is what it was connected to (a later one: it was redialled)."""

    connection: int
    at: int
    listener: str
    client: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """These bytes were carried."""

    connection: int
    at: int
    direction: Direction
    data: bytes


@dataclass(frozen=True, slots=True)
class Skipped:
    """So many bytes were carried and not copied, because a Command said that nobody needs them."""

    connection: int
    at: int
    direction: Direction
    count: int


@dataclass(frozen=True, slots=True)
class Missed:
    """So many bytes were carried that could not be kept up with."""

    connection: int
    at: int
    direction: Direction
    count: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The direction ended: a half-close."""

    connection: int
    at: int
    direction: Direction


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over; ``reset`` says why it ended as an RST, empty is a proper end."""

    connection: int
    at: int
    up: int
    down: int
    reset: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something for a person: a dial that failed (``connection`` may be 0: not one's own)."""

    connection: int
    at: int
    text: str


Record = Opened | Chunk | Skipped | Missed | Ended | Closed | Noted


@dataclass(frozen=True, slots=True)
class Skip:
    """Do not copy what the direction carries before this offset; None: nothing from now on."""

    connection: int
    direction: Direction
    until: int | None


Command = Skip

_HEADER = struct.Struct("<IBBIq")  # length of the rest, kind, direction, connection, time
_COUNT = struct.Struct("<Q")
_COUNTS = struct.Struct("<QQ")
HEADER_SIZE = _HEADER.size

_KINDS: tuple[type[Record], ...] = (Opened, Chunk, Skipped, Missed, Ended, Closed, Noted)
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_DIRECTIONS: tuple[Direction, Direction] = (UP, DOWN)


def chunk_header(connection: int, at: int, direction: Direction, size: int) -> bytes:
    """What goes before the bytes of a Chunk; so that they need not be copied into it."""
    way = _DIRECTIONS.index(direction)
    return _HEADER.pack(size, _NUMBERS[Chunk], way, connection & 0xFFFFFFFF, at)


def encode(record: Record) -> bytes:
    """The record as a frame."""
    rest, direction = b"", UP
    match record:
        case Opened():
            rest = _texts(record.listener, record.client, record.endpoint)
        case Chunk():
            rest, direction = record.data, record.direction
        case Skipped() | Missed():
            rest, direction = _COUNT.pack(record.count), record.direction
        case Ended():
            direction = record.direction
        case Closed():
            rest = _COUNTS.pack(record.up, record.down) + _text(record.reset)
        case Noted():
            rest = _text(record.text)
    header = _HEADER.pack(
        len(rest),
        _NUMBERS[type(record)],
        _DIRECTIONS.index(direction),
        record.connection & 0xFFFFFFFF,
        record.at,
    )
    return header + rest


class Frames:
    """Cuts bytes, as they come, into records. What comes whole is copied once."""

    def __init__(self) -> None:
        self._buffer = bytearray()  # the beginning of a frame
        self._size = HEADER_SIZE  # how much of it there must be to go on

    def receive(self, data: bytes | memoryview) -> Iterator[Record]:
        """The records that are complete now; raises PeerError if this is no feed."""
        view = memoryview(data)
        while self._buffer:
            missing = max(0, self._size - len(self._buffer))
            self._buffer += view[:missing]
            view = view[missing:]
            if len(self._buffer) < self._size:
                return
            self._size = HEADER_SIZE + _size(self._buffer)
            if len(self._buffer) == self._size:
                record = _record(memoryview(self._buffer))
                self._buffer = bytearray()
                yield record
        while len(view) >= HEADER_SIZE and len(view) >= (size := HEADER_SIZE + _size(view)):
            yield _record(view[:size])
            view = view[size:]
        self._buffer += view
        self._size = HEADER_SIZE

    @property
    def incomplete(self) -> int:
        """Bytes of a frame that has not come whole."""
        return len(self._buffer)


def encode_command(command: Command) -> bytes:
    """A command as bytes of a fixed size."""
    until = -1 if command.until is None else command.until
    way = _DIRECTIONS.index(command.direction)
    return _COMMAND.pack(command.connection & 0xFFFFFFFF, way, until)


def decode_commands(data: bytes | memoryview) -> Iterator[Command]:
    """The commands in whole multiples of ``COMMAND_SIZE``."""
    for connection, way, until in _COMMAND.iter_unpack(data):
        yield Skip(connection, _DIRECTIONS[way], None if until < 0 else until)


_COMMAND = struct.Struct("<IBq")
COMMAND_SIZE = _COMMAND.size


def _text(text: str) -> bytes:
    return text.encode(errors="surrogateescape")[:65535]


def _texts(*texts: str) -> bytes:
    return b"\0".join(_text(text.replace("\0", "")) for text in texts)


def _size(frame: bytearray | memoryview) -> int:
    """How much follows the header that is there."""
    size, kind, way, _, _ = _HEADER.unpack_from(frame)
    if size > FRAME_LIMIT or kind >= len(_KINDS) or way > 1:
        raise PeerError("not a feed of observed connections")
    return int(size)


def _record(frame: memoryview) -> Record:
    _, kind, way, connection, at = _HEADER.unpack_from(frame)
    rest = bytes(frame[HEADER_SIZE:])
    return _decode(_KINDS[kind], connection, at, _DIRECTIONS[way], rest)


def _decode(
    kind: type[Record], connection: int, at: int, direction: Direction, rest: bytes
) -> Record:
    try:
        if kind is Chunk:
            return Chunk(connection, at, direction, rest)
        if kind is Opened:
            listener, client, endpoint = rest.decode(errors="surrogateescape").split("\0")
            return Opened(connection, at, listener, client, endpoint)
        if kind is Skipped:
            return Skipped(connection, at, direction, _COUNT.unpack(rest)[0])
        if kind is Missed:
            return Missed(connection, at, direction, _COUNT.unpack(rest)[0])
        if kind is Ended:
            return Ended(connection, at, direction)
        text = rest[_COUNTS.size if kind is Closed else 0 :].decode(errors="surrogateescape")
        if kind is Closed:
            up, down = _COUNTS.unpack_from(rest)
            return Closed(connection, at, up, down, text)
        return Noted(connection, at, text)
    except (struct.error, ValueError) as error:
        raise PeerError(f"a {kind.__name__} that is none") from error
