"""Contexts are opened once, by name; what is wrong with one is told to whoever asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ferryman.access.credentials import Fixed, Headers, bearer
from ferryman.access.kubeconfig import Access
from ferryman.daemon.clusters import LOOK, RETIRE, Clusters
from ferryman.dataplane.contract import ClusterSettings
from ferryman.errors import Unavailable, UserError
from ferryman.kube.resources import PODS
from ferryman.runtime.clock import ManualClock


class Plane:
    """Takes note of what it is told."""

    def __init__(self) -> None:
        self.clusters: list[str] = []
        self.credentials_of: list[str] = []
        self.given: list[Headers] = []
        self.told = asyncio.Event()

    async def cluster(self, settings: ClusterSettings) -> None:
        self.clusters.append(settings.key)

    async def credentials(self, cluster: str, headers: Headers, expires: float | None) -> None:
        self.credentials_of.append(cluster)
        self.given.append(headers)
        self.told.set()

    def reachable(self) -> None:
        pass


class Config:
    """A kubeconfig with some contexts; "one" is the current one."""

    def __init__(self) -> None:
        self.contexts = ["one", "two"]
        self.loaded: list[str] = []
        self.token = "t1"
        self.port = 1

    def __call__(self, context: str) -> Access:
        self.loaded.append(context)
        name = context or "one"
        if name not in self.contexts:
            raise UserError(f'context "{name}" does not exist')
        return Access(
            name,
            f"cluster-{name}",
            "n",
            f"http://127.0.0.1:{self.port}",
            None,
            Fixed(bearer(self.token)),
            fingerprint=hash((self.token, self.port)),
        )


class World:
    def __init__(self, group: asyncio.TaskGroup, files: tuple[str, ...] = ()) -> None:
        self.config = Config()
        self.plane = Plane()
        self.clock = ManualClock()
        self.clusters = Clusters(self.config, self.plane, self.clock, group, "/config", files)
        self.changed: list[str] = []
        self.clusters.changed = self.changed.append


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        world = World(group)
        async with world.clusters:
            yield world


async def test_a_context_is_opened_once_for_all_who_ask(world: World) -> None:
    first, second = await asyncio.gather(*(world.clusters.open("two") for _ in range(2)))
    assert first is second is world.clusters.get("two")
    assert (first.context, first.cluster, first.namespace) == ("two", "cluster-two", "n")
    assert first.config_path == "/config"
    assert world.config.loaded == ["two"]


async def test_no_name_is_the_current_context_and_the_same_as_its_name(world: World) -> None:
    assert world.clusters.get("") is None
    named = await world.clusters.open("one")
    assert await world.clusters.open("") is named is world.clusters.get("")


async def test_the_current_context_comes_first_for_relays(world: World) -> None:
    await world.clusters.open("two")
    assert list(world.clusters.for_relays) == ["two"]
    await world.clusters.open("")
    assert list(world.clusters.for_relays) == ["one", "two"]
    assert len(world.clusters.for_relays) == 2
    assert "two" in world.clusters.for_relays
    assert world.clusters.for_relays.get("three") is None


async def test_a_context_that_is_missing_is_found_once_it_is_there(world: World) -> None:
    with expected('context "three" does not exist'):
        await world.clusters.open("three")
    world.config.contexts.append("three")
    assert (await world.clusters.open("three")).context == "three"


async def test_the_data_plane_is_told_of_a_cluster_when_that_is_needed(world: World) -> None:
    await world.clusters.open("two")
    assert world.plane.clusters == []
    await world.clusters.for_relays["two"].introduce()
    assert world.plane.clusters == ["two"]
    world.clusters.renew("two")
    world.clusters.renew("nobody's")
    await world.plane.told.wait()
    assert world.plane.credentials_of == ["two"]
    world.clusters.suspect()
    world.clusters.drop_idle("two")


async def test_what_is_open_stays_as_it_is_while_the_kubeconfig_says_the_same(
    world: World,
) -> None:
    before = await world.clusters.open("two")
    await world.clusters.reload()
    assert world.clusters.get("two") is before
    assert world.changed == [""]  # others may have come


async def test_other_credentials_are_used_from_then_on_without_anything_being_opened_anew(
    world: World,
) -> None:
    before = await world.clusters.open("two")
    await world.clusters.for_relays["two"].introduce()
    world.config.token = "t2"
    await world.clusters.reload()
    assert world.clusters.get("two") is before
    assert world.changed == ["two", ""]
    await world.plane.told.wait()
    assert world.plane.given == [bearer("t2")]
    await world.clusters.reload()
    assert world.changed == ["two", "", ""]


async def test_a_context_that_leads_elsewhere_is_opened_anew(world: World) -> None:
    before = await world.clusters.open("two")
    cluster = world.clusters.for_relays["two"]
    world.config.port = 2
    await world.clusters.reload()
    after = world.clusters.get("two")
    assert after is not None
    assert after is not before
    assert world.clusters.for_relays["two"] is not cluster
    assert world.changed == ["two", ""]
    await world.clock.advance(RETIRE)
    with pytest.raises(Unavailable, match="was closed"):
        await before.client.get(PODS, "a", "n")


async def test_a_kubeconfig_that_makes_no_sense_changes_nothing(world: World) -> None:
    before = await world.clusters.open("two")
    world.config.contexts.remove("two")
    await world.clusters.reload()
    assert world.clusters.get("two") is before


async def test_a_file_that_changes_is_noticed_within_a_second(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    async with asyncio.TaskGroup() as group:
        world = World(group, (str(file),))
        noticed = asyncio.Event()
        world.clusters.changed = lambda _: noticed.set()
        async with world.clusters:
            watching = group.create_task(world.clusters.watch())
            for text in ("made", "changed"):
                while not noticed.is_set():
                    file.write_text(text)
                    await world.clock.advance(LOOK)
                    await asyncio.sleep(0)  # its looks are a thread's
                noticed.clear()
            watching.cancel()


@contextmanager
def expected(text: str) -> Iterator[None]:
    with pytest.raises(UserError, match=text):
        yield
