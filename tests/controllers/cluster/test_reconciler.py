"""Clusters on memory stores: connected, polled, lost and found again, by the clock."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ferryman.api.kinds.cluster import CLUSTERS, new_cluster
from ferryman.api.status import Forbidden
from ferryman.controllers.cluster.plan import FAILURES, POLL, RETRY
from tests.support.tilt import World, running


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running(World()) as world:
        yield world


async def test_the_default_cluster_is_the_current_context(world: World) -> None:
    status = await world.cluster_status()
    assert (status.version, status.arch, status.error) == ("v1.37.0", "arm64", "")
    assert status.connected_at == "2026-01-01T00:00:00.000000Z"
    assert status.connection is not None
    assert status.connection.kubernetes is not None
    assert status.connection.kubernetes.context == "c"
    assert status.connection.kubernetes.product == "kind"


async def test_four_failures_in_a_row_are_an_error_and_one_answer_ends_it(world: World) -> None:
    world.cluster.fail()
    for _ in range(FAILURES - 1):
        await world.settle(POLL)
        assert (await world.cluster_status()).error == ""
    await world.settle(POLL)
    status = await world.cluster_status()
    assert status.error == "connection refused"
    assert status.connected_at is None
    assert status.connection is not None  # who forwards needs to know where to, not that it is up
    world.cluster.heal()
    await world.settle(RETRY - 1)
    assert (await world.cluster_status()).error != ""
    await world.settle(1)
    status = await world.cluster_status()
    assert status.error == ""
    assert status.connected_at == "2026-01-01T00:01:30.000000Z"


async def test_a_cluster_that_never_answered_is_an_error_at_once_and_tried_again() -> None:
    world = World(default_cluster=False)
    async with running(world):
        world.cluster.fail()
        await world.store.create(CLUSTERS, new_cluster("default"))
        await world.settle()
        assert (await world.cluster_status()).error == "connection refused"
        world.cluster.heal()
        await world.settle(RETRY)
        assert (await world.cluster_status()).error == ""


async def test_a_change_of_the_kubeconfig_is_not_waited_for(world: World) -> None:
    await world.store.create(CLUSTERS, new_cluster("x", "nowhere"))
    await world.settle()
    world.clusters["nowhere"] = world.cluster
    world.cluster_controller.context_changed("")
    await world.settle()
    assert (await world.cluster_status("x")).error == ""
    world.cluster.version = "v1.38.0"
    world.cluster_controller.context_changed("c")
    await world.settle()
    assert (await world.cluster_status()).version == "v1.38.0"


async def test_a_context_that_is_missing_is_said_and_found_when_it_is_there(world: World) -> None:
    await world.store.create(CLUSTERS, new_cluster("x", "nowhere"))
    await world.settle()
    status = await world.cluster_status("x")
    assert "nowhere" in status.error
    assert status.connection is None
    world.clusters["nowhere"] = world.cluster
    await world.settle(RETRY)
    assert (await world.cluster_status("x")).error == ""


async def test_another_context_in_the_spec_is_connected_at_once(world: World) -> None:
    await world.named("x", "a")
    world.clusters["b"] = world.cluster
    body = {"spec": {"connection": {"kubernetes": {"context": "b", "namespace": "mine"}}}}
    await world.store.patch(CLUSTERS, "x", "merge", body)
    await world.settle()
    connection = (await world.cluster_status("x")).connection
    assert connection is not None
    assert connection.kubernetes is not None
    assert (connection.kubernetes.context, connection.kubernetes.namespace) == ("b", "mine")


async def test_who_may_not_list_nodes_lives_without_the_architecture() -> None:
    world = World(default_cluster=False)
    async with running(world):
        world.cluster.refused["nodes"] = Forbidden("no")
        await world.store.create(CLUSTERS, new_cluster("default"))
        await world.settle()
        status = await world.cluster_status()
        assert (status.arch, status.error) == ("unknown", "")


async def test_nothing_is_written_while_nothing_changes(world: World) -> None:
    before = await world.store.get(CLUSTERS, "default")
    await world.settle(10 * POLL)
    assert await world.store.get(CLUSTERS, "default") == before


async def test_a_deleted_cluster_is_asked_no_more(world: World) -> None:
    await world.store.delete(CLUSTERS, "default")
    await world.settle()
    asked = len(world.cluster.requests)
    await world.settle(10 * RETRY)
    assert len(world.cluster.requests) == asked
