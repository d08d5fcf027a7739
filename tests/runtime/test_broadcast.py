import asyncio

import pytest

from ferryman.runtime.broadcast import Broadcast


def broadcast(most: int = 100) -> Broadcast[str]:
    return Broadcast(lambda missed: f"missed {missed}", most)


async def test_every_reader_hears_what_is_told_from_then_on() -> None:
    told = broadcast()
    told.tell("nobody")
    first = told.read()
    told.tell("one")
    second = told.read()
    told.tell("both")
    told.close()
    assert [t async for t in first] == ["one", "both"]
    assert [t async for t in second] == ["both"]
    assert [t async for t in told.read()] == []


async def test_a_reader_waits_for_what_is_next() -> None:
    told = broadcast()
    reader = told.read()

    async def following() -> str:
        return await anext(reader)

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(following())
        await asyncio.sleep(0)
        assert not waiting.done()
        told.tell("now")
    assert waiting.result() == "now"


async def test_a_slow_reader_is_told_how_much_it_missed_and_goes_on() -> None:
    told = broadcast(most=2)
    reader = told.read()
    for text in "abcd":
        told.tell(text)
    assert [await anext(reader) for _ in range(3)] == ["a", "b", "missed 2"]
    told.tell("e")
    assert await anext(reader) == "e"


async def test_a_reader_comes_to_the_error_behind_what_was_told() -> None:
    told = broadcast()
    reader = told.read()
    told.tell("last")
    told.close(ZeroDivisionError())
    told.close()
    assert await anext(reader) == "last"
    with pytest.raises(ZeroDivisionError):
        await anext(reader)
