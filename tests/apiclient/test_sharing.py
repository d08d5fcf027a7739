"""One watch for many readers, on the memory store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from ferryman.api.client import WatchEvent
from ferryman.api.resource import Name, Resource
from ferryman.apiclient.sharing import Lease, SharedInformers
from ferryman.runtime.clock import ManualClock
from ferryman.runtime.tasks import Tasks
from ferryman.store.memory import MemoryStore
from tests.support.object_client import WIDGETS, new_store, widget


class Counting:
    """The store, and what of it is being watched."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.watching: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def watch(
        self, resource: Resource, namespace: str = "", *args: Any, **kwargs: Any
    ) -> AsyncIterator[WatchEvent]:
        self.watching.append((resource.plural, namespace))
        try:
            async for event in self._store.watch(resource, namespace, *args, **kwargs):
                yield event
        finally:
            self.watching.remove((resource.plural, namespace))


class Reader:
    def __init__(self, shared: SharedInformers, namespace: str = "east") -> None:
        self.events: list[WatchEvent] = []
        self.health = 0
        self.lease: Lease = shared.lease(WIDGETS, namespace, self.events.append, self._well)

    def _well(self) -> None:
        self.health += 1


async def test_readers_of_a_namespace_share_one_watch_and_the_last_ends_it() -> None:
    store, clock = new_store(), ManualClock()
    client = Counting(store)
    async with Tasks() as tasks:
        shared = SharedInformers(client, clock, tasks)
        one, two, other = Reader(shared), Reader(shared), Reader(shared, "west")
        await clock.advance(0)
        assert sorted(client.watching) == [("widgets", "east"), ("widgets", "west")]
        await store.create(WIDGETS, widget("a"))
        await clock.advance(0)
        assert [len(reader.events) for reader in (one, two, other)] == [1, 1, 0]
        assert one.lease.objects.keys() == {Name("a", "east")}
        assert one.lease.synced
        assert one.lease.error is None
        assert one.health > 0

        one.lease.close()
        one.lease.close()
        other.lease.close()
        await store.create(WIDGETS, widget("b"))
        await clock.advance(0)
        assert client.watching == [("widgets", "east")]
        assert [len(reader.events) for reader in (one, two)] == [1, 2]

        late = Reader(shared)
        assert late.lease.synced  # what is there is there at once
        two.lease.close()
        late.lease.close()
        await clock.advance(0)
        await asyncio.sleep(0)
        assert client.watching == []
        again = Reader(shared)
        await clock.advance(0)
        assert again.lease.objects.keys() == {Name("a", "east"), Name("b", "east")}
