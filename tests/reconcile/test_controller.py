from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from ferryman.api.resource import Name
from ferryman.errors import Conflict, Unavailable
from ferryman.reconcile import Controller, News, Reconcile, Result
from ferryman.runtime.clock import ManualClock

A, B, C = Name("a"), Name("b"), Name("c")


class Harness:
    """A controller under a clock that stands still."""

    def __init__(self, reconcile: Reconcile, workers: int = 1) -> None:
        self.clock = ManualClock()
        self.news = News()
        self.controller = Controller(
            "test", reconcile, [self.news], clock=self.clock, workers=workers
        )

    async def settle(self) -> None:
        await self.clock.advance(0)


@asynccontextmanager
async def running(harness: Harness) -> AsyncIterator[Harness]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(harness.controller.run())
        await harness.settle()
        yield harness
        task.cancel()


async def test_requests_from_before_the_start_are_not_lost() -> None:
    seen: list[Name] = []

    async def reconcile(request: Name) -> None:
        seen.append(request)

    harness = Harness(reconcile)
    harness.news.request(A)
    async with running(harness):
        harness.news.request(B)
        await harness.settle()
    assert seen == [A, B]


async def test_a_key_is_never_in_two_workers_and_others_go_on_meanwhile() -> None:
    inside: set[Name] = set()
    seen: list[Name] = []
    gates = {name: asyncio.Event() for name in (A, B, C)}

    async def reconcile(request: Name) -> None:
        assert request not in inside
        inside.add(request)
        seen.append(request)
        await gates[request].wait()
        inside.discard(request)

    async with running(Harness(reconcile, workers=3)) as harness:
        harness.news.request(A)
        await harness.settle()
        harness.news.request(A)
        harness.news.request(B)
        harness.news.request(C)
        await harness.settle()
        assert seen == [A, B, C]
        assert inside == {A, B, C}
        gates[A].set()
        await harness.settle()
        assert seen == [A, B, C, A]


async def test_a_failure_is_tried_again_with_backoff_and_holds_up_nobody() -> None:
    seen: list[Name] = []

    async def reconcile(request: Name) -> None:
        seen.append(request)
        if request == A and seen.count(A) < 4:
            raise Unavailable("not yet")

    async with running(Harness(reconcile)) as harness:
        harness.news.request(A)
        harness.news.request(B)
        await harness.settle()
        assert seen == [A, B]
        await harness.clock.advance(0.06)
        assert seen.count(A) == 2
        await harness.clock.advance(0.4)
        assert seen.count(A) == 4
        await harness.clock.advance(60)
        assert seen.count(A) == 4


async def test_news_is_reconciled_at_once_in_spite_of_a_backoff() -> None:
    calls = 0

    async def reconcile(_: Name) -> None:
        nonlocal calls
        calls += 1
        raise Unavailable("never")

    async with running(Harness(reconcile)) as harness:
        harness.news.request(A)
        await harness.clock.advance(30)
        before = calls
        harness.news.request(A)
        await harness.settle()
        assert calls == before + 1


async def test_another_look_comes_when_it_was_asked_for() -> None:
    calls = 0

    async def reconcile(_: Name) -> Result:
        nonlocal calls
        calls += 1
        return Result(requeue_after=10)

    async with running(Harness(reconcile)) as harness:
        harness.news.request(A)
        await harness.clock.advance(35)
        assert calls == 4


@pytest.mark.parametrize(
    ("error", "level", "with_traceback"),
    [
        (lambda: Conflict("somebody was faster"), logging.DEBUG, False),
        (lambda: Unavailable("not now"), logging.WARNING, False),
        (lambda: ZeroDivisionError("a defect"), logging.ERROR, True),
    ],
    ids=["conflict", "unavailable", "defect"],
)
async def test_a_failure_is_logged_once_until_it_changes(
    caplog: pytest.LogCaptureFixture,
    error: Callable[[], Exception],
    level: int,
    with_traceback: bool,
) -> None:
    caplog.set_level(logging.DEBUG, "ferryman.reconcile")
    failing = True

    async def reconcile(_: Name) -> None:
        if failing:
            raise error()

    async with running(Harness(reconcile)) as harness:
        harness.news.request(A)
        await harness.clock.advance(60)
        (record,) = caplog.records
        assert record.levelno == level
        assert bool(record.exc_info) == with_traceback
        failing = False
        await harness.clock.advance(60)
        failing = True
        harness.news.request(A)
        await harness.settle()
        assert len(caplog.records) == 2


async def test_a_cancelled_controller_cancels_what_is_under_way() -> None:
    cleaned_up: list[Name] = []

    async def reconcile(request: Name) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append(request)

    async with running(Harness(reconcile, workers=2)) as harness:
        harness.news.request(A)
        harness.news.request(B)
        await harness.settle()
    assert sorted(cleaned_up) == [A, B]


async def test_a_controller_that_never_waits_lets_others_run() -> None:
    looks = 0

    async def reconcile(_: Name) -> Result:
        nonlocal looks
        looks += 1
        return Result(requeue_after=0)

    async with running(Harness(reconcile)) as harness:
        harness.news.request(A)
        for _ in range(20):
            await asyncio.sleep(0)
    assert looks > 3
