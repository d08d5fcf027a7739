from __future__ import annotations

import asyncio

import pytest

from ferryman.api.resource import Name
from ferryman.apiclient.informer import Informer
from ferryman.reconcile import Controller, Manager, Watching
from ferryman.runtime.clock import SystemClock
from tests.support.object_client import ISLANDS, PATIENCE, WIDGETS, island, new_store, widget


async def test_controllers_work_once_every_cache_is_filled_and_end_together() -> None:
    store = new_store()
    await store.create(ISLANDS, island("home"))
    await store.create(WIDGETS, widget("a"))
    widgets, islands = Informer(store, WIDGETS), Informer(store, ISLANDS)
    seen: asyncio.Queue[tuple[Name, int]] = asyncio.Queue()

    async def reconcile(request: Name) -> None:
        await seen.put((request, len(islands.objects)))

    controller = Controller("test", reconcile, [Watching(widgets)], clock=SystemClock())
    manager = Manager([widgets, islands], [controller])
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        running = group.create_task(manager.run())
        assert await seen.get() == (Name("a", "east"), 1)
        assert manager.ready.is_set()
        await store.create(WIDGETS, widget("b"))
        assert await seen.get() == (Name("b", "east"), 1)
        running.cancel()
    assert not manager.ready.is_set()
    assert running.cancelled()


async def test_a_defect_of_one_part_ends_all_and_is_raised() -> None:
    store = new_store()

    class Broken(Informer):
        async def run(self) -> None:
            raise ZeroDivisionError("a defect")

    manager = Manager([Broken(store, WIDGETS), Informer(store, ISLANDS)], [])
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(PATIENCE):
            await manager.run()
    assert caught.group_contains(ZeroDivisionError)
