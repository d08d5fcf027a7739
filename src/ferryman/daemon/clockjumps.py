"""Notices that the machine slept: what was connected before may be dead without a sign.

A laptop that wakes, a virtual machine that is resumed: the wall clock has moved on and the
monotonic one has not (Linux, macOS), or the process itself stood still. ``wiring`` then calls all
wires in question and makes the informers list again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ferryman.runtime.clock import Clock

INTERVAL = 1.0
TOLERANCE = 3.0
"""Seconds; an adjusted clock (NTP) slews by less, and a false alarm costs one PING per wire."""


def jumped(wall: float, monotonic: float) -> bool:
    """Whether these seconds by either clock, between two looks ``INTERVAL`` apart, are odd."""
    return abs(wall - monotonic) > TOLERANCE or monotonic - INTERVAL > TOLERANCE


async def watch(clock: Clock, awake: Callable[[], Awaitable[None]]) -> None:
    """Call ``awake`` after every jump, until cancelled."""
    wall, monotonic = clock.now(), clock.monotonic()
    while True:
        await clock.sleep(INTERVAL)
        wall_now, monotonic_now = clock.now(), clock.monotonic()
        if jumped((wall_now - wall).total_seconds(), monotonic_now - monotonic):
            await awake()
        wall, monotonic = wall_now, monotonic_now
