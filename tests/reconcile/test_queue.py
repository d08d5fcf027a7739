from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ferryman.api.resource import Name
from ferryman.reconcile.queue import Queue
from ferryman.runtime.clock import ManualClock

A, B = Name("a"), Name("b")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def queue(clock: ManualClock) -> AsyncIterator[Queue]:
    queue = Queue(clock, rand=lambda: 0.0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(queue.run())
        yield queue
        running.cancel()


async def take(queue: Queue) -> Name:
    async with asyncio.timeout(5):
        return await queue.get()


async def test_requests_come_out_once_in_the_order_they_came_in(queue: Queue) -> None:
    for request in (A, B, A, A):
        queue.add(request)
    assert [await take(queue), await take(queue)] == [A, B]
    assert len(queue) == 0


async def test_what_is_added_while_in_work_comes_out_once_more_afterwards(queue: Queue) -> None:
    queue.add(A)
    await take(queue)
    queue.add(A)
    queue.add(A)
    queue.add(B)
    assert await take(queue) == B
    queue.done(A)
    assert await take(queue) == A
    queue.done(A)
    queue.done(B)
    assert len(queue) == 0


async def test_a_delayed_request_comes_out_in_time_and_the_earliest_counts(
    queue: Queue, clock: ManualClock
) -> None:
    queue.add_after(A, 10)
    queue.add_after(A, 2)
    queue.add_after(A, 5)
    queue.add_after(B, 1)
    await clock.advance(1.0)
    assert await take(queue) == B
    await clock.advance(0.9)
    assert len(queue) == 0
    await clock.advance(0.1)
    assert await take(queue) == A
    queue.done(A)
    await clock.advance(20)
    assert len(queue) == 0


async def test_failures_wait_longer_and_longer_until_forgotten(
    queue: Queue, clock: ManualClock
) -> None:
    waits = []
    for _ in range(9):
        queue.add(A)
        await take(queue)
        waits.append(queue.retry(A))
        queue.done(A)
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert queue.retry(B) == 0.05  # each key has its own
    queue.forget(A)
    assert queue.retry(A) == 0.05


async def test_news_cuts_a_backoff_short_and_nothing_is_left_of_it(
    queue: Queue, clock: ManualClock
) -> None:
    queue.add(A)
    await take(queue)
    for _ in range(8):
        queue.retry(A)
    queue.done(A)
    assert len(queue) == 0
    queue.add(A)
    assert await take(queue) == A
    queue.done(A)
    await clock.advance(60)
    assert len(queue) == 0


async def test_a_failure_during_which_news_came_is_tried_again_at_once(
    queue: Queue, clock: ManualClock
) -> None:
    queue.add(A)
    await take(queue)
    queue.add(A)
    queue.retry(A)
    queue.done(A)
    assert await take(queue) == A
    queue.done(A)
    await clock.advance(60)
    assert len(queue) == 0


async def test_a_cancelled_worker_takes_nothing_with_it(queue: Queue) -> None:
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add(A)
        worker.cancel()
    assert worker.cancelled()
    assert await take(queue) == A


class QueueMachine(RuleBasedStateMachine):
    """Whatever happens, a request is with at most one worker, and none is ever lost."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(ManualClock(), rand=lambda: 0.0)
        self.wanted: set[Name] = set()
        self.working: set[Name] = set()

    requests = st.sampled_from([A, B, Name("c")])

    @rule(request=requests)
    def add(self, request: Name) -> None:
        self.queue.add(request)
        self.wanted.add(request)

    @rule(request=requests)
    def retry(self, request: Name) -> None:
        if request in self.working:
            self.queue.retry(request)

    @rule()
    def get(self) -> None:
        free = self.wanted - self.working
        if free:
            taken = run(self.queue.get())
            assert taken in free
            self.wanted.discard(taken)
            self.working.add(taken)

    @rule(request=requests)
    def done(self, request: Name) -> None:
        if request in self.working:
            self.working.discard(request)
            self.queue.done(request)

    @invariant()
    def all_wanted_are_kept(self) -> None:
        assert len(self.queue) == len(self.wanted)


def run(coroutine: object) -> Name:
    """The value of a coroutine that has nothing to wait for."""
    steps: Iterator[None] = coroutine.__await__()  # type: ignore[attr-defined]  # it is one
    try:
        next(steps)
    except StopIteration as ended:
        value: Name = ended.value
        return value
    raise AssertionError("it waits")


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(deadline=None)
