"""The bytes of every connection, sixteen to a line, with ids and offsets (-x); pure.

Each line stands for itself, so that ``grep '#3 ←'`` gives one direction of one connection::

    #3 → 00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|
"""

from __future__ import annotations

from collections.abc import Iterator

from ferryman.inspection import feed
from ferryman.inspection.forms import Options, words
from ferryman.inspection.forms.notes import Notes
from ferryman.inspection.session import Decoded, Seen

_WIDTH = 16
_ASCII = bytes(code if 0x20 <= code < 0x7F else 0x2E for code in range(256))


def rows(data: bytes, offset: int = 0) -> Iterator[str]:
    """The lines of a dump whose first byte has this offset."""
    for start in range(0, len(data), _WIDTH):
        row = data[start : start + _WIDTH]
        left, right = row[:8].hex(" "), row[8:].hex(" ")
        text = row.translate(_ASCII).decode("ascii")
        yield f"{offset + start:08x}  {left:<23}  {right:<23}  |{text}|"


def form(options: Options) -> Hexdump:
    """For ``make``."""
    return Hexdump(options)


class Hexdump:
    """A Form."""

    raw = True
    body_limit = 0

    def __init__(self, options: Options) -> None:
        self._notes = Notes(options)
        self._paint = words.Paint(options.colour)
        self._offsets: dict[tuple[int, feed.Direction], int] = {}

    def write(self, seen: Seen) -> bytes:
        """Its bytes; opening, closing and gaps as lines of their own."""
        if isinstance(seen, Decoded):
            return b""
        if isinstance(seen, feed.Chunk):
            return self._chunk(seen)
        if isinstance(seen, feed.Skipped | feed.Missed):
            self._advance(seen.connection, seen.direction, seen.count)
        elif isinstance(seen, feed.Closed):
            for direction in (feed.UP, feed.DOWN):
                self._offsets.pop((seen.connection, direction), None)
        return self._notes.write(seen)

    def finish(self) -> bytes:
        """Nothing is held back."""
        return b""

    def _advance(self, connection: int, direction: feed.Direction, count: int) -> int:
        key = (connection, direction)
        offset = self._offsets.get(key, 0)
        self._offsets[key] = offset + count
        return offset

    def _chunk(self, chunk: feed.Chunk) -> bytes:
        offset = self._advance(chunk.connection, chunk.direction, len(chunk.data))
        mark = self._paint(
            f"#{chunk.connection} {words.arrow(chunk.direction)}",
            words.direction_colour(chunk.direction),
        )
        return "".join(f"{mark} {row}\n" for row in rows(chunk.data, offset)).encode()
