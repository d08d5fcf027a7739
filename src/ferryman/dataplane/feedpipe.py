"""The bounded way to the inspector: frames into a pipe, which traffic never waits for.

Small frames are gathered for a moment and written together; large ones go at once. What the pipe
does not take is kept, up to a limit. Bytes that are being spliced are duplicated by tee(2) into
pipes of our own, which keep them until the inspector takes them: they are not copied, and leave in
larger pieces than memory does. ``observing`` decides what is told, and counts what finds no room.
"""

from __future__ import annotations

import fcntl
import os
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from ferryman.dataplane.contract import WRITE
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.pipes import SET_PIPE_SIZE, SIZE, SPLICE, Pipe, tee

LIMIT = 8 << 20
"""Bytes kept in memory for an inspector that does not take them."""
GATHER = 0.002
"""Seconds for which small frames wait for company: every write wakes the inspector."""
SIDES = 8
"""Pipes for what is teed; each takes one splice's bytes, at most 1 MiB."""
_LARGE = 32 * 1024
_AT_ONCE = 64  # buffers in one writev; IOV_MAX is 1024, but a batch is larger than the pipe sooner


class Teed:
    """So many bytes in a pipe of ours."""

    __slots__ = ("left", "pipe", "size")

    def __init__(self, pipe: Pipe, size: int) -> None:
        self.pipe = pipe
        self.size = self.left = size


Part = bytes | memoryview | Teed
"""A frame, the rest of one, or a chunk's bytes; its header goes before them."""


class FeedPipe:
    """A queue of frames; ``start`` is asked for the pipe's descriptor when the first is written,
    and ``lost`` is told when nobody reads it any more. The descriptor is closed in the end.
    """

    def __init__(
        self, loop: Loop, start: Callable[[], int | None], lost: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._start = start
        self._lost = lost
        self._fd: int | None = None
        self._over = False
        self._parts: deque[Part] = deque()
        self._size = 0  # of those in memory
        self._spare: list[Pipe] = []
        self._sides = 0
        self._timer: Timer | None = None
        self._stuck = False
        self._drained: Callable[[], None] | None = None

    @property
    def empty(self) -> bool:
        """Whether the inspector has, or will never get, everything."""
        return not self._parts

    def fits(self, size: int) -> bool:
        """Whether there is room for a chunk."""
        if self._size + size > LIMIT:
            self._write()
        return self._size + size <= LIMIT and not self._over

    def tees(self) -> bool:
        """Whether the bytes of a pipe could be taken out of it now; else they have to be read."""
        if not self._spare:
            side = self._side()
            if side is not None:
                self._spare.append(side)
        return bool(self._spare)

    def add(self, frame: bytes) -> None:
        """A frame that must not be missed; whoever has many of them asks ``fits`` for the first."""
        if not self._over:
            self._append(frame)
            self._flush_soon()

    def add_chunk(self, header: bytes, data: memoryview) -> None:
        """A frame that ``fits``."""
        if len(data) < _LARGE:
            self.add(b"".join((header, data)))
            return
        self._write()
        written = 0
        if self._fd is not None and not self._parts:
            written = self._written([header, data])
        if not self._over and written < len(header) + len(data):
            self._append(b"".join((header, data))[written:])
            self._flush_soon()

    def tee(self, source: Pipe, count: int) -> Teed | None:
        """Duplicate a pipe's first bytes, if ``tees`` holds; ``add_teed`` must follow."""
        if not self._spare:
            return None
        side = self._spare.pop()
        size = tee(source, side, count)
        if not size:
            self._spare.append(side)
            return None
        return Teed(side, size)

    def add_teed(self, header: bytes, teed: Teed) -> None:
        """What ``tee`` took, and its header."""
        self._append(header)
        self._parts.append(teed)
        self._write()
        if self._fd is None:
            self._flush_soon()

    def when_empty(self, call: Callable[[], None] | None) -> None:
        """Call once all is written; None: not any more."""
        self._drained = call

    def close(self) -> None:
        """Drop what is left and close the pipe."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._spare += [part.pipe for part in self._parts if isinstance(part, Teed)]
        self._parts.clear()
        self._size = 0
        while self._spare:
            self._spare.pop().close()
        if self._fd is not None:
            self._loop.remove(self._fd)
            os.close(self._fd)
            self._fd = None

    def _append(self, frame: bytes) -> None:
        self._parts.append(frame)
        self._size += len(frame)

    def _flush_soon(self) -> None:
        if self._timer is None and not self._stuck:
            self._timer = self._loop.call_later(GATHER, self._flush)

    def _flush(self) -> None:
        self._timer = None
        if self._fd is None and not self._over:
            self._open()
        self._write()

    def _open(self) -> None:
        fd = self._start()
        if fd is None:
            self._fail("there is none")
            return
        os.set_blocking(fd, False)
        try:
            fcntl.fcntl(fd, SET_PIPE_SIZE, SIZE)
        except OSError:
            pass  # no pipe, not Linux, or not allowed to grow
        self._fd = fd
        self._loop.add(fd, 0, self._ready)

    def _ready(self, mask: int) -> None:
        if mask & ~WRITE:
            self._fail("it is gone")
        else:
            self._push()

    def _write(self) -> None:
        """Write what the pipe takes, unless it is known to be full."""
        if not self._stuck:
            self._push()

    def _push(self) -> None:
        fd, parts = self._fd, self._parts
        if fd is None:
            return
        stuck = False
        while parts and not stuck and not self._over:
            first = parts[0]
            if isinstance(first, Teed):
                stuck = not self._write_teed(fd, first)
                continue
            batch = _in_memory(parts)
            written = self._written(batch)
            stuck = written < sum(map(len, batch))
            self._forget(written)
        if stuck != self._stuck and not self._over:
            self._stuck = stuck
            self._loop.modify(fd, WRITE if stuck else 0)
        if not parts and self._drained is not None:
            self._drained()

    def _written(self, batch: list[bytes | memoryview]) -> int:
        if self._fd is None:
            return 0
        try:
            return os.writev(self._fd, batch)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._fail(error.strerror or str(error))
            return 0

    def _write_teed(self, fd: int, teed: Teed) -> bool:
        """True once it is all written."""
        try:
            teed.left -= os.splice(teed.pipe.read, fd, teed.left, flags=SPLICE)
        except BlockingIOError:
            return False
        except OSError as error:
            self._fail(error.strerror or str(error))
            return False
        if not teed.left:
            self._parts.popleft()
            self._spare.append(teed.pipe)
        return not teed.left

    def _forget(self, written: int) -> None:
        """So much of what is in memory has been written."""
        self._size -= written
        parts = self._parts
        while written and parts and not isinstance(first := parts[0], Teed):
            if written < len(first):
                parts[0] = memoryview(first)[written:]
                return
            written -= len(first)
            parts.popleft()

    def _side(self) -> Pipe | None:
        """Another pipe of our own, as large as those that are teed from."""
        if self._over or self._sides == SIDES:
            return None
        try:
            pipe = Pipe()
        except OSError:
            return None
        if pipe.size < SIZE:
            pipe.close()
            return None
        self._sides += 1
        return pipe

    def _fail(self, why: str) -> None:
        if not self._over:
            self.close()
            self._lost(why)


def _in_memory(parts: Iterable[Part]) -> list[bytes | memoryview]:
    """The first ones up to what is teed, as many as are written at once."""
    batch: list[bytes | memoryview] = []
    for part in islice(parts, _AT_ONCE):
        if isinstance(part, Teed):
            break
        batch.append(part)
    return batch
