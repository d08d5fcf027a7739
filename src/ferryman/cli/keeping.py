"""Files that ``-w`` names: made for their owner only, written as things happen, whole at any time.

What goes into them is ``inspection.exports``' business. A disk that is full ends the file, with one
error, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from typing import Literal

from ferryman import __version__
from ferryman.cli.output import UsageError
from ferryman.errors import UserError
from ferryman.inspection.exchanges import Exchange
from ferryman.inspection.exports import Exporter
from ferryman.inspection.feed import Record

Kind = Literal["ferry", "pcapng", "har"]
KINDS: tuple[Kind, ...] = ("ferry", "pcapng", "har")

_BATCH = 256 << 10


class Keeping:
    """One file. ``error`` says why nothing more is written, or is empty."""

    def __init__(self, path: str, descriptor: int, exporter: Exporter) -> None:
        self.path = path
        self.error = ""
        self._descriptor = descriptor
        self._exporter = exporter
        self._end = 0
        self._pending = [exporter.begin()]
        self._size = len(self._pending[0])

    def record(self, record: Record) -> None:
        """Keep what was carried; ``record``'s bytes are as they may be kept: masked."""
        self._add(self._exporter.record(record))

    def recognised(self, connection: int, protocol: str) -> None:
        """Note a connection's protocol; before its bytes, if that can be."""
        self._add(self._exporter.recognised(connection, protocol))

    def exchange(self, exchange: Exchange) -> None:
        """Keep an exchange that is over."""
        self._add(self._exporter.exchange(exchange))

    def flush(self) -> None:
        """Write what waits, so that the file is whole; cheap if nothing does."""
        if not self._pending:
            return
        data = b"".join(self._pending)
        self._pending.clear()
        self._size = 0
        if not self.error:
            self._write(data)

    def close(self) -> None:
        """Write the rest and close the file; may be called again."""
        if self._descriptor < 0:
            return
        self._add(self._exporter.finish())
        self.flush()
        try:
            os.close(self._descriptor)
        except OSError as error:
            self._fail(error)
        self._descriptor = -1

    def _add(self, data: bytes) -> None:
        if not data or self._descriptor < 0:
            return
        self._pending.append(data)
        self._size += len(data)
        if self._size >= _BATCH:
            self.flush()

    def _write(self, data: bytes) -> None:
        view, at = memoryview(data + self._exporter.tail), self._end
        try:
            while view:
                written = os.pwrite(self._descriptor, view, at)
                view, at = view[written:], at + written
        except OSError as error:
            self._fail(error)
        else:
            self._end += len(data)

    def _fail(self, error: OSError) -> None:
        self.error = self.error or f"{self.path} ends early: {error.strerror}"


def kind_of(path: str) -> Kind:
    """Which format a file's name asks for; raises UsageError."""
    for kind in KINDS:
        if path.endswith("." + kind):
            return kind
    known = ", ".join("." + kind for kind in KINDS)
    raise UsageError(f"cannot tell what to write to {path!r}", f"end its name with one of {known}")


def open_all(
    paths: Sequence[str],
    *,
    started: int,
    listeners: Sequence[str] = (),
    redacted: bool = True,
    force: bool = False,
) -> list[Keeping]:
    """Make the files; raises UserError, and then leaves none behind that was not there."""
    kept: list[Keeping] = []
    made: list[str] = []
    try:
        for path in paths:
            exporter = _exporter(kind_of(path), started, listeners, redacted)
            there = os.path.lexists(path)
            descriptor = _create(path, force)
            if not there:
                made.append(path)
            kept.append(Keeping(path, descriptor, exporter))
            kept[-1].flush()
    except UserError:
        for keeping in kept:
            keeping.close()
        for path in made:
            with contextlib.suppress(OSError):
                os.unlink(path)
        raise
    return kept


def _create(path: str, force: bool) -> int:
    """A file of mode 0600 that is empty; what is no ordinary file is refused, also with force."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    flags |= os.O_NONBLOCK if force else os.O_EXCL  # a FIFO there must not make us wait
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise UserError(f"{path} exists", "name another file, or add --force") from error
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{path} is no ordinary file", "name another file")
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
    except UserError:
        os.close(descriptor)
        raise
    except OSError as error:
        os.close(descriptor)
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return descriptor


def _exporter(kind: Kind, started: int, listeners: Sequence[str], redacted: bool) -> Exporter:
    if kind == "pcapng":
        from ferryman.inspection.exports.pcapng import Pcapng

        return Pcapng(__version__)
    if kind == "har":
        from ferryman.inspection.exports.har import Har

        return Har(__version__)
    from ferryman.inspection.exports.recording import Header, Recording

    return Recording(Header(__version__, started, tuple(listeners), redacted))
