"""What lets a direction of a flow read only as its faults allow: ``faults`` decides, this acts.

A flow asks its valve before it reads. While the valve is shut the flow does not want to read, so
that the sender feels back-pressure; the valve opens by a timer. How much has come and was not read
the kernel or the stream can tell.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from math import inf
from typing import TYPE_CHECKING

from ferryman.dataplane.faults import Abort, Chance, Course, Pass, WaitUntil, course
from ferryman.inspection.feed import DOWN, UP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.dataplane.contract import Side
    from ferryman.dataplane.loop import Call, Loop, Timer
    from ferryman.faults import Fault

_UNKNOWN = 128 * 1024  # what one read brings, where nobody can tell


class Valve:
    """One direction's; ``opened`` is called when a wait is over."""

    __slots__ = ("_course", "_loop", "_opened", "_passed", "_timer", "forever", "shut")

    def __init__(self, loop: Loop, course: Course) -> None:
        self._loop = loop
        self._course = course
        self._opened: Call = _nobody
        self._passed = 0
        self._timer: Timer | None = None
        self.shut = False
        self.forever = False
        """Whether it will never open again."""

    def attach(self, opened: Call) -> None:
        """Whom to call; instead of an earlier one, who is called no more."""
        self.close()
        self._opened = opened

    def ask(self, source: Side) -> int | str:
        """How many bytes may be read now: 0 while it is shut. Or why the connection must end."""
        come = self._passed + 1
        if self._course.arrivals:
            come = self._passed + max(1, unread(source))
        now = self._loop.now()
        match self._course.step(self._passed, come, now):
            case Pass(limit):
                self.shut = False
                return limit
            case WaitUntil(when):
                self._shut_until(when)
                return 0
            case Abort(why):
                return why

    def passed(self, count: int) -> None:
        """So many bytes were read."""
        self._passed += count

    def over(self) -> str:
        """Why the connection must end now that these have passed; empty: it goes on."""
        if not self._course.ends:
            return ""
        step = self._course.step(self._passed, self._passed + 1, self._loop.now())
        return step.why if isinstance(step, Abort) else ""

    def retry(self) -> None:
        """Open it a little later: what has passed is still on its way."""
        self._shut_until(self._loop.now() + 0.005)

    def close(self) -> None:
        """Call nobody any more."""
        self._opened = _nobody
        self._stop()

    def _shut_until(self, when: float) -> None:
        self._stop()
        self.shut = True
        self.forever = when == inf
        if not self.forever:
            self._timer = self._loop.call_at(when, self._open)

    def _open(self) -> None:
        self._timer = None
        self.shut = False
        self._opened()

    def _stop(self) -> None:
        self.shut = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


Valves = tuple[Valve | None, Valve | None]
"""A connection's, up and down; None where nothing holds it up."""


def valves(loop: Loop, faults: Iterable[Fault], chance: Chance) -> Valves:
    """What these faults make of a connection."""
    faults = tuple(faults)
    up, down = course(faults, UP, chance), course(faults, DOWN, chance)
    return Valve(loop, up) if up else None, Valve(loop, down) if down else None


def unread(side: Side) -> int:
    """How many bytes have come that were not read."""
    if side.fd is None:
        waiting: int = getattr(side, "waiting", _UNKNOWN)  # a stream on a wire knows it
        return waiting
    return int(struct.unpack("i", fcntl.ioctl(side.fd, termios.FIONREAD, bytes(4)))[0])


def _nobody() -> None:
    """Nobody waits."""
