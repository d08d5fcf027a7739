"""``ferry socat -v`` and ``-x``: every block is written before its bytes go on, as socat does it.

What the engine has for an inspector (``dataplane.observing``) is here a dump in the same process:
whole blocks, never interleaved, nothing dropped. It is slow, as socat's is; `ferry relay -v` is
for those who want it fast.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from ferryman.inspection.feed import DOWN, UP, Chunk, Closed, Direction
from ferryman.inspection.forms.socat import Socat


class Dump:
    """Stands where the engine expects an Observer."""

    def __init__(self, form: Socat, descriptor: int = 2) -> None:
        self._form = form
        self._descriptor = descriptor

    def watch(self, connection: int, listener: str, client: str) -> Dumped:
        """A connection begins."""
        del listener, client
        return Dumped(self, connection)

    def close(self, done: Callable[[], None]) -> None:
        """All is written already."""
        done()

    def write(self, record: Chunk | Closed) -> None:
        """Blocks while nobody takes it."""
        view = memoryview(self._form.write(record))
        while view:
            view = view[os.write(self._descriptor, view) :]


class Dumped:
    """One connection."""

    def __init__(self, dump: Dump, connection: int) -> None:
        self._dump = dump
        self._connection = connection
        self.up = Way(dump, connection, UP)
        self.down = Way(dump, connection, DOWN)

    def opened(self, endpoint: str) -> None:
        """Not dumped."""

    def noted(self, text: str) -> None:
        """Not dumped."""

    def closed(self, reset: str) -> None:
        """Its offsets are forgotten."""
        self._dump.write(Closed(self._connection, time.time_ns(), 0, 0, reset))


class Way:
    """One direction."""

    allows_splice = False
    stretch = 0

    def __init__(self, dump: Dump, connection: int, direction: Direction) -> None:
        self._dump = dump
        self._connection = connection
        self._direction = direction

    def saw(self, data: memoryview) -> None:
        """Dump what was read."""
        self._dump.write(Chunk(self._connection, time.time_ns(), self._direction, bytes(data)))

    def teed(self, _pipe: object, _count: int) -> None:
        """Nothing is spliced."""

    def ended(self) -> None:
        """Not dumped."""
