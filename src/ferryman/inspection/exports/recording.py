"""``.ferry`` files: the feed as the session let it out, so that it can be decoded again; pure.

A file is one line of text, ``ferry-recording 1 {JSON}``, and then frames of ``feed``, whose chunks
have their secrets masked (unless the line says ``"redacted": false``). A file that was cut short
is read as far as it is whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ferryman.errors import PeerError, UserError
from ferryman.inspection import feed
from ferryman.inspection.exchanges import Exchange

MAGIC = b"ferry-recording "
VERSION = 1

_LINE_LIMIT = 64 << 10


@dataclass(frozen=True, slots=True)
class Header:
    """What the first line says. ``started`` is in nanoseconds since the epoch."""

    tool: str
    started: int
    listeners: tuple[str, ...] = ()
    redacted: bool = True


class Recording:
    """Writes such a file: an Exporter."""

    raw = True
    exchanges = False
    tail = b""

    def __init__(self, header: Header) -> None:
        self._header = header

    def begin(self) -> bytes:
        """The first line."""
        header = self._header
        said = {
            "tool": f"ferryman {header.tool}",
            "started": header.started,
            "listeners": header.listeners,
            "redacted": header.redacted,
        }
        return MAGIC + f"{VERSION} {json.dumps(said)}\n".encode()

    def record(self, record: feed.Record) -> bytes:
        """The record's frame; a chunk too large for one is cut in several."""
        if not isinstance(record, feed.Chunk) or len(record.data) <= feed.FRAME_LIMIT:
            return feed.encode(record)
        data = memoryview(record.data)
        frames = bytearray()
        for at in range(0, len(data), feed.FRAME_LIMIT):
            piece = data[at : at + feed.FRAME_LIMIT]
            frames += feed.chunk_header(record.connection, record.at, record.direction, len(piece))
            frames += piece
        return bytes(frames)

    def recognised(self, _connection: int, _protocol: str) -> bytes:
        """Nothing: who reads it will recognise it again."""
        return b""

    def exchange(self, _exchange: Exchange) -> bytes:
        """Nothing: who reads it will put it together again."""
        return b""

    def finish(self) -> bytes:
        """Nothing is held back."""
        return b""


class Reader:
    """Reads such a file, in pieces of any size; ``header`` is there once ``receive`` has been
    given the first line.
    """

    def __init__(self) -> None:
        self.header: Header | None = None
        self.damage = ""
        self._line = bytearray()
        self._frames = feed.Frames()
        self._whole = 0

    def receive(self, data: bytes) -> Iterator[feed.Record]:
        """The records that are whole now; none after ``damage``. Raises UserError if this is no
        such file, or one of a later version.
        """
        if self.header is None:
            data = self._first_line(data)
            if self.header is None:
                return
        if self.damage:
            return
        try:
            for record in self._frames.receive(data):
                self._whole += 1
                yield record
        except PeerError:
            self.damage = f"it is damaged after {self._whole} records; what follows is lost"

    def finish(self) -> None:
        """The file ends here: ``damage`` says if that was early; raises UserError if foreign."""
        if self.header is None:
            raise _foreign() if self._line else _foreign("this file is empty")
        left = self._frames.incomplete
        if left and not self.damage:
            self.damage = (
                f"it was cut short after {self._whole} records ({left} bytes are no whole one)"
            )

    def _first_line(self, data: bytes) -> bytes:
        """Take the first line off what comes; returns what follows it."""
        before, newline, rest = data.partition(b"\n")
        self._line += before
        if not MAGIC.startswith(self._line[: len(MAGIC)]) or len(self._line) > _LINE_LIMIT:
            raise _foreign()
        if newline:
            self.header = _header(bytes(self._line))
        return rest


def _header(line: bytes) -> Header:
    if not line.startswith(MAGIC):
        raise _foreign()
    version, _, said = line[len(MAGIC) :].partition(b" ")
    if version.isdigit() and int(version[:9]) > VERSION:
        raise UserError(
            f"this recording is of version {int(version[:9])}, and version {VERSION} is known here",
            "read it with a newer ferry",
        )
    try:
        fields = json.loads(said)
        return Header(
            str(fields["tool"]).removeprefix("ferryman "),
            int(fields["started"]),
            tuple(map(str, fields["listeners"])),
            bool(fields["redacted"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError("this recording's first line is damaged") from error


def _foreign(said: str = "this is no recording of ferry's") -> UserError:
    return UserError(said, "ferry show reads what `-w FILE.ferry` and `-w FILE.har` wrote")
