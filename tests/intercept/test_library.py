"""``ferryman.tap``, with asyncio and without."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

import ferryman
from ferryman.dataplane.contract import Closed, Opened
from ferryman.intercept.tapping import Untapped
from tests.support.unixservers import Echo, inode, says_back


async def test_async_with_taps_and_tells_what_happens(server: Echo) -> None:
    before = inode(server.path)
    async with asyncio.timeout(20):
        async with ferryman.tap(server.path) as tap:
            assert tap.path == str(server.path)
            assert inode(server.path) != before
            events = tap.events()
            assert await asyncio.to_thread(says_back, server.path)
            told = []
            async for event in events:
                told.append(event)
                if isinstance(event, Closed):
                    break
            assert [type(event) for event in told] == [Opened, Closed]
        assert [event async for event in events] == [Untapped("restored")]
    assert inode(server.path) == before


def test_with_does_the_same_without_asyncio(server: Echo) -> None:
    before = inode(server.path)
    with ferryman.tap(server.path) as tap:
        events = tap.events()
        assert says_back(server.path)
        assert isinstance(next(events), Opened)
    assert inode(server.path) == before


async def test_a_block_that_fails_puts_it_back(server: Echo) -> None:
    before = inode(server.path)
    with pytest.raises(ZeroDivisionError):
        async with ferryman.tap(server.path):
            raise ZeroDivisionError
    assert inode(server.path) == before


async def test_a_cancelled_beginning_leaves_nothing_moved(server: Echo) -> None:
    before = inode(server.path)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.001):
            async with ferryman.tap(server.path):
                await asyncio.Event().wait()
    assert inode(server.path) == before


async def test_what_cannot_be_is_raised_on_entering(server: Echo) -> None:
    with pytest.raises(ferryman.UserError, match="there is no"):
        async with ferryman.tap(server.path.with_name("none")):
            pass
