"""Writes the files that ``-w`` names, as things happen; they are whole at any time.

``files`` has made them; what goes into them is ``inspection.exports``' business. A disk that is
full ends the file, with one error, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ferryman import __version__
from ferryman.inspection.exchanges import Exchange
from ferryman.inspection.exports import Exporter
from ferryman.inspection.feed import Record
from ferryman.inspector.files import Files, Kind, kind_of

_BATCH = 256 << 10


class Keeping:
    """One file. ``error`` says why nothing more is written, or is empty; ``raw`` and ``exchanges``
    whether it wants all bytes, and exchanges.
    """

    def __init__(self, path: str, descriptor: int, exporter: Exporter) -> None:
        self.path = path
        self.error = ""
        self.raw, self.exchanges = exporter.raw, exporter.exchanges
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


def keepings(
    files: Files, *, started: int, listeners: Sequence[str] = (), redacted: bool = True
) -> list[Keeping]:
    """Begin to write the files, which are theirs from now on; ``started`` is in nanoseconds since
    the epoch.
    """
    kept: list[Keeping] = []
    descriptors, files.descriptors = files.descriptors, {}
    for path, descriptor in descriptors.items():
        exporter = _exporter(kind_of(path), started, listeners, redacted)
        kept.append(Keeping(path, descriptor, exporter))
        kept[-1].flush()
    return kept


def _exporter(kind: Kind, started: int, listeners: Sequence[str], redacted: bool) -> Exporter:
    if kind == "pcapng":
        from ferryman.inspection.exports.pcapng import Pcapng

        return Pcapng(__version__)
    if kind == "har":
        from ferryman.inspection.exports.har import Har

        return Har(__version__)
    from ferryman.inspection.exports.recording import Header, Recording

    return Recording(Header(__version__, started, tuple(listeners), redacted))
