"""One direction of an HTTP/1.1 connection: cuts what comes into heads, bodies and chunks; pure.

``Http1`` (in ``__init__``) says what the pieces mean. Bodies are sliced, never scanned; what is
gathered of a head or a line that is not whole is bounded, and must look like one from its start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto

from ferryman.inspection.decoder import Span, Undecodable
from ferryman.inspection.feed import UP, Direction
from ferryman.inspection.http1 import head as heads

HEAD_LIMIT = 65536
LINE_LIMIT = 8192
HELD_LIMIT = 65536
"""Bytes that a client may send ahead of the answer to its request for an upgrade."""

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")


class Phase(Enum):
    """What comes next."""

    HEAD = auto()
    BODY = auto()  # of ``left`` bytes
    UNTIL_CLOSE = auto()
    CHUNK_SIZE = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILERS = auto()
    HELD = auto()  # the client asked for an upgrade; what it says now may be another protocol
    LOST = auto()


IN_BODY = (Phase.BODY, Phase.UNTIL_CLOSE, Phase.CHUNK)
BETWEEN = (Phase.HEAD, Phase.HELD, Phase.LOST)


@dataclass(slots=True)
class Side:
    """What is kept of a direction."""

    direction: Direction
    end: int  # the offset after the last byte that came
    phase: Phase = Phase.HEAD
    buffer: bytearray = field(default_factory=bytearray)  # of a head or line that is not whole
    left: int = 0
    exchange: int = 0  # of the present message
    interim: bool = False
    size: int = 0
    missed: int = 0
    pieces: list[bytes] = field(default_factory=list)  # of the body, not yet said
    secrets: list[Span] = field(default_factory=list)
    over: bool = False

    def gather_head(self, data: bytes, position: int) -> tuple[bytes | None, int]:
        """Go on with a head, or the trailers: it, if it is whole, and the position after it."""
        buffer = self.buffer
        if not buffer:
            if self.phase is Phase.HEAD:
                while data[position : position + 1] in (b"\r", b"\n"):  # RFC 9112, 2.2
                    position += 1
                if position == len(data):
                    return None, position
            end = self._end_of_head(data, position, position)
            if end >= 0:
                return self._checked(data[position:end]), end
        before = len(buffer)
        buffer += data[position:]
        end = self._end_of_head(buffer, 0, max(0, before - 3))
        if end < 0:
            self._check_begun()
            return None, len(data)
        head = bytes(buffer[:end])
        buffer.clear()
        return self._checked(head), position + end - before

    def gather_line(self, data: bytes, position: int) -> int:
        """Go on with a chunk's size, or the line end after its data; the position after it."""
        found = data.find(b"\n", position)
        end = found + 1 if found >= 0 else len(data)
        line = bytes(self.buffer) + data[position:end] if self.buffer else data[position:end]
        if len(line) > LINE_LIMIT:
            raise Undecodable(f"a chunk's first line of more than {LINE_LIMIT} bytes")
        if found < 0:
            self.buffer[:] = line
            return end
        self.buffer.clear()
        if self.phase is Phase.CHUNK_END:
            if line not in (b"\r\n", b"\n"):
                raise Undecodable("a chunk that is longer than it said")
            self.phase = Phase.CHUNK_SIZE
            return end
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise Undecodable("a chunk without a size")
        self.left = int(size[1], 16)
        self.phase = Phase.CHUNK if self.left else Phase.TRAILERS
        return end

    def begins(self, data: bytes) -> bool:
        """Whether this begins like a message."""
        line = heads.REQUEST_LINE if self.direction == UP else heads.ANSWER_LINE
        return line.match(data) is not None

    def get_lost(self, end: int) -> None:
        """Forget where it stood; ``end`` is the offset after what was gathered."""
        self.left, self.phase = 0, Phase.LOST
        if self.buffer:
            self.secrets.append(Span(end - len(self.buffer), end))
            self.buffer.clear()

    def _end_of_head(self, data: bytes | bytearray, start: int, unseen: int) -> int:
        """The position after the first empty line, or -1; it is not before ``unseen``."""
        if self.phase is Phase.TRAILERS and data.startswith((b"\r\n", b"\n"), start):
            return data.index(b"\n", start) + 1  # there are none
        found = data.find(b"\n\r\n", unseen)
        bare = data.find(b"\n\n", unseen, found + 1 if found >= 0 else len(data))
        if bare >= 0:
            return bare + 2
        return found + 3 if found >= 0 else -1

    def _checked(self, head: bytes) -> bytes:
        if len(head) > HEAD_LIMIT:
            raise Undecodable(_TOO_LONG)
        if self.phase is Phase.HEAD and not self.begins(head):
            raise Undecodable(self._otherwise())
        return head

    def _check_begun(self) -> None:
        """See early that what gathers will be no head."""
        if len(self.buffer) > HEAD_LIMIT:
            raise Undecodable(_TOO_LONG)
        if self.phase is not Phase.HEAD:
            return
        if b"\n" in self.buffer:
            begun = heads.REQUEST_LINE if self.direction == UP else heads.ANSWER_LINE
        else:
            begun = heads.REQUEST_BEGUN if self.direction == UP else heads.ANSWER_BEGUN
        if not begun.match(self.buffer):
            raise Undecodable(self._otherwise())

    def _otherwise(self) -> str:
        return f"not {'a request' if self.direction == UP else 'an answer'} in HTTP/1.1"


_TOO_LONG = f"a head of more than {HEAD_LIMIT} bytes"
