"""One watch for many readers, on the memory store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from ferryman.api.client import Bookmark, ObjectList, WatchEvent
from ferryman.api.resource import Name, Resource
from ferryman.api.selectors import ALL, Selector, parse_labels
from ferryman.api.status import Forbidden
from ferryman.apiclient.informer import Informer
from ferryman.apiclient.sharing import NARROW, Lease, SharedInformers
from ferryman.runtime.clock import ManualClock
from ferryman.runtime.tasks import Tasks
from ferryman.store.memory import MemoryStore
from tests.support.object_client import WIDGETS, new_store, widget


class Counting:
    """The store, and what of it is being watched."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.watching: list[tuple[str, str]] = []
        self.selected: list[str] = []
        self.forbids_all = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def list(
        self, resource: Resource, namespace: str = "", selector: Selector = ALL, **kwargs: Any
    ) -> ObjectList:
        if self.forbids_all and selector == ALL:
            raise Forbidden("you may not list them all")
        return await self._store.list(resource, namespace, selector, **kwargs)

    async def watch(
        self, resource: Resource, namespace: str = "", selector: Selector = ALL, **kwargs: Any
    ) -> AsyncIterator[WatchEvent]:
        self.watching.append((resource.plural, namespace))
        self.selected.append(selector.label_text)
        try:
            async for event in self._store.watch(resource, namespace, selector, **kwargs):
                yield event
        finally:
            self.watching.remove((resource.plural, namespace))
            self.selected.remove(selector.label_text)


class Reader:
    def __init__(
        self, shared: SharedInformers, namespace: str = "east", app: str | None = None
    ) -> None:
        self.events: list[WatchEvent] = []
        self.health = 0
        self.lease: Lease = shared.lease(
            WIDGETS, namespace, self.events.append, self._well, labelled(app)
        )

    @property
    def names(self) -> list[str]:
        return sorted(name.name for name in self.lease.objects)

    def _well(self) -> None:
        self.health += 1


def labelled(app: str | None) -> Selector:
    return Selector(parse_labels(f"app={app}")) if app is not None else ALL


def apps(count: int) -> list[str]:
    return [f"app-{number}" for number in range(count)]


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


async def test_a_few_selections_have_watches_of_their_own_and_many_share_one() -> None:
    store, clock = new_store(), ManualClock()
    client = Counting(store)
    for app in apps(50):
        await store.create(WIDGETS, widget(f"one-{app}", labels={"app": app}))
    async with Tasks() as tasks:
        shared = SharedInformers(client, clock, tasks)
        readers = [Reader(shared, app=app) for app in apps(50)]
        twin = Reader(shared, app=apps(1)[0])
        await clock.advance(0)
        assert sorted(client.selected) == ["", *(f"app={app}" for app in apps(NARROW))]
        assert all(reader.lease.synced for reader in readers)
        assert [reader.names for reader in readers] == [[f"one-{app}"] for app in apps(50)]
        assert twin.names == readers[0].names
        for reader in [*readers, twin]:
            reader.lease.close()
        await clock.advance(0)
        assert client.selected == []


async def test_who_selects_reads_what_others_have_in_whole() -> None:
    store, clock = new_store(), ManualClock()
    client = Counting(store)
    await store.create(WIDGETS, widget("a", labels={"app": "x"}))
    async with Tasks() as tasks:
        shared = SharedInformers(client, clock, tasks)
        everything = Reader(shared)
        await clock.advance(0)
        some = Reader(shared, app="x")
        assert (some.lease.synced, some.names, some.events) == (True, ["a"], [])
        everything.lease.close()
        await store.create(WIDGETS, widget("b", labels={"app": "x"}))
        await clock.advance(0)
        assert (some.names, client.selected) == (["a", "b"], [""])


async def test_a_selection_from_a_whole_is_told_what_its_own_watch_would_tell() -> None:
    store, clock = new_store(), ManualClock()
    async with Tasks() as tasks:
        shared = SharedInformers(store, clock, tasks)
        everything, some = Reader(shared), Reader(shared, app="x")
        own = Informer(store, WIDGETS, "east", labelled("x"), clock=clock)
        told: list[WatchEvent] = []
        own.subscribe(told.append)
        tasks.start(own.run(), "the oracle")
        await clock.advance(0)
        await store.create(WIDGETS, widget("a", labels={"app": "x"}))
        await store.create(WIDGETS, widget("b", labels={"app": "y"}))
        for name, app in (("a", "y"), ("b", "x"), ("b", "x"), ("a", "y"), ("a", "x")):
            body = {"metadata": {"labels": {"app": app, "at": str(len(everything.events))}}}
            await store.patch(WIDGETS, name, "merge", body, "east")
            await clock.advance(0)
            assert some.lease.objects == own.objects
        await store.delete(WIDGETS, "b", "east")
        await clock.advance(0)
        assert some.lease.objects == own.objects
        assert len(told) == 6
        assert [summary(event) for event in some.events] == [summary(event) for event in told]


def summary(event: WatchEvent) -> tuple[str, str, dict[str, str]]:
    """All but the version, in which the server says when an object left the selection."""
    assert not isinstance(event, Bookmark)
    meta = event.object["metadata"]
    return type(event).__name__, meta["name"], meta["labels"]


async def test_who_may_not_read_the_whole_reads_what_was_asked_for() -> None:
    store, clock = new_store(), ManualClock()
    client = Counting(store)
    client.forbids_all = True
    for app in apps(10):
        await store.create(WIDGETS, widget(f"one-{app}", labels={"app": app}))
    async with Tasks() as tasks:
        shared = SharedInformers(client, clock, tasks)
        readers = [Reader(shared, app=app) for app in apps(9)]
        await clock.advance(0)
        await clock.advance(0)
        readers.append(Reader(shared, app=apps(10)[9]))
        await clock.advance(0)
        assert [reader.names for reader in readers] == [[f"one-{app}"] for app in apps(10)]
        assert not any(reader.lease.error for reader in readers)
        assert all(reader.health for reader in readers)
        assert sorted(client.selected) == [f"app={app}" for app in apps(10)]
