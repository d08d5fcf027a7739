"""Pipes for splice and tee: pooled, as big as the kernel allows, under a budget.

An unprivileged user gets about 64 pipes of 1 MiB, then new pipes are 8 KiB and cannot grow
(pipe-user-pages-soft): so pipes are few, lent to busy flows only, and when none is to be had the
flow copies. A pipe with bytes left in it is closed, never lent again.
"""

from __future__ import annotations

import fcntl
import functools
import os
from collections.abc import Callable

SIZE = 1 << 20
SPLICE = getattr(os, "SPLICE_F_MOVE", 1) | getattr(os, "SPLICE_F_NONBLOCK", 2)
SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 1031)
_WORTHWHILE = 64 * 1024


class Pipe:
    """A non-blocking pipe: bytes go in at ``write``, come out at ``read``."""

    __slots__ = ("read", "size", "write")

    def __init__(self) -> None:
        self.read, self.write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self.size = fcntl.fcntl(self.write, SET_PIPE_SIZE, SIZE)
        except OSError:
            self.size = 0  # not allowed to grow

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)


class Pipes:
    """Lends pipes; at most ``budget`` exist at a time. ``splices`` is False where splice is not."""

    def __init__(self, budget: int = 32, *, splices: bool = hasattr(os, "splice")) -> None:
        self.splices = splices
        self._budget = budget
        self._spare: list[Pipe] = []
        self.lent = 0

    def take(self) -> Pipe | None:
        """An empty pipe, or None: then copy."""
        if not self.splices or self.lent >= self._budget:
            return None
        if self._spare:
            pipe = self._spare.pop()
        else:
            try:
                pipe = Pipe()
            except OSError:
                return None  # out of descriptors: copying needs none
            if pipe.size < _WORTHWHILE:
                pipe.close()
                return None
        self.lent += 1
        return pipe

    def give_back(self, pipe: Pipe, left: int) -> None:
        """Take a pipe back, with the number of bytes that are left in it."""
        self.lent -= 1
        if left or len(self._spare) >= 4:
            pipe.close()
        else:
            self._spare.append(pipe)

    def close(self) -> None:
        """Close the spare ones; lent ones are given back by their flows."""
        while self._spare:
            self._spare.pop().close()


def tee(source: Pipe, sink: Pipe, count: int) -> int:
    """Duplicate a pipe's first bytes into an empty one without copying; says how many."""
    copied = _tee()(source.read, sink.write, count, SPLICE)
    return max(0, copied)  # -1 where there is no room


@functools.cache
def _tee() -> Callable[[int, int, int, int], int]:
    """The C library's, which Python does not have; loaded when the first bytes need it."""
    import ctypes

    function = ctypes.CDLL(None).tee
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint]
    function.restype = ctypes.c_ssize_t
    return function
