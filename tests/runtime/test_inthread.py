import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ferryman.runtime.inthread import InThread, LeftError


@asynccontextmanager
async def counting(log: list[str]) -> AsyncIterator[str]:
    log.append(f"in {threading.current_thread().name}")
    yield "entered"
    log.append("left")


def test_it_lives_in_a_thread_between_enter_and_leave() -> None:
    log: list[str] = []
    thread = InThread(lambda: counting(log))
    assert thread.enter() == "entered"
    assert log == ["in ferryman library"]
    thread.leave()
    thread.leave()
    assert log[1:] == ["left"]


def divide(by: int) -> float:
    return 1 / by


def test_what_fails_on_entering_is_raised_and_there_is_no_thread() -> None:
    @asynccontextmanager
    async def failing() -> AsyncIterator[float]:
        yield divide(0)

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        InThread(failing).enter()
    assert threading.active_count() == before


def test_what_fails_on_leaving_is_raised_once() -> None:
    @asynccontextmanager
    async def failing() -> AsyncIterator[None]:
        yield
        raise ZeroDivisionError

    thread = InThread(failing)
    thread.enter()
    with pytest.raises(ZeroDivisionError):
        thread.leave()
    thread.leave()


def test_a_call_that_waits_is_ended_by_leaving() -> None:
    thread = InThread(lambda: counting([]))
    thread.enter()
    waiting = threading.Event()
    outcome: list[BaseException] = []

    async def forever() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            thread.call(forever())
        except LeftError as error:
            outcome.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert waiting.wait(10)
    thread.leave()
    caller.join(10)
    assert len(outcome) == 1


def test_an_iterator_ends_with_its_block() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2
        await asyncio.Event().wait()

    thread = InThread(lambda: counting([]))
    thread.enter()
    found = thread.iterate(numbers)
    assert [next(found), next(found)] == [1, 2]
    thread.leave()
    assert list(found) == []
