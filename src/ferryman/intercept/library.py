"""``ferryman.tap``: a tapped socket for as long as a block lasts, for programs and for tests.

The same parts as ``ferry tap``, beside asyncio: ``tapping`` has the guardian, the data plane is in
a thread of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from ferryman.dataplane import contract
from ferryman.dataplane.contract import Endpoint, Gap, Policy
from ferryman.dataplane.threaded import ThreadedDataPlane
from ferryman.intercept.clients import Doorkeeper
from ferryman.intercept.tapping import Tap, Tapped, Untapped
from ferryman.runtime.broadcast import Broadcast
from ferryman.runtime.inthread import InThread, Session
from ferryman.runtime.tasks import Tasks

Event = contract.Event | Untapped
"""What ``events`` tells: connections that were opened and closed, dials that failed, and the end of
the tap: by leaving the block, by ``ferry tap --restore``, or by the server."""

_LISTENER = "tap"
_QUEUE = 0.1  # seconds for clients that had found our socket when it lost its name


def tap(path: str | os.PathLike[str], *, any_user: bool = False) -> Session[TapHere, BlockingTap]:
    """Carry what is said over a UNIX socket, for as long as the block lasts.

    Entering the block moves the socket aside, without a failed connect; it raises FerrymanError if
    that cannot be. Leaving it, or the end of this process, puts it back. Of a socket that is open
    to everybody, other users are turned away unless ``any_user``: the server would take them for
    us.
    """

    @asynccontextmanager
    async def opened() -> AsyncGenerator[TapHere, None]:
        told = Broadcast[Event](Gap)
        here = Tap(os.fspath(path), any_user=any_user)
        plane = ThreadedDataPlane()
        async with Tasks(told.close) as tasks:
            try:
                tapped = await _unhurried(here)
                watch = _Watch(here, told)
                try:
                    await _carry(plane, tapped, any_user=any_user)
                    pumping = tasks.start(_pump(plane, told), "events of a tap")
                    yield TapHere(here.path, told)
                    here.restore()
                    await watch.untapped.wait()
                    await asyncio.sleep(_QUEUE)
                    await plane.stop(0)
                    await pumping
                finally:
                    watch.end()
            finally:
                await plane.stop(0)
                await asyncio.to_thread(here.close)

    return Session(opened, BlockingTap)


class TapHere:
    """A tap that runs; ``path`` is the socket's, with links resolved."""

    def __init__(self, path: str, told: Broadcast[Event]) -> None:
        self.path = path
        self._told = told

    def events(self) -> AsyncIterator[Event]:
        """All that happens from now on; ends with the block."""
        return self._told.read()


class BlockingTap:
    """A tap without asyncio."""

    def __init__(self, inner: TapHere, thread: InThread[Any]) -> None:
        self._inner = inner
        self._thread = thread
        self.path = inner.path

    def events(self) -> Iterator[Event]:
        """As ``TapHere.events``; the iterator waits for what is next."""
        return self._thread.iterate(self._inner.events)


class _Watch:
    """Hears what the guardian says, on the running event loop."""

    def __init__(self, here: Tap, told: Broadcast[Event]) -> None:
        self.untapped = asyncio.Event()
        self._here = here
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._descriptor = here.fileno()
        self._loop.add_reader(self._descriptor, self._hear)

    def end(self) -> None:
        """Hear no more."""
        self._loop.remove_reader(self._descriptor)

    def _hear(self) -> None:
        for news in self._here.receive():
            if isinstance(news, Untapped) and not self.untapped.is_set():
                self.untapped.set()
                self._told.tell(news)
        if self._here.fileno() < 0:
            self.end()


async def _unhurried(here: Tap) -> Tapped:
    """Start it in a thread; cancelled, that is still waited for, because a Tap is no thread's."""
    starting = asyncio.get_running_loop().run_in_executor(None, here.start)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if starting.exception() is None:
            starting.result().listener.close()
        raise


async def _carry(plane: ThreadedDataPlane, tapped: Tapped, *, any_user: bool) -> None:
    await plane.policy(_LISTENER, Policy(hold=0), 0)
    await plane.endpoints(_LISTENER, [Endpoint("server", tapped.dial)], 0)
    await plane.adopt(_LISTENER, tapped.listener, Doorkeeper(tapped.mode, any_user=any_user))


async def _pump(plane: ThreadedDataPlane, told: Broadcast[Event]) -> None:
    async for event in plane.events():
        told.tell(event)
    told.close()
