"""Tilt's objects on real clusters: applied, carried through, healed, told in their status.

Two demos at once, one store with the standing controllers and a data plane in this process; what
goes through the forwards is real HTTP.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from ferryman.access import kubeconfig
from ferryman.api.conditions import find_condition
from ferryman.api.kinds import kubernetesdiscovery as kd
from ferryman.api.kinds import portforward as pf
from ferryman.api.kinds.cluster import CLUSTERS, new_cluster
from ferryman.api.kinds.kubernetesdiscovery import (
    KUBERNETES_DISCOVERIES,
    KubernetesDiscoverySpec,
    PortForwardTemplate,
    Watch,
)
from ferryman.api.kinds.portforward import PORT_FORWARDS, Forward, PortForwardSpec
from ferryman.api.kinds.relay import (
    RELAYS,
    Listen,
    Port,
    RelaySpec,
    Target,
    Workload,
    new_relay,
)
from ferryman.api.kinds.relay import status_of as relay_status_of
from ferryman.api.resource import Object
from ferryman.api.scheme import Scheme
from ferryman.api.status import NotFound
from ferryman.daemon.clusters import Clusters
from ferryman.daemon.standing import KINDS, Settings, standing
from ferryman.dataplane.threaded import ThreadedDataPlane
from ferryman.runtime.clock import SystemClock
from ferryman.store.memory import MemoryStore
from tests.support.apiserver import serving
from tests.support.demo import Demo, running_demo
from tests.support.forwarding import Load, get
from tests.support.peers import require

SOON = 20.0


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Demo]]:
    east, west = (tmp_path_factory.mktemp(name) for name in ("east", "west"))
    with running_demo(east) as one, running_demo(west) as two:
        yield {"east": one, "west": two}


@pytest.fixture(scope="module")
def config(demos: dict[str, Demo], tmp_path_factory: pytest.TempPathFactory) -> str:
    """One kubeconfig with a context for each demo; east is the current one."""
    merged: dict[str, Any] = {
        "current-context": "east",
        "contexts": [],
        "clusters": [],
        "users": [],
    }
    for name, demo in demos.items():
        one = yaml.safe_load(Path(demo.kubeconfig).read_text())
        merged["clusters"].append({"name": name, "cluster": one["clusters"][0]["cluster"]})
        merged["users"].append({"name": name, "user": one["users"][0]["user"]})
        context = {"cluster": name, "user": name, "namespace": "default"}
        merged["contexts"].append({"name": name, "context": context})
    path = tmp_path_factory.mktemp("config") / "kubeconfig"
    path.write_text(yaml.safe_dump(merged))
    return str(path)


@dataclass
class World:
    """The store, and what tests ask of it."""

    store: MemoryStore
    clusters: Clusters

    async def until(self, holds: Callable[[], Awaitable[Any]], seconds: float = SOON) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = await holds()
            except NotFound:
                found = None
            if found:
                return found
            assert time.monotonic() < deadline, await self.everything()
            await asyncio.sleep(0.02)

    async def everything(self) -> list[Object]:
        listed = [(await self.store.list(kind.resource)).items for kind in KINDS]
        return [obj for items in listed for obj in items]

    async def forward(
        self, name: str, pod: str, *forwards: Forward, hold: str = "30s", **more: Any
    ) -> None:
        spec = PortForwardSpec(pod_name=pod, forwards=forwards, **more)
        annotations = {"ferryman.dev/hold": hold}
        forward = pf.new_port_forward(name, spec, annotations=annotations)
        await self.store.create(PORT_FORWARDS, forward)

    async def statuses(self, name: str) -> tuple[pf.ForwardStatus, ...]:
        return pf.status_of(await self.store.get(PORT_FORWARDS, name)).forward_statuses

    async def bound(self, name: str) -> tuple[pf.ForwardStatus, ...]:
        """The statuses, once every forward has a port and no error."""

        async def fine() -> tuple[pf.ForwardStatus, ...]:
            found = await self.statuses(name)
            return found if all(s.addresses and not s.error for s in found) else ()

        found: tuple[pf.ForwardStatus, ...] = await self.until(fine)
        return found

    async def error(self, name: str, text: str, seconds: float = SOON) -> None:
        async def said() -> bool:
            return any(text in s.error for s in await self.statuses(name))

        await self.until(said, seconds)


@pytest.fixture
async def world(config: str) -> AsyncIterator[World]:
    async with _world(config) as world:
        yield world


@asynccontextmanager
async def _world(config: str) -> AsyncIterator[World]:
    clock = SystemClock()
    store = MemoryStore(Scheme(KINDS), clock)
    dataplane = ThreadedDataPlane()
    load = partial(_load, config)
    try:
        settings = Settings(load, config, (config,))
        async with standing(store, dataplane, settings, clock) as clusters:
            yield World(store, clusters)
    finally:
        await dataplane.stop(0)


def _load(config: str, context: str) -> kubeconfig.Access:
    return kubeconfig.load(config, context or None, os.environ)


def pod_of(demo: Demo, app: str = "example-go") -> str:
    pods = [p for p in demo.pods(f"app={app}") if "deletionTimestamp" not in p["metadata"]]
    return str(pods[0]["metadata"]["name"])


async def fetched(port: int, host: str = "127.0.0.1") -> str:
    return await asyncio.to_thread(get, port, host)


async def deployment_uid(demo: Demo, name: str = "example-go") -> str:
    path = f"/apis/apps/v1/namespaces/default/deployments/{name}"
    return str((await asyncio.to_thread(demo.request, "GET", path))["metadata"]["uid"])


async def discover(world: World, demo: Demo, name: str = "go", **more: Any) -> None:
    uid = await deployment_uid(demo)
    spec = KubernetesDiscoverySpec(
        watches=(Watch(uid=uid, namespace="default", name="example-go"),), **more
    )
    await world.store.create(KUBERNETES_DISCOVERIES, kd.new_discovery(name, spec))


async def test_a_port_forward_carries_and_its_status_says_how(
    world: World, demos: dict[str, Demo]
) -> None:
    pod = pod_of(demos["east"])
    await world.forward("go", pod, Forward(container_port=8000), Forward(container_port=8000))
    one, two = await world.bound("go")
    assert one.addresses == ("127.0.0.1", "::1")
    assert one.local_port != two.local_port
    assert one.started_at.endswith("Z")
    assert await fetched(one.local_port) == pod
    assert await fetched(two.local_port, "::1") == pod
    await world.store.delete(PORT_FORWARDS, "go")

    async def closed() -> bool:
        try:
            await fetched(one.local_port)
        except OSError:
            return True
        return False

    await world.until(closed)
    assert (await world.store.list(RELAYS)).items == ()


async def test_two_clusters_are_forwarded_to_at_once(world: World, demos: dict[str, Demo]) -> None:
    await world.store.create(CLUSTERS, new_cluster("west", "west"))
    for name, cluster in (("east", "default"), ("west", "west")):
        pod = pod_of(demos[name])
        await world.forward(name, pod, Forward(container_port=8000), cluster=cluster)
    for name, demo in demos.items():
        [status] = await world.bound(name)
        assert await fetched(status.local_port) == pod_of(demo)


async def test_a_cluster_that_is_missing_shows_within_a_second_and_recovers_within_one(
    world: World, demos: dict[str, Demo]
) -> None:
    pod = pod_of(demos["west"])
    await world.forward("go", pod, Forward(container_port=8000), cluster="west")
    await world.error("go", 'clusters.tilt.dev "west" not found', seconds=1)
    await world.store.create(CLUSTERS, new_cluster("west", "west"))
    began = time.monotonic()
    [status] = await world.bound("go")
    assert time.monotonic() - began < 1
    assert await fetched(status.local_port) == pod


async def test_a_pod_that_is_missing_or_refuses_shows_and_spares_its_neighbour(
    world: World, demos: dict[str, Demo]
) -> None:
    await world.forward("gone", "nobody", Forward(container_port=8000))
    await world.error("gone", 'pods "nobody" not found')
    pod = pod_of(demos["east"])
    forwards = (Forward(container_port=8000), Forward(container_port=9))
    await world.forward("go", pod, *forwards, hold="1s")
    fine, refused = await world.bound("go")
    with pytest.raises(ConnectionResetError):
        await fetched(refused.local_port)
    await world.error("go", "refuses connections on port 9")
    fine, refused = await world.statuses("go")
    assert fine.error == ""
    assert refused.error
    assert await fetched(fine.local_port) == pod


async def test_a_discovery_finds_pods_through_their_owners_and_forwards_to_the_best(
    world: World, demos: dict[str, Demo]
) -> None:
    template = PortForwardTemplate(forwards=(Forward(),))  # both ports to be found out
    await discover(world, demos["east"], port_forward_template_spec=template)
    pod = pod_of(demos["east"])
    [status] = await world.bound(f"go-{pod}")
    assert status.container_port == 8000
    assert await fetched(status.local_port) == pod
    found = kd.status_of(await world.store.get(KUBERNETES_DISCOVERIES, "go"))
    assert found.running is not None
    [said] = found.pods
    assert (said.name, said.phase, said.status) == (pod, "Running", "Running")
    assert said.ancestor_uid == await deployment_uid(demos["east"])
    assert said.owner is not None
    assert (said.owner.kind, bool(said.owner.creation_timestamp)) == ("ReplicaSet", True)
    assert [c.ports for c in said.containers] == [(8000,)]


async def test_no_request_fails_while_a_discoverys_pod_is_replaced(
    world: World, demos: dict[str, Demo]
) -> None:
    demo = demos["east"]
    template = PortForwardTemplate(forwards=(Forward(container_port=8000),))
    await discover(world, demo, port_forward_template_spec=template)
    before = pod_of(demo)
    [status] = await world.bound(f"go-{before}")

    async def answered_by_another() -> bool:
        return len(load.answers()) > 1 and len(load.requests) > 100

    with Load(status.local_port) as load:
        await world.until(lambda: asyncio.sleep(0, bool(load.answers())))
        path = f"/api/v1/namespaces/default/pods/{before}"
        await asyncio.to_thread(demo.request, "DELETE", path)
        await world.until(answered_by_another)
    assert load.failed == []
    after = load.answers()[-1]
    [moved] = await world.bound(f"go-{after}")
    assert moved.local_port == status.local_port  # the random port is kept for life

    async def alone() -> bool:
        items = (await world.store.list(PORT_FORWARDS)).items
        return [i["metadata"]["name"] for i in items] == [f"go-{after}"]

    await world.until(alone)


async def test_the_api_server_may_go_away_and_come_back(
    world: World, demos: dict[str, Demo]
) -> None:
    demo = demos["west"]
    await world.store.create(CLUSTERS, new_cluster("west", "west"))
    template = PortForwardTemplate(forwards=(Forward(container_port=8000),))
    await discover(world, demo, cluster="west", port_forward_template_spec=template)
    pod = pod_of(demo)
    [status] = await world.bound(f"go-{pod}")

    async def waiting() -> bool:
        found = kd.status_of(await world.store.get(KUBERNETES_DISCOVERIES, "go"))
        return found.waiting is not None and found.waiting.reason == "ClusterUnavailable"

    async def running() -> bool:
        found = kd.status_of(await world.store.get(KUBERNETES_DISCOVERIES, "go"))
        return found.running is not None

    await asyncio.to_thread(demo.outage, 3)
    await world.until(waiting, seconds=1.5)
    found = kd.status_of(await world.store.get(KUBERNETES_DISCOVERIES, "go"))
    assert [p.name for p in found.pods] == [pod]  # what was known stays in use
    await world.until(running)
    assert await fetched(status.local_port) == pod
    [again] = await world.bound(f"go-{pod}")
    assert again == status


async def test_fifty_discoveries_cost_one_watch_of_pods_and_one_look_at_each_owner(
    world: World, demos: dict[str, Demo]
) -> None:
    demo = demos["east"]
    uid = await deployment_uid(demo)
    before = demo.stats()["requests"]

    async def all_running() -> bool:
        items = (await world.store.list(KUBERNETES_DISCOVERIES)).items
        return all(len(kd.status_of(item).pods) == 1 for item in items)

    for number in range(50):
        spec = KubernetesDiscoverySpec(watches=(Watch(uid=uid, namespace="default"),))
        await world.store.create(KUBERNETES_DISCOVERIES, kd.new_discovery(f"kd-{number}", spec))
    await world.until(all_running)
    after = demo.stats()["requests"]
    cost = {what: after.get(what, 0) - before.get(what, 0) for what in after}
    owners = {"get replicasets": 2, "get deployments": 2, "get statefulsets": 1}  # of all pods
    assert cost["list pods"] == cost["watch pods"] == 1
    assert all(cost.get(what, 0) <= most for what, most in owners.items()), cost


MANIFEST = """
apiVersion: tilt.dev/v1alpha1
kind: KubernetesDiscovery
metadata: {name: go, annotations: {ferryman.dev/hold: 10s}}
spec:
  watches: [{namespace: default, name: example-go}]
  portForwardTemplateSpec: {forwards: [{containerPort: 8000, name: web, path: /}]}
---
apiVersion: tilt.dev/v1alpha1
kind: PortForward
metadata: {name: mine}
spec: {podName: POD, forwards: [{containerPort: 8000, host: 127.0.0.1}]}
"""


async def test_tilts_objects_are_applied_and_read_with_kubectl(
    world: World, demos: dict[str, Demo], tmp_path: Path
) -> None:
    program = require("kubectl")
    async with serving(tmp_path, scheme=Scheme(KINDS), store=world.store) as api:
        config = api.kubeconfig(tmp_path)

        async def kubectl(*arguments: str, text: str = "", ok: bool = True) -> str:
            command = [program, "--kubeconfig", str(config), "--cache-dir", str(tmp_path / "c")]
            done = await asyncio.to_thread(
                partial(subprocess.run, text=True, capture_output=True, timeout=30),
                [*command, *arguments],
                input=text,
            )
            assert (done.returncode == 0) == ok, done
            return str(done.stdout if ok else done.stderr)

        pod = pod_of(demos["east"])
        await kubectl("apply", "-f", "-", text=MANIFEST.replace("POD", pod))
        [view] = await world.bound(f"go-{pod}")
        [mine] = await world.bound("mine")
        assert await fetched(view.local_port) == await fetched(mine.local_port) == pod
        rows = [line.split() for line in (await kubectl("get", "pf")).splitlines()]
        assert rows[0] == ["NAME", "POD", "FORWARDS", "READY", "AGE"]
        assert [f"go-{pod}", pod, f"{view.local_port}->8000", "1/1"] in [r[:4] for r in rows]
        shown = f"127.0.0.1:{mine.local_port}->8000"
        assert ["mine", pod, shown, "1/1"] in [row[:4] for row in rows]
        [_, row] = [line.split() for line in (await kubectl("get", "kd")).splitlines()]
        assert row[:3] == ["go", "Running", "1/1"]
        [_, row] = [line.split() for line in (await kubectl("get", "clusters")).splitlines()]
        assert row[:3] == ["default", "Connected", "east"]
        assert "Forward Statuses" in await kubectl("describe", "pf", "mine")
        assert "containerPort" in await kubectl("explain", "pf.spec.forwards")
        bad = MANIFEST.replace("10s", "soon").replace("POD", '""')
        refused = await kubectl("apply", "-f", "-", text=bad, ok=False)
        assert "metadata.annotations[ferryman.dev/hold]" in refused
        assert "spec.podName: Required value" in refused
        await kubectl("delete", "kd/go", "pf/mine")

        async def nothing_left() -> bool:
            return not (await world.store.list(PORT_FORWARDS)).items

        await world.until(nothing_left)


def read(config: str) -> Any:
    return yaml.safe_load(Path(config).read_text())


async def test_a_context_that_is_changed_in_the_kubeconfig_is_followed(
    config: str, demos: dict[str, Demo], tmp_path: Path
) -> None:
    """First its credentials, then where it leads: nobody starts anything anew."""
    said = read(config)
    token, said["users"][0]["user"]["token"] = said["users"][0]["user"]["token"], "expired"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(said))
    async with _world(str(path)) as world:
        pods = {name: pod_of(demo) for name, demo in demos.items()}
        workload = Workload(kind="deployment", name="example-go")
        port = Port(name="http", listen=Listen(hosts=("127.0.0.1",)), target_port=8000)
        spec = RelaySpec(ports=(port,), target=Target(workload=workload))
        await world.store.create(RELAYS, new_relay("go", spec))

        async def is_(reason: str) -> bool:
            status = relay_status_of(await world.store.get(RELAYS, "go"))
            ready = find_condition(status.conditions, "Ready")
            return ready is not None and ready.reason == reason

        await world.until(partial(is_, "Unauthorized"))
        said["users"][0]["user"]["token"] = token
        path.write_text(yaml.safe_dump(said))
        await world.until(partial(is_, "Ready"))
        number = relay_status_of(await world.store.get(RELAYS, "go")).ports[0].port
        assert await fetched(number) == pods["east"]

        said["contexts"][0]["context"] |= {"cluster": "west", "user": "west"}
        path.write_text(yaml.safe_dump(said))

        async def led_west() -> bool:
            return await fetched(number) == pods["west"]

        await world.until(led_west)


@pytest.mark.parametrize("wire", ["spdy", "channels"])
async def test_an_older_cluster_is_forwarded_to_by_the_wire_that_it_speaks(
    world: World, demos: dict[str, Demo], wire: str
) -> None:
    demo = demos["west"]
    await asyncio.to_thread(demo.speak, wire)
    try:
        await world.store.create(CLUSTERS, new_cluster("west", "west"))
        pod = pod_of(demo)
        await world.forward("go", pod, Forward(container_port=8000), cluster="west")
        [status] = await world.bound("go")
        assert await fetched(status.local_port) == pod
    finally:
        await asyncio.to_thread(demo.speak, "tunnel", "spdy", "channels")
