"""What a container says, kept within bounds, and the part of it that ``kubectl logs`` asks for.

A ring of lines with their times. Whoever follows reads on from a position; one that is too slow
misses the oldest lines, the container never waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

MAX_BYTES = 1 << 20
MAX_LINE = 16384


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its newline; ``time`` is when it was complete."""

    time: datetime
    text: bytes


@dataclass(frozen=True, slots=True)
class LogOptions:
    """As ``v1.PodLogOptions``: None is no limit. Timestamps go in front of each line."""

    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: datetime | None = None
    limit: int | None = None


class Log:
    """One container's output, from its start to its end."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque()
        self._size = 0
        self._dropped = 0  # lines that are no longer kept: the first kept one's position
        self._partial = b""
        self._ended = False
        self._changed = asyncio.Event()

    def feed(self, data: bytes, now: datetime) -> None:
        """Take what the process wrote; lines beyond 16 KiB are cut into several."""
        *lines, rest = (self._partial + data).split(b"\n")
        for line in lines:
            self._append(Line(now, line + b"\n"))
        while len(rest) > MAX_LINE:
            self._append(Line(now, rest[:MAX_LINE] + b"\n"))
            rest = rest[MAX_LINE:]
        self._partial = rest
        self._tell()

    def end(self, now: datetime) -> None:
        """The process is over; a last line need not have had its end."""
        if self._partial:
            self._append(Line(now, self._partial + b"\n"))
        self._partial = b""
        self._ended = True
        self._tell()

    async def read(self, options: LogOptions) -> AsyncGenerator[bytes, None]:
        """The lines asked for, several at a time; with ``follow`` until the container's end."""
        position = self._start(options)
        left = options.limit
        while True:
            changed = self._changed
            position = max(position, self._dropped)
            fresh = [self._lines[i] for i in range(position - self._dropped, len(self._lines))]
            position += len(fresh)
            if fresh:
                chunk = b"".join(_rendered(line, options) for line in fresh)
                yield chunk if left is None else chunk[:left]
                if left is not None and (left := left - len(chunk)) <= 0:
                    return
            if not options.follow or self._ended:
                return
            await changed.wait()

    def _start(self, options: LogOptions) -> int:
        kept = list(self._lines)
        first = 0
        if options.since is not None:
            since = options.since
            first = sum(line.time < since for line in kept)
        if options.tail is not None:
            first = max(first, len(kept) - options.tail)
        return self._dropped + first

    def _append(self, line: Line) -> None:
        self._lines.append(line)
        self._size += len(line.text)
        while self._size > MAX_BYTES:
            self._size -= len(self._lines.popleft().text)
            self._dropped += 1

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _rendered(line: Line, options: LogOptions) -> bytes:
    if not options.timestamps:
        return line.text
    return line.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode() + b" " + line.text
