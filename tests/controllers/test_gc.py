"""The garbage collector on the memory store, with real informers and the real manager."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from ferryman.api.client import Propagation
from ferryman.api.resource import Object, Resource
from ferryman.apiclient.informer import Informer
from ferryman.controllers.gc import GarbageCollector
from ferryman.reconcile import Manager
from ferryman.runtime.clock import SystemClock
from ferryman.store.memory import MemoryStore
from tests.support.object_client import (
    ISLANDS,
    PATIENCE,
    SHIPS,
    WIDGETS,
    island,
    new_store,
    ship,
    widget,
)


class World:
    """A store under collection. ``names`` are the widgets that are left."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.informers = {r: Informer(store, r) for r in (WIDGETS, ISLANDS, SHIPS)}
        self.collector = GarbageCollector(store, self.informers, SystemClock())
        self.changed = asyncio.Event()
        for informer in self.informers.values():
            informer.subscribe(lambda _: self.changed.set())

    def find(self, resource: Resource, name: str) -> Object | None:
        objects = self.informers[resource].objects
        return next((o for n, o in objects.items() if n.name == name), None)

    def names(self) -> set[str]:
        return {name.name for name in self.informers[WIDGETS].objects}

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def settled(self) -> None:
        """Nothing is left to do: a change of each kind has come all the way round."""
        for _ in range(200):
            await asyncio.sleep(0)


def owned(name: str, *owners: Object, blocking: bool = False) -> Object:
    refs = [
        {
            "apiVersion": o["apiVersion"],
            "kind": o["kind"],
            "name": o["metadata"]["name"],
            "uid": o["metadata"]["uid"],
            "blockOwnerDeletion": blocking,
        }
        for o in owners
    ]
    return widget(name, ownerReferences=refs)


@asynccontextmanager
async def collecting(world: World) -> AsyncIterator[None]:
    manager = Manager(world.informers.values(), world.collector.controllers)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(manager.run())
        await manager.ready.wait()
        yield
        running.cancel()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World(new_store())
    async with collecting(world):
        yield world


async def test_a_dependent_goes_with_its_owner_and_takes_its_own_along(world: World) -> None:
    top = await world.store.create(ISLANDS, island("top"))
    middle = await world.store.create(WIDGETS, owned("middle", top))
    await world.store.create(WIDGETS, owned("leaf", middle))
    await world.store.create(WIDGETS, widget("other"))
    await world.until(lambda: len(world.names()) == 3)
    await world.store.delete(ISLANDS, "top")
    await world.until(lambda: world.names() == {"other"})


async def test_one_living_owner_is_enough_and_the_dead_ones_reference_goes(world: World) -> None:
    one, two = [await world.store.create(ISLANDS, island(name)) for name in ("one", "two")]
    await world.store.create(WIDGETS, owned("a", one, two))
    await world.store.delete(ISLANDS, "one")

    def only_two() -> bool:
        found = world.find(WIDGETS, "a")
        refs = found["metadata"]["ownerReferences"] if found else []
        return [ref["name"] for ref in refs] == ["two"]

    await world.until(only_two)
    await world.store.delete(ISLANDS, "two")
    await world.until(lambda: not world.names())


async def test_an_owner_of_the_same_name_is_another_owner(world: World) -> None:
    old = await world.store.create(ISLANDS, island("a"))
    await world.store.create(WIDGETS, owned("a", old))
    await world.store.delete(ISLANDS, "a")
    await world.store.create(ISLANDS, island("a"))
    await world.until(lambda: not world.names() and world.find(ISLANDS, "a") is not None)


async def test_what_was_orphaned_before_the_start_is_collected_too() -> None:
    world = World(new_store())
    owner = await world.store.create(ISLANDS, island("a"))
    await world.store.create(WIDGETS, owned("a", owner))
    await world.store.delete(ISLANDS, "a")
    await world.store.create(WIDGETS, widget("b"))
    async with collecting(world):
        await world.until(lambda: world.names() == {"b"})


async def test_owners_that_cannot_be_seen_are_never_taken_for_gone(world: World) -> None:
    unknown = {
        "apiVersion": "other/v1",
        "kind": "Thing",
        "metadata": {"name": "x", "uid": "1"},
    }
    await world.store.create(WIDGETS, owned("a", unknown))
    far = await world.store.create(WIDGETS, widget("far"))
    across = {**owned("x", far), **island("x")}
    across["metadata"]["ownerReferences"] = owned("x", far)["metadata"]["ownerReferences"]
    await world.store.create(ISLANDS, across)
    await world.store.delete(WIDGETS, "far", "east")
    await world.until(lambda: world.names() == {"a"} and world.find(ISLANDS, "x") is not None)
    await world.settled()
    assert world.names() == {"a"}
    assert world.find(ISLANDS, "x") is not None


async def test_foreground_waits_for_those_that_block(world: World) -> None:
    top = await world.store.create(ISLANDS, island("top"))
    middle = await world.store.create(WIDGETS, owned("middle", top, blocking=True))
    leaf = owned("leaf", middle, blocking=True)
    leaf["metadata"]["finalizers"] = ["test.ferryman.dev/held"]
    await world.store.create(WIDGETS, leaf)
    await world.until(lambda: len(world.names()) == 2)
    await world.store.delete(ISLANDS, "top", propagation="Foreground")

    def leaf_is_deleting() -> bool:
        found = world.find(WIDGETS, "leaf")
        return found is not None and "deletionTimestamp" in found["metadata"]

    await world.until(leaf_is_deleting)
    await world.settled()
    for resource, name in ((ISLANDS, "top"), (WIDGETS, "middle")):
        waiting = world.find(resource, name)
        assert waiting is not None
        assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    release = {"metadata": {"finalizers": None}}
    await world.store.patch(WIDGETS, "leaf", "merge", release, "east")
    await world.until(lambda: not world.names() and world.find(ISLANDS, "top") is None)


async def test_foreground_does_not_wait_for_those_that_do_not_block(world: World) -> None:
    top = await world.store.create(ISLANDS, island("top"))
    held = owned("held", top)
    held["metadata"]["finalizers"] = ["test.ferryman.dev/held"]
    await world.store.create(WIDGETS, held)
    await world.until(lambda: len(world.names()) == 1)
    await world.store.delete(ISLANDS, "top", propagation="Foreground")
    await world.until(lambda: world.find(ISLANDS, "top") is None)


async def test_orphans_lose_the_reference_and_stay(world: World) -> None:
    top = await world.store.create(ISLANDS, island("top"))
    await world.store.create(WIDGETS, owned("a", top))
    await world.until(lambda: len(world.names()) == 1)
    await world.store.delete(ISLANDS, "top", propagation="Orphan")
    await world.until(lambda: world.find(ISLANDS, "top") is None)
    kept = await world.store.get(WIDGETS, "a", "east")
    assert "ownerReferences" not in kept["metadata"]


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_a_graceful_dependent_is_asked_to_go_and_its_keeper_decides(
    world: World, propagation: Propagation
) -> None:
    top = await world.store.create(ISLANDS, island("top"))
    boat = ship("boat")
    refs = owned("x", top, blocking=True)["metadata"]["ownerReferences"]
    boat["metadata"]["ownerReferences"] = refs
    await world.store.create(SHIPS, boat)
    await world.until(lambda: world.find(SHIPS, "boat") is not None)
    await world.store.delete(ISLANDS, "top", propagation=propagation)

    def is_deleting() -> bool:
        found = world.find(SHIPS, "boat")
        return found is not None and "deletionTimestamp" in found["metadata"]

    await world.until(is_deleting)
    assert (world.find(ISLANDS, "top") is None) == (propagation == "Background")
    await world.store.delete(SHIPS, "boat", "east", grace_seconds=0)
    await world.until(lambda: not world.informers[SHIPS].objects)
    await world.until(lambda: world.find(ISLANDS, "top") is None)
