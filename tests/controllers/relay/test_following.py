"""Targets of every sort kept in view, on a memory store and a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ferryman.api.resource import Object, Resource
from ferryman.api.status import Forbidden
from ferryman.apiclient.sharing import SharedInformers
from ferryman.apiserver.discovery import Discovery, served
from ferryman.controllers.relay.following import POLL, Follower
from ferryman.demo.kinds import (
    CONFIG_MAPS,
    CRON_JOBS,
    ENDPOINT_SLICES,
    JOBS,
    PODS,
    REPLICA_SETS,
    SCHEME,
    SERVICES,
)
from ferryman.errors import UserError
from ferryman.kube.kinds import Kinds
from ferryman.kube.targets import (
    Target,
    UnknownKind,
    check_has_pods,
    parse,
    pods_of,
    selected,
)
from ferryman.runtime.clock import ManualClock
from ferryman.runtime.tasks import Tasks
from ferryman.store.memory import MemoryStore
from tests.kube.test_kinds import Server

LABELS = {"app": "web"}


class Guarded(MemoryStore):
    """Refuses to give a kind."""

    refuses = ""

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        if resource.plural == self.refuses:
            raise Forbidden(f"you may not get {resource.plural}")
        return await super().get(resource, name, namespace)


class World:
    """A cluster, and a follower in it."""

    def __init__(self, target: Target) -> None:
        self.clock = ManualClock()
        self.store = Guarded(SCHEME, self.clock)
        self.server = Server()
        self.server.documents = Discovery([served(kind, {}) for kind in SCHEME])
        self.target = target
        self.urgent: list[bool] = []
        self.tasks = Tasks()
        informers = SharedInformers(self.store, self.clock, self.tasks)
        kinds = Kinds(self.server, self.clock)
        self.follower = Follower(informers, target, self.urgent.append, self.clock, kinds)

    async def settle(self, seconds: float = 0) -> None:
        await self.clock.advance(seconds)
        for _ in range(20):
            await self.clock.advance(0)

    async def make(
        self, resource: Resource, name: str, owner: Object | None = None, **rest: Any
    ) -> Object:
        meta: Object = {"name": name, "namespace": "n", "labels": rest.pop("labels", {})}
        if owner is not None:
            meta["ownerReferences"] = [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                }
            ]
        obj = {
            "apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **rest,
        }  # fmt: skip
        made = await self.store.create(resource, obj)
        await self.settle()
        return made

    async def pod(self, name: str, owner: Object | None = None, **labels: str) -> Object:
        spec = {"containers": [{"name": "app", "image": "web"}]}
        return await self.make(PODS, name, owner, labels=labels, spec=spec)

    async def drop(self, resource: Resource, name: str) -> None:
        await self.store.delete(resource, name, "n", grace_seconds=0)
        await self.settle()

    @property
    def pods(self) -> list[str]:
        """The pods of the target, as it is seen now."""
        seen = self.follower.seen
        if seen.object is None:
            return []
        found = pods_of(self.target, seen.object, seen.pods, seen.related)
        return [pod["metadata"]["name"] for pod in found]


@asynccontextmanager
async def following(target: Target) -> AsyncIterator[World]:
    world = World(target)
    async with world.tasks, asyncio.TaskGroup() as group:
        task = group.create_task(world.follower.run())
        await world.settle()
        yield world
        task.cancel()


TEMPLATE = {
    "metadata": {"labels": LABELS},
    "spec": {"containers": [{"name": "app", "image": "web"}], "restartPolicy": "Never"},
}


async def test_pods_by_label_come_and_go() -> None:
    async with following(selected("app=web", "n")) as world:
        assert world.follower.seen.synced
        await world.pod("a", app="web")
        await world.pod("b", app="db")
        assert world.pods == ["a"]
        world.urgent.clear()
        await world.drop(PODS, "a")
        assert True in world.urgent
        assert world.pods == []


async def test_a_kinds_pods_are_found_through_their_owners() -> None:
    async with following(parse("cm/x", "n")) as world:
        assert world.follower.seen.synced
        assert world.follower.seen.resource == CONFIG_MAPS
        owner = await world.make(CONFIG_MAPS, "x")
        spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": TEMPLATE}
        between = await world.make(REPLICA_SETS, "x-1", owner, spec=spec)
        await world.pod("far", between)
        await world.pod("near", owner)
        await world.pod("nobodys")
        assert world.pods == ["far", "near"]


async def test_an_owner_that_is_made_again_has_only_its_new_pods() -> None:
    async with following(parse("configmap/x", "n")) as world:
        old = await world.make(CONFIG_MAPS, "x")
        await world.pod("of-the-old", old)
        await world.drop(CONFIG_MAPS, "x")
        assert world.follower.seen.object is None
        new = await world.make(CONFIG_MAPS, "x")
        assert world.pods == []
        await world.pod("of-the-new", new)
        assert world.pods == ["of-the-new"]


async def test_a_kind_that_comes_later_is_found() -> None:
    target = parse("rollout/x", "n")
    async with following(target) as world:
        seen = world.follower.seen
        assert isinstance(seen.error, UnknownKind)
        assert (seen.object, seen.synced) == (None, False)
        world.server.documents = Discovery(
            [served(kind, {}) for kind in SCHEME if kind.resource != CONFIG_MAPS]
            + [_renamed("rollout")]
        )
        await world.settle(POLL)
        assert world.follower.seen.error is None
        await world.make(CONFIG_MAPS, "x")
        assert world.follower.seen.object is not None


def _renamed(name: str) -> Any:
    """Config maps under another name, since the store knows no custom resources."""
    from dataclasses import replace

    return replace(served(SCHEME[CONFIG_MAPS], {}), short_names=(name,))


async def test_a_cluster_that_cannot_be_asked_for_kinds_is_asked_again_soon() -> None:
    world = World(parse("cm/x", "n"))
    world.server.down.add("/apis")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(world.follower.run())
        await world.settle()
        assert str(world.follower.seen.error) == "it is down"
        world.server.down.clear()
        await world.settle(1)
        assert world.follower.seen.error is None
        task.cancel()


async def test_a_cron_job_is_followed_from_job_to_job() -> None:
    async with following(parse("cj/x", "n")) as world:
        jobs = {"template": TEMPLATE}
        spec = {"schedule": "@daily", "jobTemplate": {"spec": jobs}}
        owner = await world.make(CRON_JOBS, "x", spec=spec)
        for name in ("x-1", "x-2"):
            job = await world.make(JOBS, name, owner, spec=jobs)
            await world.pod(f"{name}-pod", job)
            assert world.pods == [f"{name}-pod"]
            await world.settle(1)


async def test_a_service_that_loses_its_selector_is_followed_by_its_slices() -> None:
    async with following(parse("svc/x", "n")) as world:
        await world.pod("a", app="web")
        b = await world.pod("b")
        await world.make(SERVICES, "x", spec={"selector": LABELS, "ports": [{"port": 80}]})
        assert world.pods == ["a"]
        await world.make(
            ENDPOINT_SLICES,
            "x-1",
            labels={"kubernetes.io/service-name": "x"},
            addressType="IPv4",
            endpoints=[
                {
                    "addresses": ["10.0.0.1"],
                    "targetRef": {"kind": "Pod", "name": "b", "uid": b["metadata"]["uid"]},
                }
            ],
        )
        await world.store.patch(SERVICES, "x", "merge", {"spec": {"selector": None}}, "n")
        await world.settle()
        assert world.pods == ["b"]
        world.urgent.clear()
        await world.drop(ENDPOINT_SLICES, "x-1")
        assert world.urgent
        assert world.pods == []


async def test_an_owner_that_may_not_be_read_matters_only_if_no_pod_belongs() -> None:
    async with following(parse("cm/x", "n")) as world:
        world.store.refuses = "replicasets"
        owner = await world.make(CONFIG_MAPS, "x")
        spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": TEMPLATE}
        between = await world.make(REPLICA_SETS, "x-1", owner, spec=spec)
        await world.pod("far", between)
        assert world.pods == []
        assert str(world.follower.seen.error) == "you may not get replicasets"
        await world.pod("near", owner)
        assert world.pods == ["near"]
        assert world.follower.seen.error is None


async def test_what_can_have_no_pods_is_told_from_what_is_not_read_yet() -> None:
    async with following(parse("svc/x", "n")) as world:
        await world.make(SERVICES, "x", spec={"type": "ExternalName", "externalName": "db"})
        seen = world.follower.seen
        assert seen.object is not None
        assert not seen.synced
        with pytest.raises(UserError, match="leads to db"):
            check_has_pods(world.target, seen.object, None)
