"""A file that ``-w`` wrote, opened again: ``show`` and ``replay`` read it.

What it is, is told by what is in it, not by its name. A recording comes in pieces of any length,
so it may be longer than memory; a HAR is read whole, up to a limit.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ferryman.errors import UserError
from ferryman.inspection import feed
from ferryman.inspection.events import MessageBegan, MessageData, MessageEnded
from ferryman.inspection.exchanges import Exchange
from ferryman.inspection.exports.recording import MAGIC, Header, Reader
from ferryman.inspection.session import Decoded, Seen
from ferryman.inspection.sessions import Sessions

HAR_LIMIT = 512 << 20
"""The longest HAR that is read, in bytes."""

_BLOCK = 256 << 10
_PCAPNG, _PCAP = b"\x0a\x0d\x0d\x0a", (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4")


class Kept:
    """One file; ``damage`` says, once all of it was read, what is wrong with it, or is empty."""

    def __init__(self, path: str) -> None:
        """Raises UserError if it cannot be read or is none of ours. "-" is standard input."""
        self.path = path
        self.damage = ""
        self._file = _open(path)
        try:
            self._first = _read(self._file, path)
            self.is_har = self._first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
            self.header = Header("", 0) if self.is_har else self._recorded()
        except UserError:
            self.close()
            raise

    def close(self) -> None:
        """It is not needed any more."""
        if self._file is not sys.stdin.buffer:
            self._file.close()

    def exchanges(self, *, redact: bool) -> list[Exchange]:
        """Those of a HAR; raises UserError if it is none."""
        from ferryman.inspection.exports.har_reading import from_har

        data = bytearray(self._first)
        while block := _read(self._file, self.path):
            data += block
            if len(data) > HAR_LIMIT:
                raise UserError(f"{self.path} is longer than {HAR_LIMIT >> 20} MiB")
        return from_har(bytes(data), redact=redact)

    def records(self) -> Iterator[feed.Record]:
        """Those of a recording, as far as it is whole; may be called again for a file."""
        if self._file.seekable():
            self._file.seek(0)
            block = _read(self._file, self.path)
        else:
            block = self._first
        reader = Reader()
        while block:
            yield from reader.receive(block)
            block = b"" if reader.damage else _read(self._file, self.path)
        reader.finish()
        self.damage = reader.damage

    @property
    def seekable(self) -> bool:
        """Whether ``records`` may be called again."""
        return self._file.seekable()

    def _recorded(self) -> Header:
        """The first line of a recording."""
        if self._first.startswith((_PCAPNG, *_PCAP)):
            raise UserError(
                f"{self.path} is Wireshark's: ferry writes such files, and does not read them",
                "keep a .ferry too (-w may be repeated); it can be made into a .pcapng later",
            )
        if self._first.startswith(MAGIC):
            while b"\n" not in self._first and len(self._first) < _BLOCK:
                more = _read(self._file, self.path)
                if not more:
                    break
                self._first += more
        reader = Reader()
        for _ in reader.receive(self._first):
            break
        if reader.header is None:
            reader.finish()  # which says what it is not
            raise UserError(f"{self.path} is no recording")
        return reader.header


def selected(
    records: Iterable[feed.Record], only: str, search: str, *, redact: bool
) -> Iterator[int]:
    """The connections in which something is wanted: ``only`` is ``--only``, ``search`` ``--grep``.

    Raises UserError if these make no sense.
    """
    from ferryman.inspection.filters import Filter, grep
    from ferryman.inspection.selection import Selection

    chosen = Selection(Filter(only) if only else None, grep(search) if search else None)
    sessions = Sessions(redact=redact, body_limit=max(1, chosen.body_limit))
    at = 0
    for record in records:
        at = record.at
        for seen in sessions.receive(record):
            yield from (one.connection for one in chosen.receive(seen) if _is_said(one))
    yield from (one.connection for one in chosen.finish(at) if _is_said(one))


def _is_said(seen: Seen) -> bool:
    """Whether it is something that was said, rather than of the connection."""
    if isinstance(seen, Decoded):
        return isinstance(seen.event, MessageBegan | MessageData | MessageEnded)
    return isinstance(seen, feed.Chunk)


def _open(path: str) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.fdopen(descriptor, "rb", buffering=0)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _read(file: BinaryIO, path: str) -> bytes:
    try:
        return file.read(_BLOCK) or b""
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
