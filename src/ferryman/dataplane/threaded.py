"""The data plane in a thread of its own, behind the contract in asyncio's terms.

Requests go to the loop as calls and come back as futures; events go the other way through a
bounded ring, so that a slow reader sees a Gap and the loop never waits. ``engine`` does the work.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TypeVar

from ferryman.dataplane import sockets
from ferryman.dataplane.contract import (
    Applied,
    Bind,
    ClusterSettings,
    DialFailure,
    DialSpec,
    Endpoint,
    Event,
    Gap,
    ListenerCounters,
    Policy,
)
from ferryman.dataplane.engine import Engine, How
from ferryman.dataplane.listeners import Label
from ferryman.dataplane.loop import Loop
from ferryman.errors import Unavailable

Inspector = Callable[[], tuple[int, int] | None]
"""As ``observing.Inspector``, which only what is observed loads."""

T = TypeVar("T")

MOST_EVENTS = 4096
_GATHER = 0.005


class ThreadedDataPlane:
    """Start it inside a running asyncio loop; ``stop`` it in the end.

    Methods may be cancelled: what was asked for is then done or not done, never half.
    """

    def __init__(self) -> None:
        self._asyncio = asyncio.get_running_loop()
        self._loop = Loop()
        self._engine = Engine(self._loop, self._emit)
        self._events: deque[Event] = deque()
        self._dropped = 0
        self._lock = threading.Lock()
        self._news = asyncio.Event()
        self._stopped = asyncio.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="ferryman data plane", daemon=True)
        self._thread.start()

    async def apply(self, listeners: Mapping[Bind, str]) -> Applied:
        """Listen on exactly these; idempotent, errors per address."""
        snapshot = dict(listeners)
        return await self._call(lambda: self._engine.apply(snapshot))

    async def adopt(
        self, listener: str, sock: socket.socket, label: Label = sockets.peer_label
    ) -> None:
        """Accept from a socket that somebody else bound; it is the data plane's from now on."""
        await self._call(lambda: self._engine.adopt(listener, sock, label))

    async def endpoints(
        self, listener: str, endpoints: Iterable[Endpoint], generation: int
    ) -> None:
        """Where the listener's connections go, best first; stale generations are ignored."""
        snapshot = tuple(endpoints)
        await self._call(lambda: self._engine.endpoints(listener, snapshot, generation))

    def endpoints_now(self, listener: str, endpoints: Iterable[Endpoint], generation: int) -> None:
        """As ``endpoints``, without waiting for it: for news that must not queue (Draining)."""
        snapshot = tuple(endpoints)
        self._loop.call_threadsafe(lambda: self._engine.endpoints(listener, snapshot, generation))

    async def policy(self, listener: str, policy: Policy, generation: int) -> None:
        """How the listener treats its connections, from now on."""
        await self._call(lambda: self._engine.policy(listener, policy, generation))

    async def observe(self, inspector: Inspector) -> None:
        """Whom to tell of connections that are observed; it is started on the loop's thread."""
        await self._call(lambda: self._engine.observe(inspector))

    async def cluster(self, settings: ClusterSettings) -> None:
        """How to reach a cluster's pods."""
        await self._call(lambda: self._engine.cluster(settings))

    async def credentials(
        self, cluster: str, headers: tuple[tuple[str, str], ...], expires: float | None
    ) -> None:
        """The answer to NeedCredentials."""
        await self._call(lambda: self._engine.credentials(cluster, headers, expires))

    async def suspect(self) -> None:
        """The clock jumped or the network changed."""
        await self._call(self._engine.suspect)

    def reachable(self) -> None:
        """Somebody got through to the clusters' API servers; returns at once."""
        if not self._stopped.is_set():
            self._loop.call_threadsafe(self._engine.reachable)

    async def probe(self, address: DialSpec, patience: float) -> DialFailure | None:
        """Why an address takes no connections now; None if it does. ``dataplane.probing`` has how,
        and what ``patience`` (seconds) is. Cancelled, the connection ends by itself.
        """
        answered: asyncio.Future[DialFailure | None] = self._asyncio.create_future()

        def tell(failure: DialFailure | None) -> None:
            self._tell(functools.partial(_fulfil, answered, failure))

        await self._call(lambda: self._engine.probe(address, patience, tell))
        return await answered

    async def close(self, listener: str, how: How) -> None:
        """End a listener's connections."""
        await self._call(lambda: self._engine.close(listener, how))

    def counters(self) -> Mapping[str, ListenerCounters]:
        """By listener; never waits."""
        return self._engine.counters()

    async def events(self) -> AsyncIterator[Event]:
        """What happens, for one reader; ends when the data plane has stopped. Raises Unavailable
        if it did not stop but break.
        """
        while True:
            await self._news.wait()
            self._news.clear()
            with self._lock:
                events, self._events = self._events, deque()
                dropped, self._dropped = self._dropped, 0
            if dropped:
                yield Gap(dropped)
            for event in events:
                yield event
            if self._stopped.is_set() and not self._events:
                break
        if self._error is not None:
            raise Unavailable("the data plane broke") from self._error

    async def stop(self, deadline: float = 0.0) -> None:
        """Accept no more, wait so many seconds for connections to end, reset the rest, end.

        May be called again, with less patience, while it runs. A cancelled stop goes on.
        """
        self._loop.call_threadsafe(lambda: self._engine.stop(deadline, self._loop.stop))
        await self._stopped.wait()

    def _run(self) -> None:
        try:
            self._loop.run()
        except Exception as error:  # noqa: BLE001  the next caller hears of it
            self._error = error
        finally:
            self._loop.close()
            self._tell(self._has_stopped)

    def _has_stopped(self) -> None:
        self._stopped.set()
        self._news.set()

    async def _call(self, function: Callable[[], T]) -> T:
        if self._stopped.is_set():
            raise Unavailable("the data plane has stopped") from self._error
        future: asyncio.Future[T] = self._asyncio.create_future()

        def run() -> None:
            try:
                result = function()
            except Exception as error:  # noqa: BLE001  it belongs to the caller, not to the loop
                self._tell(functools.partial(_fail, future, error))
            else:
                self._tell(functools.partial(_fulfil, future, result))

        self._loop.call_threadsafe(run)
        return await future

    def _emit(self, event: Event) -> None:
        with self._lock:
            first = not self._events and not self._dropped
            if len(self._events) < MOST_EVENTS:
                self._events.append(event)
            else:
                self._dropped += 1
        if first:
            # Waking the other thread costs more than a connection: once for all that comes soon.
            self._loop.call_later(_GATHER, functools.partial(self._tell, self._news.set))

    def _tell(self, call: Callable[[], object]) -> None:
        """Run something on the asyncio loop, if that still runs."""
        try:
            self._asyncio.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # it was closed before us: nobody is left to hear it


def _fulfil(future: asyncio.Future[T], result: T) -> None:
    if not future.done():  # else the caller was cancelled
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
