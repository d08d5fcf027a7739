"""How long a flow may be silent: altogether, and once one of its directions has ended.

These are socat's -T and -t. The flow's counts are looked at a few times within the shorter of the
two, so an end comes up to a quarter of it late; bytes cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.dataplane.flow import Flow
    from ferryman.dataplane.loop import Loop, Timer

_SHORTEST = 0.01


class Patience:
    """Calls ``over`` once the flow was silent for too long; times in seconds, 0 is without end."""

    def __init__(
        self, loop: Loop, flow: Flow, idle: float, linger: float, over: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._flow = flow
        self._idle = idle
        self._linger = linger
        self._over = over
        self._seen = (0, 0, False)
        self._since = loop.now()
        self._step = max(_SHORTEST, min(limit for limit in (idle, linger) if limit > 0) / 4)
        self._timer: Timer = loop.call_later(self._step, self._look)

    def cancel(self) -> None:
        """Wait no more."""
        self._timer.cancel()

    def _look(self) -> None:
        up, down = self._flow.up, self._flow.down
        half = up.eof or down.eof
        now, seen = self._loop.now(), (up.count, down.count, half)
        if seen != self._seen:
            self._seen, self._since = seen, now
        limit = self._linger if half and self._linger else self._idle
        if limit and now - self._since >= limit:
            self._over()
        else:
            self._timer = self._loop.call_later(self._step, self._look)
