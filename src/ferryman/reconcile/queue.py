"""The requests of one controller: each at most once in wait and never in two workers at once.

A request that is added while a worker has it is handed out once more afterwards. One that failed
waits for its backoff, which news (a plain ``add``) cuts short. Source of the semantics: client-go
``util/workqueue``; ``controller`` drives it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from ferryman.reconcile.request import Request
from ferryman.runtime.backoff import Backoff
from ferryman.runtime.clock import Clock
from ferryman.runtime.tasks import sleep_unless


class Queue:
    """Hands out requests in the order in which they became ready. Times are in seconds."""

    def __init__(self, clock: Clock, *, rand: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._rand = rand
        self._ready: dict[Request, None] = {}
        self._working: set[Request] = set()
        self._again: set[Request] = set()
        self._due: dict[Request, float] = {}
        self._backoffs: dict[Request, Backoff] = {}
        self._available = asyncio.Event()
        self._sooner = asyncio.Event()

    def __len__(self) -> int:
        """How many are ready, not counting those that wait for their time."""
        return len(self._ready) + len(self._again)

    def add(self, request: Request) -> None:
        """News: hand it out as soon as possible, whatever it waits for."""
        self._due.pop(request, None)
        if request in self._working:
            self._again.add(request)
        else:
            self._ready[request] = None
            self._available.set()

    def add_after(self, request: Request, seconds: float) -> None:
        """Hand it out after a time; the earliest of several counts, and ready is earlier."""
        if seconds <= 0:
            self.add(request)
        elif request not in self._ready and request not in self._again:
            due = self._clock.monotonic() + seconds
            self._due[request] = min(due, self._due.get(request, due))
            self._sooner.set()

    def retry(self, request: Request) -> float:
        """It failed: hand it out after its backoff; how long that is."""
        backoff = self._backoffs.setdefault(request, Backoff(rand=self._rand))
        wait = backoff.next()
        self.add_after(request, wait)
        return wait

    def forget(self, request: Request) -> None:
        """It went well: its next failure begins with the shortest backoff."""
        self._backoffs.pop(request, None)

    async def get(self) -> Request:
        """The next request; it is the caller's until ``done``. Cancellation loses none."""
        while not self._ready:
            self._available.clear()
            await self._available.wait()
        request = next(iter(self._ready))
        del self._ready[request]
        self._working.add(request)
        return request

    def done(self, request: Request) -> None:
        """The worker has finished with it, well or not."""
        self._working.discard(request)
        if request in self._again:
            self._again.discard(request)
            self.add(request)

    async def run(self) -> None:
        """Let those that wait become ready in time, until cancelled."""
        while True:
            self._sooner.clear()
            now = self._clock.monotonic()
            for request in [request for request, due in self._due.items() if due <= now]:
                self.add(request)
            if self._due:
                await sleep_unless(self._clock, min(self._due.values()) - now, self._sooner)
            else:
                await self._sooner.wait()
