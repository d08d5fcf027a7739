from __future__ import annotations

import asyncio

import pytest

from ferryman.runtime.clock import ManualClock
from ferryman.runtime.tasks import Tasks, sleep_unless


async def test_closing_cancels_and_awaits_every_task() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # cleaning up takes a moment
            ended.append(name)

    async with Tasks() as tasks:
        tasks.start(work("a"), "a")
        tasks.start(work("b"), "b")
        await asyncio.sleep(0)
        assert len(tasks) == 2
    assert sorted(ended) == ["a", "b"]
    assert len(tasks) == 0


async def test_a_failure_is_told_and_ends_no_other_task() -> None:
    failures: list[BaseException] = []
    go = asyncio.Event()

    async def fail() -> None:
        raise ValueError("broken")

    async def work() -> str:
        await go.wait()
        return "done"

    async with Tasks(failures.append) as tasks:
        other = tasks.start(work(), "other")
        failing = tasks.start(fail(), "failing")
        await asyncio.wait([failing])
        go.set()
        assert await other == "done"
    assert [str(error) for error in failures] == ["broken"]


async def test_nothing_starts_once_the_owner_is_closed() -> None:
    tasks = Tasks()
    await tasks.close()
    with pytest.raises(RuntimeError, match="late"):
        tasks.start(asyncio.sleep(0), "late")


async def test_a_task_may_close_its_own_owner() -> None:
    tasks = Tasks()
    closing = tasks.start(tasks.close(), "closing")
    await closing
    assert not closing.cancelled()


async def test_a_sleep_ends_early_when_the_event_is_set() -> None:
    clock, event = ManualClock(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        sleeping = group.create_task(sleep_unless(clock, 5.0, event))
        await clock.advance(4.9)
        assert not sleeping.done()
        event.set()
        assert await sleeping
    assert clock.waiting == 0


async def test_a_sleep_ends_in_time_when_the_event_is_not_set() -> None:
    clock = ManualClock()
    async with asyncio.TaskGroup() as group:
        sleeping = group.create_task(sleep_unless(clock, 5.0, asyncio.Event()))
        await clock.advance(5.0)
        assert sleeping.done()
    assert not sleeping.result()


async def test_a_cancelled_sleep_leaves_no_sleeper() -> None:
    clock = ManualClock()
    async with asyncio.TaskGroup() as group:
        sleeping = group.create_task(sleep_unless(clock, 5.0, asyncio.Event()))
        await clock.advance(1.0)
        sleeping.cancel()
    assert sleeping.cancelled()
    assert clock.waiting == 0
