"""The bounded way to the inspector: frames into a pipe, which traffic never waits for.

Small frames are gathered for a moment and written together; large ones go at once. What the pipe
does not take is kept, up to a limit; bytes that are being spliced get here by tee(2) and are not
copied at all as long as the inspector keeps up. ``observing`` decides what is told, and counts
what finds no room.
"""

from __future__ import annotations

import fcntl
import functools
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
_LARGE = 32 * 1024
_AT_ONCE = 64  # buffers in one writev; IOV_MAX is 1024, but a batch is larger than the pipe sooner


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
        self._frames: deque[bytes | memoryview | None] = deque()  # None: what is in the side pipe
        self._size = 0
        self._side: Pipe | None = None
        self._teed = 0
        self._timer: Timer | None = None
        self._stuck = False
        self._drained: Callable[[], None] | None = None

    @property
    def empty(self) -> bool:
        """Whether the inspector has, or will never get, everything."""
        return not self._frames

    def fits(self, size: int) -> bool:
        """Whether there is room for a chunk."""
        if self._size + size > LIMIT:
            self._write()
        return self._size + size <= LIMIT and not self._over

    @functools.cached_property
    def tees(self) -> bool:
        """Whether bytes can be taken out of a pipe of full size."""
        try:
            side = Pipe()
        except OSError:
            return False
        if side.size < SIZE or self._over:
            side.close()
            return False
        self._side = side
        return True

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
        if self._fd is not None and not self._frames:
            written = self._written([header, data])
        if not self._over and written < len(header) + len(data):
            self._append(b"".join((header, data))[written:])
            self._flush_soon()

    def add_teed(self, source: Pipe, count: int) -> int:
        """Take a copy of a pipe's first bytes, which are the next frame's; says how many.

        ``tell_teed`` must follow, with the frame's header.
        """
        if self._teed:
            self._write()
            if self._teed and not self._spill():
                return 0
        if self._over or not self.tees or self._side is None:
            return 0
        self._teed = tee(source, self._side, count)
        return self._teed

    def tell_teed(self, header: bytes) -> None:
        """The header of what ``add_teed`` took."""
        self._append(header)
        self._frames.append(None)
        self._write()
        if self._fd is None:
            self._flush_soon()

    def when_empty(self, call: Callable[[], None] | None) -> None:
        """Call once all is written; None: not any more."""
        self._drained = call

    def close(self) -> None:
        """Drop what is left and close the pipe."""
        self._over = True
        self._frames.clear()
        self._size = self._teed = 0
        if self._timer is not None:
            self._timer.cancel()
        if self._side is not None:
            self._side.close()
            self._side = None
        if self._fd is not None:
            self._loop.remove(self._fd)
            os.close(self._fd)
            self._fd = None

    def _append(self, frame: bytes) -> None:
        self._frames.append(frame)
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
        fd, frames = self._fd, self._frames
        if fd is None:
            return
        stuck = False
        while frames and not stuck and not self._over:
            if frames[0] is None:
                stuck = not self._write_teed(fd)
                continue
            batch = _until_teed(frames)
            written = self._written(batch)
            stuck = written < sum(map(len, batch))
            self._forget(written)
        if stuck != self._stuck and not self._over:
            self._stuck = stuck
            self._loop.modify(fd, WRITE if stuck else 0)
        if not frames and self._drained is not None:
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

    def _write_teed(self, fd: int) -> bool:
        side = self._side
        if side is None:
            return False
        try:
            self._teed -= os.splice(side.read, fd, self._teed, flags=SPLICE)
        except BlockingIOError:
            return False
        except OSError as error:
            self._fail(error.strerror or str(error))
            return False
        if not self._teed:
            self._frames.popleft()
        return not self._teed

    def _forget(self, written: int) -> None:
        self._size -= written
        frames = self._frames
        while written and frames:
            first = frames[0]
            if first is None or written < len(first):
                if first is not None:
                    frames[0] = memoryview(first)[written:]
                return
            written -= len(first)
            frames.popleft()

    def _spill(self) -> bool:
        """Empty the side pipe into memory, if there is room."""
        if self._side is None or not self.fits(self._teed):
            return False
        place = self._frames.index(None)
        data = os.read(self._side.read, self._teed)
        self._frames[place] = data
        self._size += len(data)
        self._teed = 0
        return True

    def _fail(self, why: str) -> None:
        if not self._over:
            self.close()
            self._lost(why)


def _until_teed(frames: Iterable[bytes | memoryview | None]) -> list[bytes | memoryview]:
    """The next frames that are in memory, as many as are written at once."""
    batch: list[bytes | memoryview] = []
    for frame in islice(frames, _AT_ONCE):
        if frame is None:
            break
        batch.append(frame)
    return batch
