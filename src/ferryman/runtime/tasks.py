"""Tasks with an owner, where an ``asyncio.TaskGroup`` does not fit; and waiting for one of two.

A TaskGroup ends with its block and with its first failure. An owner of connections or callbacks
lives longer than any block, and one failure must not end the others: it uses ``Tasks``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

from ferryman.runtime.clock import Clock

_log = logging.getLogger(__name__)


def _report(error: BaseException) -> None:
    _log.error("a task failed", exc_info=error)


class Tasks:
    """Owns tasks: ``close`` cancels and awaits them; a failure goes to ``failed``."""

    def __init__(self, failed: Callable[[BaseException], None] = _report) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failed = failed
        self._closed = False

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run it until it ends or the owner closes; RuntimeError if that has been."""
        if self._closed:
            work.close()
            raise RuntimeError(f"{name}: the owner of its task is closed")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Cancel all and return once all have ended. Idempotent; cancelled itself, it goes on
        cancelling but no longer waits.
        """
        self._closed = True
        ours = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in ours:
            task.cancel()
        if ours:
            await asyncio.wait(ours)

    async def __aenter__(self) -> Tasks:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)


async def sleep_unless(clock: Clock, seconds: float, event: asyncio.Event) -> bool:
    """Sleep, but no longer than until the event is set; whether it is."""
    if event.is_set() or seconds <= 0:
        return event.is_set()
    async with asyncio.TaskGroup() as group:
        both = (group.create_task(clock.sleep(seconds)), group.create_task(event.wait()))
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
    return event.is_set()
