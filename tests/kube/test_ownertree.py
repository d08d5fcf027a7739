"""Owners are read from a store, once each, and only as far up as they matter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ferryman.api.resource import Object, Resource
from ferryman.api.status import Forbidden, ServiceUnavailable
from ferryman.apiserver.discovery import Discovery, served
from ferryman.demo.kinds import CONFIG_MAPS, SCHEME
from ferryman.kube.kinds import Kinds
from ferryman.kube.owners import descends
from ferryman.kube.ownertree import OwnerTree
from ferryman.runtime.clock import ManualClock, SystemClock
from ferryman.store.memory import MemoryStore
from tests.kube.test_kinds import Server


class Counting(MemoryStore):
    """Notes what is read; may refuse or fail to give some names."""

    def __init__(self) -> None:
        super().__init__(SCHEME, SystemClock())
        self.read: list[str] = []
        self.errors: dict[str, Exception] = {}

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        self.read.append(name)
        if name in self.errors:
            raise self.errors[name]
        return await super().get(resource, name, namespace)


class World:
    """Config maps that own each other, and things that the lowest of them own."""

    def __init__(self) -> None:
        self.store = Counting()
        self.clock = ManualClock()
        self.things: list[Object] = []
        self.top = ""
        self.news = asyncio.Event()
        server = Server()
        server.documents = Discovery([served(kind, {}) for kind in SCHEME])
        self.tree = OwnerTree(
            self.store,
            Kinds(server, self.clock),
            "ns",
            lambda: self.things,
            lambda: self.top,
            self.news.set,
            self.clock,
        )

    async def add(self, name: str, *owners: Object) -> Object:
        obj = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": "ns",
                "ownerReferences": [reference(owner) for owner in owners],
            },
        }
        return await self.store.create(CONFIG_MAPS, obj)

    def have(self, *owners: Object) -> Object:
        """A thing with these owners comes into view."""
        thing = {"metadata": {"ownerReferences": [reference(owner) for owner in owners]}}
        self.things.append(thing)
        self.tree.look()
        return thing

    async def settle(self) -> None:
        for _ in range(200):
            await asyncio.sleep(0)


def reference(owner: Object, **changes: str) -> dict[str, str]:
    meta = owner["metadata"]
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"],
    } | changes  # fmt: skip


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.tree.run())
        yield made
        task.cancel()


async def test_owners_are_read_upwards_each_once() -> None:
    async with world() as w:
        top = await w.add("top")
        middle = await w.add("middle", top)
        things = [w.have(middle) for _ in range(3)]
        await w.settle()
        assert w.tree.complete
        assert w.store.read == ["middle", "top"]
        assert all(descends(thing, top["metadata"]["uid"], w.tree.known) for thing in things)
        w.have(middle)
        await w.settle()
        assert w.store.read == ["middle", "top"]


async def test_nothing_above_the_top_is_read() -> None:
    async with world() as w:
        top = await w.add("top", await w.add("above"))
        w.top = top["metadata"]["uid"]
        thing = w.have(await w.add("middle", top))
        await w.settle()
        assert w.store.read == ["middle"]
        assert w.tree.complete
        assert descends(thing, w.top, w.tree.known)


@pytest.mark.parametrize("change", [{"uid": "another"}, {"name": "gone"}, {"kind": "Unheard"}])
async def test_an_owner_that_is_gone_or_another_one_is_none(change: dict[str, str]) -> None:
    async with world() as w:
        owner = await w.add("owner")
        w.things.append({"metadata": {"ownerReferences": [reference(owner, **change)]}})
        w.tree.look()
        await w.settle()
        assert w.tree.complete
        assert not w.tree.known


async def test_a_failure_is_told_and_tried_again() -> None:
    async with world() as w:
        owner = await w.add("owner")
        w.store.errors["owner"] = ServiceUnavailable("not now")
        w.have(owner)
        await w.settle()
        assert str(w.tree.error) == "not now"
        assert w.news.is_set()
        del w.store.errors["owner"]
        await w.clock.advance(1)
        await w.settle()
        assert w.tree.error is None
        assert w.tree.complete


async def test_a_refusal_is_told_and_not_repeated() -> None:
    async with world() as w:
        w.store.errors["owner"] = Forbidden("you may not")
        w.have(await w.add("owner"))
        await w.settle()
        assert w.tree.error is None
        assert str(w.tree.refused) == "you may not"
        w.tree.look()
        await w.settle()
        assert w.store.read == ["owner"]


async def test_the_owners_of_nobody_are_forgotten() -> None:
    async with world() as w:
        w.have(await w.add("owner"))
        await w.settle()
        assert w.tree.known
        w.things.clear()
        w.tree.look()
        await w.settle()
        assert not w.tree.known
