"""Lines for people that never hold up the bytes: collected, and written when stderr takes them.

A terminal that is stopped with Ctrl-S, or a reader that fell asleep, must not stop a relay. So
lines are written a few at a time once poll(2) says that they will be taken, and past a bound they
are dropped and counted.
"""

from __future__ import annotations

import os
import select
import sys
from collections import deque

from ferryman.dataplane.contract import Closed, DialFailed, Event, InspectorLost, Opened
from ferryman.dataplane.loop import Loop

_DELAY = 0.02
_RETRY = 0.2
_MOST = 10_000
_CHUNK = 4096  # POSIX: a pipe that polls writable takes this much (PIPE_BUF) without blocking


class Lines:
    """A bounded queue of lines on its way to stderr, on a loop."""

    def __init__(self, loop: Loop, descriptor: int | None = None) -> None:
        self._loop = loop
        self._descriptor = sys.stderr.fileno() if descriptor is None else descriptor
        self._lines: deque[bytes] = deque()
        self._dropped = 0
        self._due = False

    def add(self, line: str) -> None:
        """Write a line soon."""
        if len(self._lines) >= _MOST:
            self._dropped += 1
            return
        self._lines.append(line.encode(errors="replace") + b"\n")
        if not self._due:
            self._due = True
            self._loop.call_later(_DELAY, self._flush)

    def close(self) -> None:
        """Write what can still be written without waiting."""
        self._flush()

    def _flush(self) -> None:
        self._due = False
        while self._lines and self._writable():
            try:
                os.write(self._descriptor, self._next_chunk())
            except OSError:
                self._lines.clear()  # nobody reads any more
                return
        if self._lines:
            self._due = True
            self._loop.call_later(_RETRY, self._flush)
        elif self._dropped:
            dropped, self._dropped = self._dropped, 0
            self.add(f"({dropped} lines were dropped: nobody read them in time)")

    def _next_chunk(self) -> bytes:
        chunk = [self._lines.popleft()[:_CHUNK]]
        length = len(chunk[0])
        while self._lines and length + len(self._lines[0]) <= _CHUNK:
            chunk.append(self._lines.popleft())
            length += len(chunk[-1])
        return b"".join(chunk)

    def _writable(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(0))


def happened(event: Event, *, quiet: bool = False) -> str:
    """The line that tells an event of a connection; empty if there is nothing to tell."""
    match event:
        case DialFailed(final=True, connection=0):
            return event.message  # there was no connection yet
        case DialFailed(final=True):
            return f"#{event.connection} reset: {event.message}"
        case InspectorLost():
            return f"{event.message}; bytes go on, unseen"
        case _ if quiet:
            return ""
        case Opened():
            return f"#{event.connection} {event.client} -> {event.endpoint}"
        case Closed():
            carried = f"{size(event.up)} up, {size(event.down)} down, {event.seconds:.1f} s"
            end = f"reset: {event.reset}" if event.reset else "closed"
            return f"#{event.connection} {end}: {carried}"
        case DialFailed():
            return f"#{event.connection} waits: {event.message}"
        case _:
            return ""


def size(count: int) -> str:
    """A number of bytes for people, in powers of 1000: ``17 B``, ``1.2 kB``, ``35 MB``."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    digits = 1 if unit != "B" and value < 9.95 else 0
    return f"{value:.{digits}f} {unit}"
