import asyncio
from datetime import datetime, timedelta

import pytest

from ferryman.daemon.clockjumps import INTERVAL, jumped, watch
from ferryman.runtime.clock import ManualClock


@pytest.mark.parametrize(
    ("wall", "monotonic", "odd"),
    [
        (1.0, 1.0, False),
        (1.5, 1.5, False),
        (2.0, 1.0, False),
        (3600.0, 1.0, True),
        (-3600.0, 1.0, True),
        (20.0, 20.0, True),
    ],
    ids=["normal", "a little late", "slewed", "slept", "set back", "stood still"],
)
def test_a_jump_is_told_from_a_late_turn(wall: float, monotonic: float, odd: bool) -> None:
    assert jumped(wall, monotonic) is odd


class SleepyClock(ManualClock):
    """Its wall clock can be moved without the monotonic one, as a sleeping machine does."""

    slept = timedelta()

    def now(self) -> datetime:
        return super().now() + self.slept


async def test_each_sleep_of_the_machine_is_told_once() -> None:
    clock, woken = SleepyClock(), 0

    async def awake() -> None:
        nonlocal woken
        woken += 1

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch(clock, awake))
        for hours, expected in ((0, 0), (0, 0), (8, 1), (8, 1), (9, 2)):
            clock.slept = timedelta(hours=hours)
            await clock.advance(INTERVAL)
            assert woken == expected
        watching.cancel()
