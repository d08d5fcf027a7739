"""PortForward: Tilt's acceptance list, and the defects of Tilt's that are not to come back.

Where our design does more than Tilt's, the case is kept and its docstring says what holds instead.
``PortForward: port parsing`` is the API's schema (tests/api/kinds/test_tilt_kinds.py), because
objects have numbers; ``Forwarder: transport fallback`` is the wires' (tests/dataplane/wires) and,
through a PortForward, in tests/peers/test_tilt_forwards.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ferryman.api.client import Deleted, WatchEvent
from ferryman.api.kinds.cluster import CLUSTERS, new_cluster
from ferryman.api.kinds.portforward import PORT_FORWARDS, Forward, status_of
from ferryman.api.kinds.relay import (
    RELAYS,
    Hold,
    Inspect,
    Listen,
    Port,
    RelaySpec,
    Target,
    Workload,
    new_relay,
)
from ferryman.dataplane.contract import DialFailed
from tests.support.tilt import FIRST_RANDOM, World, running

ONE = Forward(local_port=8080, container_port=8000)
TWO = Forward(local_port=8081, container_port=9000)
RANDOM = Forward(container_port=8000)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running(World()) as world:
        await world.cluster.pod("web-1")
        yield world


async def test_it_starts_with_the_right_pod_and_port(world: World) -> None:
    await world.forward("a", ONE)
    assert world.plane.leads("pf-a/forward-1") == {"web-1:8000": "Active"}
    [status] = await world.statuses("a")
    assert status.local_port == 8080
    assert status.container_port == 8000
    assert status.addresses == ("127.0.0.1", "::1")
    assert status.started_at == "2026-01-01T00:00:00.000000Z"
    assert status.error == ""
    relay = await world.store.get(RELAYS, "pf-a")
    [owner] = relay["metadata"]["ownerReferences"]
    forward = await world.store.get(PORT_FORWARDS, "a")
    assert owner["uid"] == forward["metadata"]["uid"]


async def test_a_global_switch_disables_all() -> None:
    async with running(World(enabled=False)) as world:
        await world.cluster.pod("web-1")
        await world.forward("a", ONE)
        await world.forward("b", TWO)
        assert world.plane.bound == {}
        assert await world.errors("a") == ["suspended: nothing is listened on"]


async def test_delete_cancels(world: World) -> None:
    await world.forward("a", ONE)
    await world.store.delete(PORT_FORWARDS, "a")
    await world.settle()
    assert world.plane.bound == {}
    assert await world.relay_names() == []
    assert world.cluster.watching == []


async def test_a_spec_edit_takes_effect(world: World) -> None:
    await world.cluster.pod("web-2")
    await world.forward("a", ONE)
    await world.edit("a", podName="web-2")
    assert world.plane.leads("pf-a/forward-1") == {"web-2:8000": "Active"}
    await world.edit("a", Forward(local_port=8080, container_port=9000))
    assert world.plane.leads("pf-a/forward-1") == {"web-2:9000": "Active"}
    await world.edit("a", Forward(local_port=9090, container_port=9000))
    assert world.plane.bound == {"pf-a": {"127.0.0.1:9090", "[::1]:9090"}}


async def test_two_forwards_with_their_own_hosts_are_all_cancelled_on_delete(world: World) -> None:
    one = Forward(local_port=8080, container_port=8000, host="127.0.0.2")
    two = Forward(local_port=8081, container_port=8000, host="127.0.0.3")
    await world.forward("a", one, two)
    assert world.plane.bound == {"pf-a": {"127.0.0.2:8080", "127.0.0.3:8081"}}
    assert [s.addresses for s in await world.statuses("a")] == [("127.0.0.2",), ("127.0.0.3",)]
    await world.store.delete(PORT_FORWARDS, "a")
    await world.settle()
    assert world.plane.bound == {}


async def test_two_objects_are_isolated(world: World) -> None:
    await world.cluster.pod("web-2")
    await world.forward("a", ONE)
    await world.forward("b", TWO, pod="web-2")
    before = await world.store.get(PORT_FORWARDS, "a")
    await world.edit("b", Forward(local_port=8081, container_port=1))
    await world.store.delete(PORT_FORWARDS, "b")
    await world.settle()
    assert await world.store.get(PORT_FORWARDS, "a") == before
    assert world.plane.leads("pf-a/forward-1") == {"web-1:8000": "Active"}


async def test_a_start_failure_is_reported_and_goes_when_it_can_start(world: World) -> None:
    world.plane.taken = {8080}
    await world.forward("a", ONE)
    [status] = await world.statuses("a")
    assert "address already in use on 127.0.0.1:8080 by socat (pid 1)" in status.error
    assert status.addresses == ()
    assert status.started_at == ""
    world.plane.taken.clear()
    await world.settle(0.5)
    [status] = await world.statuses("a")
    assert status.error == ""
    assert status.started_at == "2026-01-01T00:00:00.500000Z"


def dial_failed(world: World, listener: str) -> DialFailed:
    endpoint = world.plane.led[listener][0].id
    return DialFailed(listener, 1, endpoint, "refused", "connection refused", final=False)


async def test_a_runtime_failure_is_reported(world: World) -> None:
    await world.forward("a", ONE)
    world.relays.happened(dial_failed(world, "pf-a/forward-1"))
    await world.settle()
    assert await world.errors("a") == ["web-1 refuses connections on port 8000"]


async def test_success_is_partial_forward_by_forward(world: World) -> None:
    world.plane.taken = {8081}
    await world.forward("a", ONE, TWO, RANDOM, Forward(container_port=1, host="nowhere.example"))
    world.relays.happened(dial_failed(world, "pf-a/forward-3"))
    await world.settle()
    fine, taken, refused, nowhere = await world.statuses("a")
    assert (fine.error, fine.addresses) == ("", ("127.0.0.1", "::1"))
    assert "in use" in taken.error
    assert (refused.error, refused.addresses) == (
        "web-1 refuses connections on port 8000",
        ("127.0.0.1", "::1"),
    )
    assert "nowhere.example" in nowhere.error


async def test_a_cluster_error_shows_and_recovery_clears_it(world: World) -> None:
    """Tilt stops the forwards of a cluster in error. Ours stay: connections that work go on, new
    ones go to the pod as it was last seen, and no port is lost to somebody else meanwhile.
    """
    await world.forward("a", ONE)
    before = world.plane.bound
    world.cluster.fail()
    await world.settle()
    assert await world.errors("a") == ["the connection broke"]
    assert world.plane.bound == before
    assert world.plane.leads("pf-a/forward-1") == {"web-1:8000": "Active"}
    world.cluster.heal()
    await world.settle(5)
    assert await world.errors("a") == [""]


# -- Tilt's Forwarder --


@pytest.mark.parametrize("host", ["", "localhost"])
async def test_no_host_and_localhost_listen_on_both_loopbacks(world: World, host: str) -> None:
    await world.forward("a", Forward(local_port=8080, container_port=8000, host=host))
    assert world.plane.bound == {"pf-a": {"127.0.0.1:8080", "[::1]:8080"}}


async def test_a_bad_domain_is_an_error_until_it_is_good(world: World) -> None:
    await world.forward("a", Forward(local_port=8080, container_port=8000, host="my.example"))
    assert await world.errors("a") == ["cannot listen on my.example: Name or service not known"]
    world.names["my.example"] = ("127.0.0.9",)
    await world.settle(5)
    assert world.plane.bound == {"pf-a": {"127.0.0.9:8080"}}
    world.names.clear()  # a name server that fails later takes no listener away
    await world.edit("a", Forward(local_port=8080, container_port=9000, host="my.example"))
    assert world.plane.bound == {"pf-a": {"127.0.0.9:8080"}}
    assert await world.errors("a") == [""]


async def test_all_addresses_are_listened_on_if_asked_for(world: World) -> None:
    await world.forward("a", Forward(local_port=8080, container_port=8000, host="0.0.0.0"))
    assert world.plane.bound == {"pf-a": {"0.0.0.0:8080"}}
    [status] = await world.statuses("a")
    assert status.addresses == ("0.0.0.0",)


async def test_a_dynamic_port_is_reported(world: World) -> None:
    await world.forward("a", RANDOM)
    [status] = await world.statuses("a")
    assert status.local_port == FIRST_RANDOM


async def test_a_remote_error_surfaces(world: World) -> None:
    await world.forward("a", ONE, pod="nobody")
    assert await world.errors("a") == ['pods "nobody" not found']
    await world.cluster.pod("late", phase="Pending", ready=False)
    await world.edit("a", podName="late")
    [error] = await world.errors("a")
    assert "pod/late is not ready" in error


async def test_a_pod_that_is_lost_is_an_error_and_found_again_under_its_name(world: World) -> None:
    """Tilt's forwarder ends with a lost connection. Here connections end one by one, and are
    redialled (dataplane): what is told of the forward is its pod's fate.
    """
    await world.forward("a", ONE)
    await world.cluster.gone("web-1")
    await world.settle()
    assert await world.errors("a") == ['pods "web-1" not found']
    await world.cluster.pod("web-1")
    await world.settle()
    assert await world.errors("a") == [""]


async def test_stopping_is_no_error_and_closes_the_listeners(world: World) -> None:
    await world.forward("a", ONE)
    told: list[WatchEvent] = []
    world.informers[PORT_FORWARDS].subscribe(told.append)
    await world.store.delete(PORT_FORWARDS, "a")
    await world.settle()
    assert world.plane.bound == {}
    [last] = told
    assert isinstance(last, Deleted)
    assert [s.error for s in status_of(last.object).forward_statuses] == [""]


# -- the defects --


async def test_a_random_port_is_kept_through_reconnects_and_edits(world: World) -> None:
    await world.forward("a", RANDOM, Forward(container_port=1))
    [port, other] = [s.local_port for s in await world.statuses("a")]
    await world.cluster.gone("web-1")
    await world.settle()
    await world.cluster.pod("web-1")
    await world.settle()
    world.cluster.fail()
    await world.settle()
    world.cluster.heal()
    await world.settle(5)
    await world.edit("a", Forward(container_port=9000), podName="other")
    [status] = await world.statuses("a")
    assert status.local_port == port != other


async def test_an_edit_touches_only_what_changed(world: World) -> None:
    await world.forward("a", ONE, TWO)
    first = (await world.statuses("a"))[0]
    applied = len(world.plane.snapshots)
    await world.settle(60)
    await world.edit("a", ONE, Forward(local_port=8082, container_port=9000), RANDOM)
    for snapshot in world.plane.snapshots[applied:]:
        kept = {str(b.address) for b, name in snapshot.items() if name == "pf-a/forward-1"}
        assert kept == {"127.0.0.1:8080", "[::1]:8080"}
    assert (await world.statuses("a"))[0] == first
    applied = len(world.plane.snapshots)
    await world.edit("a", ONE, Forward(local_port=8082, container_port=7000), RANDOM)
    assert len(world.plane.snapshots) == applied  # only where it leads to has changed
    await world.edit("a", RANDOM, ONE)
    assert (await world.statuses("a"))[1] == first


async def test_deleting_does_not_wait_for_a_backoff(world: World) -> None:
    world.plane.taken = {8080}
    await world.forward("a", ONE, pod="nobody")
    world.cluster.fail()
    await world.settle(3600)
    await world.store.delete(PORT_FORWARDS, "a")
    await world.settle()  # no time passes
    assert world.plane.bound == {}
    assert await world.relay_names() == []


async def test_a_missing_cluster_is_said_and_its_coming_noticed_at_once(world: World) -> None:
    await world.forward("a", ONE, cluster="west")
    assert await world.errors("a") == ['clusters.tilt.dev "west" not found']
    west = await world.named("west", "w")
    await west.pod("web-1")
    await world.settle()
    assert await world.errors("a") == [""]
    assert world.plane.led["pf-a/forward-1"][0].dial.cluster == "w"  # type: ignore[union-attr]


async def test_a_context_that_is_missing_is_said(world: World) -> None:
    await world.forward("a", ONE, cluster="west")
    await world.store.create(CLUSTERS, new_cluster("west", "x"))
    await world.settle()
    assert await world.errors("a") == ['context "x" does not exist in kubeconfig']


async def test_the_listener_stays_while_there_is_no_pod(world: World) -> None:
    await world.forward("a", ONE)
    before, applied = world.plane.bound, len(world.plane.snapshots)
    await world.cluster.gone("web-1")
    await world.settle(3600)
    assert world.plane.bound == before
    assert len(world.plane.snapshots) == applied
    assert world.plane.leads("pf-a/forward-1") == {}


# -- what is ours --


async def test_a_cluster_that_is_deleted_shows_and_keeps_the_listener(world: World) -> None:
    await world.forward("a", ONE)
    before = world.plane.bound
    await world.store.delete(CLUSTERS, "default")
    await world.settle()
    assert await world.errors("a") == ['clusters.tilt.dev "default" not found']
    assert world.plane.bound == before


async def test_annotations_reach_the_relay(world: World) -> None:
    await world.forward("a", ONE, hold="5s", balance="RoundRobin", inspect="Summary")
    relay = await world.relay("pf-a")
    assert (relay.hold, relay.balance) == (Hold(timeout="5s"), "RoundRobin")
    assert relay.inspect == Inspect(mode="Summary")
    body = {"metadata": {"annotations": None}}
    await world.store.patch(PORT_FORWARDS, "a", "merge", body)
    await world.settle()
    assert (await world.relay("pf-a")).hold == Hold()


async def test_a_relay_of_somebody_elses_is_left_alone_and_named(world: World) -> None:
    workload = Workload(cluster="c", namespace="n", kind="pod", name="web-1")
    ports = (Port(name="main", listen=Listen(hosts=("::1",), port=1), target_port=1),)
    theirs = RelaySpec(ports=ports, target=Target(workload=workload))
    await world.store.create(RELAYS, new_relay("pf-a", theirs))
    await world.forward("a", ONE)
    assert await world.relay("pf-a") == theirs
    assert await world.errors("a") == [
        'relays.ferryman.dev "pf-a" exists already and belongs to somebody else'
    ]
    await world.store.delete(PORT_FORWARDS, "a")
    await world.settle()
    assert await world.relay_names() == ["pf-a"]


async def test_what_is_deleted_and_made_again_keeps_its_listener(world: World) -> None:
    await world.forward("a", RANDOM)
    [before] = await world.statuses("a")
    forward = await world.store.get(PORT_FORWARDS, "a")
    await world.store.delete(PORT_FORWARDS, "a")
    del forward["metadata"]["resourceVersion"]
    made = await world.store.create(PORT_FORWARDS, forward)
    await world.settle()
    [after] = await world.statuses("a")
    assert after.local_port == before.local_port
    relay = await world.store.get(RELAYS, "pf-a")
    assert relay["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]


async def test_somebodys_change_to_its_relay_is_undone(world: World) -> None:
    await world.forward("a", ONE)
    await world.store.patch(RELAYS, "pf-a", "merge", {"spec": {"suspend": True}})
    await world.settle()
    assert not (await world.relay("pf-a")).suspend
    await world.store.delete(RELAYS, "pf-a")
    await world.settle()
    assert await world.relay_names() == ["pf-a"]


async def test_nothing_is_written_without_a_change(world: World) -> None:
    await world.forward("a", ONE, RANDOM)
    before = [await world.store.get(*at) for at in ((PORT_FORWARDS, "a"), (RELAYS, "pf-a"))]
    await world.settle(3600)
    await world.cluster.say("web-1")
    await world.settle()
    after = [await world.store.get(*at) for at in ((PORT_FORWARDS, "a"), (RELAYS, "pf-a"))]
    assert before == after
