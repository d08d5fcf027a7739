"""WebSocket messages of both directions, unmasked and expanded; pure.

Every message is an exchange of its own. Its title shows how it begins, so it is said to begin only
when that much of it has come. What permessage-deflate expands to is bounded; a message that refers
to one that was missed stays compressed. Sources: RFC 6455, RFC 7692.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from ferryman.inspection.decoder import Decoder, Start, Undecodable
from ferryman.inspection.events import Fields, MessageBegan, MessageData, MessageEnded
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.machine import Machine, Window, line
from ferryman.inspection.titles import title
from ferryman.protocols.masking import mask

EXPANDED_LIMIT = 1 << 20
"""Bytes that are told of an expanded message; more of them are only counted."""
_PREVIEW = 160  # bytes of a message that its title is made of
_SHOWN, _HEXADECIMAL = 100, 16  # characters of a text, bytes of a binary message
_PIECE = 65536
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_NAMES = {_TEXT: "text", _BINARY: "binary", _CLOSE: "close", _PING: "ping", _PONG: "pong"}
_CONTROL = 8  # the opcodes from here on: short, and in between a message's frames
_FLUSHED = b"\0\0\xff\xff"  # what the sender leaves out at the end of a message
_CUT = "the connection ended within it"
_LOST = "it refers to compressed bytes that were missed"


@dataclass(slots=True)
class _Message:
    opcode: int
    compressed: bool  # and it will be expanded
    lost: bool = False  # nobody can expand it
    number: int = 0  # 0: it has not been said to begin
    preview: bytearray = field(default_factory=bytearray)
    size: int = 0
    missed: int = 0
    error: str = ""


@dataclass(slots=True)
class _Side:
    """One direction. ``deflate`` holds what later messages may refer to; None: it was lost."""

    takeover: bool
    deflate: zlib._Decompress | None = None
    message: _Message | None = None
    last: bool = False  # is the frame that is being received its message's last?
    key: bytes = b""


def decoder(start: Start) -> Decoder:
    """For ``detect``; the answer's fields say whether messages are compressed."""
    return WebSocket(start)


class WebSocket(Machine):
    """One connection, after the upgrade."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        parameters = _deflate(start.fields)
        self._deflate = parameters is not None
        without = parameters or frozenset()
        self._sides = {
            UP: _Side("client_no_context_takeover" not in without, zlib.decompressobj(-15)),
            DOWN: _Side("server_no_context_takeover" not in without, zlib.decompressobj(-15)),
        }

    def skippable(self, direction: Direction) -> int | None:
        """See ``decoder.Decoder``: compressed bytes are needed by those that follow."""
        message = self._sides[direction].message
        if message is not None and message.compressed and not message.lost:
            return self._windows[direction].position
        return super().skippable(direction)

    def _step(self, direction: Direction, window: Window) -> bool:
        if len(window) < 2:
            return False
        first, second = window[0], window[1]
        length = second & 0x7F
        extended = {126: 2, 127: 8}.get(length, 0)
        head = 2 + extended + (4 if second & 0x80 else 0)
        if len(window) < head:
            return False
        if extended:
            length = int.from_bytes(window.peek(2, 2 + extended), "big")
        key = window.peek(head - 4, head) if second & 0x80 else b""
        opcode = first & 0xF
        if opcode >= _CONTROL:
            return self._control(direction, window, head, length, key)
        self._check(first, length, self._sides[direction].message)
        window.take(head)
        self._begin(direction, first, key)
        window.body = length
        if not length:
            self._body_ended(direction)
        return True

    def _check(self, first: int, length: int, message: _Message | None) -> None:
        opcode = first & 0xF
        if opcode not in (_CONTINUATION, _TEXT, _BINARY) or length >> 63:
            raise Undecodable("a frame that WebSocket does not have")
        if (opcode == _CONTINUATION) != (message is not None):
            raise Undecodable("a message within a message")
        compressed = first & 0x40 and self._deflate and opcode != _CONTINUATION
        if first & 0x30 or (first & 0x40 and not compressed):
            raise Undecodable("a frame of an extension that was not agreed on")

    def _begin(self, direction: Direction, first: int, key: bytes) -> None:
        side = self._sides[direction]
        side.key, side.last = key, bool(first & 0x80)
        if side.message is None:
            compressed = bool(first & 0x40)
            if compressed and not side.takeover:
                side.deflate = zlib.decompressobj(-15)
            lost = compressed and side.deflate is None
            side.message = _Message(first & 0xF, compressed and not lost, lost)
            side.message.error = _LOST if lost else ""

    def _control(
        self, direction: Direction, window: Window, head: int, length: int, key: bytes
    ) -> bool:
        name = _NAMES.get(window[0] & 0xF)
        if length > 125 or window[0] & 0xF0 != 0x80 or name is None:
            raise Undecodable("a frame that WebSocket does not have")
        if len(window) < head + length:
            return False
        data = _unmasked(window.take(head + length)[head:], key)
        words = [name]
        if name == "close" and length >= 2:
            words.append(str(int.from_bytes(data[:2], "big")))
        elif name != "close" and data:
            words.append(line(data, _SHOWN) if data.isascii() else data[:_HEXADECIMAL].hex())
        if name == "close" and data[2:]:
            words.append(line(data[2:]))
        self._report.alone(direction, " ".join(words), facts={"opcode": name})
        return True

    # --- Messages.

    def _piece(self, direction: Direction, data: bytes, count: int, *, missed: bool) -> None:
        side = self._sides[direction]
        message = side.message
        assert message is not None
        message.missed += count if missed else 0
        if not data:
            if message.compressed:
                side.deflate, message.lost = None, True
                message.error = _LOST
            self._rotate(side, count)
            self._tell(direction, message, b"", count)
            return
        plain = _unmasked(data, side.key)
        self._rotate(side, count)
        if message.compressed and not message.lost:
            self._expand(direction, side, message, plain)
        else:
            self._tell(direction, message, plain, count)

    def _body_ended(self, direction: Direction) -> None:
        side = self._sides[direction]
        message = side.message
        if side.last and message is not None:
            if message.compressed and not message.lost:
                self._expand(direction, side, message, _FLUSHED)
            if side.deflate is not None and side.deflate.eof:  # RFC 7692, 7.2.3.4
                side.deflate = zlib.decompressobj(-15)
            side.message = None
            self._end(direction, message, message.error)

    def _expand(self, direction: Direction, side: _Side, message: _Message, data: bytes) -> None:
        try:
            for piece in _expanded(side.deflate, data):
                wanted = max(0, EXPANDED_LIMIT - message.size)
                self._tell(direction, message, piece[:wanted], len(piece))
        except zlib.error:
            side.deflate = None
            message.error = "its compressed bytes cannot be read"

    def _tell(self, direction: Direction, message: _Message, data: bytes, count: int) -> None:
        message.size += count
        if message.number:
            if data:
                self._report.say(MessageData(message.number, direction, data))
            return
        message.preview += data
        if len(message.preview) >= _PREVIEW or message.size > len(message.preview):
            self._say_began(direction, message)

    def _say_began(self, direction: Direction, message: _Message) -> None:
        message.number = self._report.number()
        name, preview = _NAMES[message.opcode], bytes(message.preview)
        if message.lost:
            name, text = name + " (compressed)", ""
        elif message.opcode == _TEXT:
            text = line(preview[:_PREVIEW].decode(errors="ignore"), _SHOWN)
        else:
            text = preview[:_HEXADECIMAL].hex() + ("…" if len(preview) > _HEXADECIMAL else "")
        facts = {"opcode": _NAMES[message.opcode]}
        line_ = title(f"{name} {text}".rstrip())
        self._report.say(MessageBegan(message.number, direction, line_, (), facts, alone=True))
        if preview:
            self._report.say(MessageData(message.number, direction, preview))

    def _end(self, direction: Direction, message: _Message, error: str) -> None:
        if not message.number:
            self._say_began(direction, message)
        ended = MessageEnded(
            message.number, direction, message.size, missed=message.missed, error=error
        )
        self._report.say(ended)

    def _ended(self, direction: Direction) -> None:
        side = self._sides[direction]
        if side.message is not None:
            self._end(direction, side.message, _CUT)
            side.message = None

    @staticmethod
    def _rotate(side: _Side, count: int) -> None:
        """The key begins where the frame's next piece does."""
        turn = count % 4
        side.key = side.key[turn:] + side.key[:turn]


def _deflate(fields: Fields) -> frozenset[str] | None:
    """What was agreed on of permessage-deflate; None: it was not."""
    for name, value in fields:
        if name.lower() == "sec-websocket-extensions":
            for extension in value.split(","):
                first, *parameters = [word.strip().lower() for word in extension.split(";")]
                if first == "permessage-deflate":
                    return frozenset(parameters)
    return None


def _unmasked(data: bytes, key: bytes) -> bytes:
    if not key:
        return data
    buffer = bytearray(data)
    mask(buffer, key)
    return bytes(buffer)


def _expanded(deflate: zlib._Decompress | None, data: bytes) -> Iterator[bytes]:
    """What the bytes expand to, in pieces of a bounded size."""
    while deflate is not None and data:
        yield deflate.decompress(data, _PIECE)
        data = deflate.unconsumed_tail
