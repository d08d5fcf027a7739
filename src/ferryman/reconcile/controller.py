"""A controller: its sources fill a queue, its workers reconcile what comes out.

A failed reconciliation is tried again with backoff and logged once, until it fails in another
way. ``manager`` starts it when the informers that it reads have their caches filled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from ferryman.errors import Conflict, FerrymanError
from ferryman.reconcile.queue import Queue
from ferryman.reconcile.request import Reconcile, Request
from ferryman.reconcile.source import Source
from ferryman.runtime.clock import Clock

_log = logging.getLogger(__name__)


class Controller:
    """Calls ``reconcile`` for every request of the sources; ``workers`` of them at a time."""

    def __init__(
        self,
        name: str,
        reconcile: Reconcile,
        sources: Iterable[Source],
        *,
        clock: Clock,
        workers: int = 1,
    ) -> None:
        self.name = name
        self.queue = Queue(clock)
        self._reconcile = reconcile
        self._sources = tuple(sources)
        self._workers = workers
        self._failures: dict[Request, str] = {}
        self._started = False

    def start(self) -> None:
        """Take requests from now on; ``run`` works on them. Idempotent."""
        if not self._started:
            self._started = True
            for source in self._sources:
                source.start(self.queue.add)

    async def run(self) -> None:
        """Work until cancelled; a reconciliation under way is cancelled, too."""
        self.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.queue.run(), name=f"{self.name} queue")
            for i in range(self._workers):
                group.create_task(self._work(), name=f"{self.name} worker {i}")

    async def _work(self) -> None:
        while True:
            request = await self.queue.get()
            try:
                await self._reconcile_one(request)
            finally:
                self.queue.done(request)
            await asyncio.sleep(0)  # a store in memory never suspends us; others must run, too

    async def _reconcile_one(self, request: Request) -> None:
        try:
            result = await self._reconcile(request)
        except Exception as error:  # noqa: BLE001  # one object's failure must not end the others'
            self._report(request, error, self.queue.retry(request))
            return
        self._failures.pop(request, None)
        self.queue.forget(request)
        if result is not None and result.requeue_after is not None:
            self.queue.add_after(request, result.requeue_after)

    def _report(self, request: Request, error: Exception, wait: float) -> None:
        said = f"{type(error).__name__}: {error}"
        if self._failures.get(request) == said:
            return
        self._failures[request] = said
        text = "%s %s: %s; trying again in %.2f s"
        if isinstance(error, Conflict):
            _log.debug(text, self.name, request, error, wait)
        elif isinstance(error, FerrymanError):
            _log.warning(text, self.name, request, error, wait)
        else:
            _log.error(text, self.name, request, said, wait, exc_info=error)
