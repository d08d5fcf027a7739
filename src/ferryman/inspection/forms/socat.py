"""socat's dumps, to the byte as 1.7.4.4 writes them in the C locale (-v, -x, -v -x); pure.

A block is a header and the bytes of one read::

    > 2026/11/23 02:31:03.000421343  length=28 from=0 to=27

``>`` is what the client says, in local time. The nine digits are three zeros and microseconds, as
socat has them from 1.7.4.3 to 1.8.0.1; before, there were six. ``from`` and ``to`` are offsets of
the direction. With ids, which socat does not have, the connection's stands before ``length``.

Written from the format's description and from socat's output, not from its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ferryman.inspection import feed
from ferryman.inspection.forms import Options
from ferryman.inspection.session import Seen

BLOCK = 8192
"""What socat reads at once unless -b says otherwise."""

_ROW = 16
_ESCAPES = {0x07: b"\\a", 0x08: b"\\b", 0x0B: b"\\v", 0x0C: b"\\f", 0x0D: b"\\r", 0x5C: b"\\\\"}
_RAW = b"\t\n"
_TEXT = [
    _ESCAPES.get(code) or (bytes([code]) if 0x20 <= code < 0x7F or code in _RAW else b".")
    for code in range(256)
]
_HEX = [b" %02x" % code for code in range(256)]
_ASCII = bytes(code if 0x20 <= code < 0x7F else 0x2E for code in range(256))


def form(options: Options) -> Socat:
    """For ``make``."""
    return Socat(text=options.verbose or not options.hexed, hexed=options.hexed, ids=options.ids)


class Socat:
    """A Form. ``text`` is -v, ``hexed`` -x, ``block`` -b."""

    raw = True
    body_limit = 0

    def __init__(
        self,
        *,
        text: bool = True,
        hexed: bool = False,
        ids: bool = False,
        block: int = BLOCK,
        digits: int = 9,
    ) -> None:
        self._text = text
        self._hexed = hexed
        self._ids = ids
        self._block = block
        self._digits = digits
        self._offsets: dict[tuple[int, feed.Direction], int] = {}

    def write(self, seen: Seen) -> bytes:
        """The blocks of a chunk; nothing for anything else."""
        match seen:
            case feed.Chunk():
                return b"".join(self._blocks(seen))
            case feed.Skipped() | feed.Missed():
                key = (seen.connection, seen.direction)
                self._offsets[key] = self._offsets.get(key, 0) + seen.count
            case feed.Closed():
                for direction in (feed.UP, feed.DOWN):
                    self._offsets.pop((seen.connection, direction), None)
        return b""

    def finish(self) -> bytes:
        """Nothing is held back."""
        return b""

    def _blocks(self, chunk: feed.Chunk) -> Iterator[bytes]:
        key = (chunk.connection, chunk.direction)
        for start in range(0, len(chunk.data), self._block):
            data = chunk.data[start : start + self._block]
            offset = self._offsets.get(key, 0)
            self._offsets[key] = offset + len(data)
            yield self._header(chunk, offset, len(data))
            yield self._dump(data)

    def _header(self, chunk: feed.Chunk, offset: int, length: int) -> bytes:
        seconds, rest = divmod(chunk.at, 1_000_000_000)
        when = datetime.fromtimestamp(seconds).strftime("%Y/%m/%d %H:%M:%S")
        fraction = f"{rest // 1000:0{self._digits}d}"
        mark = ">" if chunk.direction == feed.UP else "<"
        number = f"  #{chunk.connection}" if self._ids else ""
        span = f"length={length} from={offset} to={offset + length - 1}"
        return f"{mark} {when}.{fraction}{number}  {span}\n".encode()

    def _dump(self, data: bytes) -> bytes:
        if not self._hexed:
            return b"".join(map(_TEXT.__getitem__, data))
        if not self._text:
            return b"".join(map(_HEX.__getitem__, data)) + b"\n"
        return b"".join(_rows(data)) + b"--\n"


def _rows(data: bytes) -> Iterator[bytes]:
    """Hexadecimal and text beside each other; a line feed ends its row."""
    start = 0
    while start < len(data):
        found = data.find(b"\n", start, start + _ROW)
        end = found + 1 if found >= 0 else min(start + _ROW, len(data))
        row = data[start:end]
        start = end
        yield b"%-48s  %s\n" % (b"".join(map(_HEX.__getitem__, row)), row.translate(_ASCII))
