"""Runs informers and the controllers that read them, as one: all start, all end together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ferryman.reconcile.controller import Controller
from ferryman.reconcile.source import Informer


class Manager:
    """Fills every cache, then lets every controller work.

    ``ready`` is set once that is so. A cancelled ``run`` ends all of them; a failure of one (a
    defect: informers and reconcilers try again by themselves) ends the others and is raised.
    """

    def __init__(self, informers: Iterable[Informer], controllers: Iterable[Controller]) -> None:
        self.ready = asyncio.Event()
        self._informers = tuple(informers)
        self._controllers = tuple(controllers)

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for controller in self._controllers:
                    controller.start()
                for informer in self._informers:
                    group.create_task(informer.run())
                for informer in self._informers:
                    await informer.synced.wait()
                for controller in self._controllers:
                    group.create_task(controller.run(), name=controller.name)
                self.ready.set()
        finally:
            self.ready.clear()
