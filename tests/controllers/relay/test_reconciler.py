"""The controller on two memory stores (relays; a cluster) and a data plane that only takes notes.

The clock stands still but for ``advance``; ``settle`` lets everything happen that can.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ferryman.addresses import TcpAddress
from ferryman.api.client import ObjectList
from ferryman.api.conditions import find_condition
from ferryman.api.kinds.relay import (
    RELAY,
    RELAYS,
    Hold,
    Listen,
    Port,
    RelaySpec,
    RelayStatus,
    Target,
    Workload,
    new_relay,
    status_of,
)
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Scheme
from ferryman.api.status import AlreadyExists, Forbidden
from ferryman.apiclient.sharing import SharedInformers
from ferryman.controllers.relay.following import POLL
from ferryman.controllers.relay.reconciler import (
    BIND_AGAIN,
    COUNT,
    SUSPECT_AGAIN,
    RelayController,
)
from ferryman.controllers.relay.targets import Cluster
from ferryman.controllers.relay.troubles import AWAITED, FORGOTTEN, OFTEN, SELDOM
from ferryman.dataplane.contract import (
    Applied,
    Bind,
    Bound,
    ClusterReached,
    DialFailed,
    DialFailure,
    DialSpec,
    Endpoint,
    ListenerCounters,
    Listeners,
    NotBound,
    Opened,
    Policy,
    WireLost,
)
from ferryman.demo.kinds import SCHEME
from ferryman.kube.resources import DEPLOYMENTS, PODS, SERVICES
from ferryman.runtime.clock import ManualClock
from ferryman.runtime.tasks import Tasks
from ferryman.store.memory import MemoryStore

LABELS = {"app": "web"}


class Notes:
    """A data plane that binds what it is asked to, unless it is in ``taken``."""

    def __init__(self) -> None:
        self.snapshots: list[Listeners] = []
        self.told: list[tuple[str, str, tuple[Endpoint, ...]]] = []
        self.policies: dict[str, Policy] = {}
        self.taken: set[int] = set()
        self.counted: dict[str, ListenerCounters] = {}
        self.probed: list[DialSpec] = []
        self.refuses = DialFailure("refused", "connection refused", delivered=False)
        self.takes_connections = False
        self._generation = 0

    async def apply(self, listeners: Listeners) -> Applied:
        self.snapshots.append(dict(listeners))
        return {bind: self._bind(bind) for bind in listeners}

    async def endpoints(
        self, listener: str, endpoints: Iterable[Endpoint], generation: int
    ) -> None:
        self._note("in turn", listener, endpoints, generation)

    def endpoints_now(self, listener: str, endpoints: Iterable[Endpoint], generation: int) -> None:
        self._note("at once", listener, endpoints, generation)

    async def policy(self, listener: str, policy: Policy, generation: int) -> None:
        self.policies[listener] = policy

    async def probe(self, address: DialSpec, patience: float) -> DialFailure | None:
        self.probed.append(address)
        return None if self.takes_connections else self.refuses

    def counters(self) -> Mapping[str, ListenerCounters]:
        return self.counted

    @property
    def bound(self) -> dict[str, set[int]]:
        """The ports of each listener, as asked for last."""
        found: dict[str, set[int]] = {}
        for bind, listener in self.snapshots[-1].items():
            assert isinstance(bind.address, TcpAddress)
            found.setdefault(listener, set()).add(bind.address.port)
        return found

    def leads(self, listener: str = "r/main") -> dict[str, str]:
        """Pods and their states, as told last."""
        last = [e for _, name, e in self.told if name == listener][-1]
        return {str(e.dial).removeprefix("pod/").partition(":")[0]: e.state for e in last}

    def _note(
        self, how: str, listener: str, endpoints: Iterable[Endpoint], generation: int
    ) -> None:
        assert generation > self._generation
        self._generation = generation
        self.told.append((how, listener, tuple(endpoints)))

    def _bind(self, bind: Bind) -> Bound | NotBound:
        assert isinstance(bind.address, TcpAddress)
        if bind.address.port in self.taken:
            return NotBound(f"address already in use on {bind.address}", "socat (pid 1)")
        return Bound(bind.address)


class World:
    """Everything around the controller."""

    def __init__(self, wrap: type[Watched] | None = None) -> None:
        self.clock = ManualClock()
        self.relays = MemoryStore(Scheme([RELAY]), self.clock)
        self.store = MemoryStore(SCHEME, self.clock)
        self.cluster = (wrap or Watched)(self.store)
        self.plane = Notes()
        self.introduced = 0
        self.tasks = Tasks()
        informers = SharedInformers(self.cluster, self.clock, self.tasks)
        cluster = Cluster(informers, "n", self._introduce)
        self.controller = RelayController(self.relays, self.plane, {"c": cluster}, self.clock)

    async def _introduce(self) -> None:
        assert not any(endpoints for _, _, endpoints in self.plane.told)
        self.introduced += 1

    async def settle(self, seconds: float = 0) -> None:
        await self.clock.advance(seconds)
        for _ in range(10):
            await self.clock.advance(0)

    async def relay(self, name: str = "r", port: int = 8080, **spec: Any) -> None:
        workload = Workload(kind="deployment", name="web")
        wanted = RelaySpec(
            ports=(
                Port(
                    name="main",
                    listen=Listen(hosts=("127.0.0.1",), port=port),
                    target_port=spec.pop("target_port", 8000),
                ),
            ),
            target=spec.pop("target", Target(workload=workload)),
            **spec,
        )
        await self.relays.create(RELAYS, new_relay(name, wanted))
        await self.settle()

    async def change(self, name: str, body: Object) -> None:
        await self.relays.patch(RELAYS, name, "merge", {"spec": body})
        await self.settle()

    async def deployment(self, labels: Mapping[str, str] = LABELS) -> None:
        container = {"name": "app", "image": "web"}
        await self.store.create(
            DEPLOYMENTS,
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web", "namespace": "n"},
                "spec": {
                    "selector": {"matchLabels": dict(labels)},
                    "template": {
                        "metadata": {"labels": dict(labels)},
                        "spec": {"containers": [container]},
                    },
                },
            },
        )
        await self.settle()

    async def service(self, selector: Mapping[str, str]) -> None:
        meta = {"name": "web", "namespace": "n"}
        spec = {"selector": dict(selector), "ports": [{"port": 80, "targetPort": 8000}]}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
        try:
            await self.store.create(SERVICES, service)
        except AlreadyExists:
            body = {"spec": {"selector": {"app": None, **selector}}}
            await self.store.patch(SERVICES, "web", "merge", body, "n")
        await self.settle()

    async def pod(self, name: str, labels: Mapping[str, str] = LABELS) -> None:
        container = {"name": "app", "image": "web"}
        meta = {"name": name, "namespace": "n", "labels": dict(labels)}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
        await self.store.create(PODS, {**pod, "spec": {"containers": [container]}})
        await self.ready(name)

    async def ready(self, name: str, ready: str = "True") -> None:
        status = {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": ready}],
        }
        await self.store.apply_status(PODS, name, status, "n", manager="kubelet")
        await self.settle()

    async def status(self, name: str = "r") -> RelayStatus:
        return status_of(await self.relays.get(RELAYS, name))

    async def reason(self, condition: str, name: str = "r") -> str:
        found = find_condition((await self.status(name)).conditions, condition)
        assert found is not None
        return found.reason


class Watched:
    """The cluster's client, which counts what is listed and watched, and may refuse."""

    refuses: frozenset[str] = frozenset()

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.listed: list[str] = []
        self.watching: list[str] = []
        self.watched = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def list(self, resource: Resource, *args: Any, **kwargs: Any) -> ObjectList:
        self.listed.append(resource.plural)
        if resource.plural in self.refuses:
            raise Forbidden(f'User "jane" cannot list resource "{resource.plural}"')
        return await self._store.list(resource, *args, **kwargs)

    async def watch(self, resource: Resource, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        self.watching.append(resource.plural)
        self.watched += 1
        try:
            async for event in self._store.watch(resource, *args, **kwargs):
                yield event
        finally:
            self.watching.remove(resource.plural)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    async with world.tasks, asyncio.TaskGroup() as group:
        task = group.create_task(world.controller.run())
        await world.settle()
        try:
            yield world
        finally:
            task.cancel()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running(World()) as world:
        yield world


async def test_a_relay_is_bound_followed_and_led(world: World) -> None:
    await world.deployment()
    await world.pod("web-1")
    await world.relay(hold=Hold(timeout="7s"))
    assert world.plane.bound == {"r/main": {8080}}
    assert world.plane.leads() == {"web-1": "Active"}
    assert world.plane.policies["r/main"].hold == 7
    assert await world.reason("Ready") == "Ready"
    assert world.introduced == 1


async def test_it_listens_before_there_is_anything_to_lead_to(world: World) -> None:
    await world.relay()
    assert world.plane.bound == {"r/main": {8080}}
    assert world.introduced == 0
    assert await world.reason("TargetReady") == "TargetNotFound"
    await world.deployment()
    assert await world.reason("TargetReady") == "NoPods"
    await world.pod("web-1")
    assert world.plane.leads() == {"web-1": "Active"}
    assert await world.reason("Ready") == "Ready"


async def test_that_a_pod_leaves_is_told_at_once_and_before_any_queue(world: World) -> None:
    await world.deployment()
    await world.pod("web-1")
    await world.pod("web-2")
    await world.relay()
    world.plane.told.clear()
    await world.store.delete(PODS, "web-2", "n", grace_seconds=30)
    await world.settle()
    how, _, _ = world.plane.told[0]
    assert how == "at once"
    assert world.plane.leads() == {"web-1": "Active", "web-2": "Draining"}
    world.plane.told.clear()
    await world.store.delete(PODS, "web-2", "n", grace_seconds=0)
    await world.settle()
    assert [(how, len(endpoints)) for how, _, endpoints in world.plane.told] == [("at once", 1)]


async def test_that_a_pod_is_no_longer_ready_is_told_at_once_too(world: World) -> None:
    await world.deployment()
    await world.pod("web-1")
    await world.relay()
    world.plane.told.clear()
    await world.ready("web-1", "False")
    assert [how for how, _, _ in world.plane.told] == ["at once"]
    assert world.plane.leads() == {}
    await world.ready("web-1")
    assert world.plane.leads() == {"web-1": "Active"}


async def test_a_workload_that_is_made_again_is_found_again(world: World) -> None:
    await world.deployment()
    await world.pod("web-1")
    await world.relay()
    await world.store.delete(DEPLOYMENTS, "web", "n")
    await world.settle()
    assert await world.reason("TargetReady") == "TargetNotFound"
    assert world.plane.told[-1][2] == ()
    other = {"app": "other"}
    await world.deployment(other)
    await world.pod("other-1", other)
    assert world.plane.leads() == {"other-1": "Active"}
    assert world.plane.snapshots[-1] == world.plane.snapshots[0]


async def test_another_selector_leads_elsewhere_without_a_gap(world: World) -> None:
    await world.service({"app": "web"})
    await world.pod("web-1")
    await world.pod("new-1", {"app": "new"})
    await world.relay(target=Target(workload=Workload(kind="service", name="web")), target_port=80)
    assert world.plane.leads() == {"web-1": "Active"}
    world.plane.told.clear()
    await world.service({"app": "new"})
    assert world.plane.leads() == {"new-1": "Active"}
    assert all(endpoints for _, _, endpoints in world.plane.told)


async def test_relays_of_one_workload_share_its_watches_and_the_last_ends_them(
    world: World,
) -> None:
    await world.deployment()
    await world.relay("a", 8080)
    await world.relay("b", 8081)
    assert sorted(world.cluster.watching) == ["deployments", "pods"]
    await world.relays.delete(RELAYS, "a")
    await world.settle()
    assert sorted(world.cluster.watching) == ["deployments", "pods"]
    await world.change("b", {"suspend": True})
    assert world.cluster.watching == []
    assert world.plane.snapshots[-1] == {}


async def test_nothing_is_written_without_a_change(world: World) -> None:
    await world.deployment()
    await world.pod("web-1")
    await world.relay()
    version = (await world.relays.get(RELAYS, "r"))["metadata"]["resourceVersion"]
    for number in range(3):
        await world.store.patch(
            PODS, "web-1", "merge", {"metadata": {"annotations": {"n": str(number)}}}, "n"
        )
        await world.settle(3600)
    assert (await world.relays.get(RELAYS, "r"))["metadata"]["resourceVersion"] == version


async def test_connections_are_counted_now_and_then_only(world: World) -> None:
    await world.relay()
    world.plane.counted = {"r/main": ListenerCounters(open=1, total=5)}
    await world.settle(COUNT - 1)
    assert (await world.status()).connections.total == 0
    await world.settle(1)
    assert (await world.status()).connections.total == 5


async def test_the_older_relay_has_the_address_and_the_younger_inherits_it(world: World) -> None:
    await world.relay("b")
    await world.settle(5)
    await world.relay("a")
    assert world.plane.bound == {"b/main": {8080}}
    assert await world.reason("Bound", "a") == "PortClaimed"
    await world.relays.delete(RELAYS, "b")
    await world.settle()
    assert world.plane.bound == {"a/main": {8080}}
    assert await world.reason("Bound", "a") == "Bound"
    assert "a/main" in world.plane.policies


async def test_the_heir_is_led_though_nobody_listened_for_it_before(world: World) -> None:
    await world.deployment()
    await world.pod("web-1")
    await world.relay("b")
    await world.settle(5)
    await world.relay("a")
    world.plane.told.clear()
    world.plane.policies.clear()
    await world.relays.delete(RELAYS, "b")
    await world.settle()
    assert world.plane.leads("a/main") == {"web-1": "Active"}
    assert "a/main" in world.plane.policies


async def test_an_address_that_is_taken_is_tried_again(world: World) -> None:
    world.plane.taken = {8080}
    await world.relay()
    assert await world.reason("Bound") == "AddressInUse"
    world.plane.taken.clear()
    await world.settle(BIND_AGAIN)
    assert await world.reason("Bound") == "Bound"


async def test_a_relay_that_moves_keeps_its_old_address_until_it_has_the_new(world: World) -> None:
    def moved(port: int) -> Object:
        listen = {"hosts": ["127.0.0.1"], "port": port}
        return {"ports": [{"name": "main", "listen": listen, "targetPort": 8000}]}

    await world.relay()
    world.plane.taken = {9090}
    await world.change("r", moved(9090))
    assert world.plane.bound == {"r/main": {8080, 9090}}
    [port] = (await world.status()).ports
    assert port.addresses == ("127.0.0.1:8080",)
    assert "in use on 127.0.0.1:9090" in port.error
    world.plane.taken.clear()
    await world.settle(BIND_AGAIN)
    assert world.plane.bound == {"r/main": {9090}}
    assert world.plane.snapshots[-2].keys() > world.plane.snapshots[-1].keys()
    assert (await world.status()).ports[0].addresses == ("127.0.0.1:9090",)


async def test_a_refusal_shows_until_a_connection_gets_through(world: World) -> None:
    await world.deployment()
    await world.pod("web-1")
    await world.relay()
    endpoint = world.plane.told[-1][2][0].id
    world.controller.happened(
        DialFailed("r/main", 1, endpoint, "refused", "connection refused", final=False)
    )
    await world.settle()
    assert await world.reason("Reachable") == "DialRefused"
    world.controller.happened(Opened("r/main", 1, "client", endpoint, 0.0, 0))
    await world.settle()
    assert await world.reason("Reachable") == "Reachable"


async def refused(world: World) -> None:
    """A client was refused by the only pod."""
    await world.deployment()
    await world.pod("web-1")
    await world.relay()
    endpoint = world.plane.told[-1][2][0].id
    failed = DialFailed("r/main", 1, endpoint, "refused", "connection refused", final=True)
    world.controller.happened(failed)
    await world.settle()
    assert await world.reason("Reachable") == "DialRefused"


async def test_a_refusal_goes_within_a_second_though_no_client_tries_again(world: World) -> None:
    await refused(world)
    for _ in range(5):
        await world.settle(OFTEN)
    assert len(world.plane.probed) == 5
    assert await world.reason("Ready") == "DialRefused"
    world.plane.takes_connections = True
    await world.settle(OFTEN)
    assert await world.reason("Ready") == "Ready"
    await world.settle(10 * OFTEN)
    assert len(world.plane.probed) == 6


async def test_nobody_is_probed_for_a_client_that_waits(world: World) -> None:
    await refused(world)
    world.plane.counted = {"r/main": ListenerCounters(held=1)}
    for _ in range(5):
        await world.settle(OFTEN)
    assert not world.plane.probed
    world.plane.counted = {}
    await world.settle(OFTEN)
    assert len(world.plane.probed) == 1


async def test_a_port_that_nobody_wants_is_probed_less_and_then_no_more(world: World) -> None:
    await refused(world)
    while world.clock.monotonic() < AWAITED:
        await world.settle(OFTEN)
    often = len(world.plane.probed)
    assert often <= AWAITED / OFTEN
    while world.clock.monotonic() < FORGOTTEN:
        await world.settle(OFTEN)
    seldom = len(world.plane.probed) - often
    assert 0 < seldom <= (FORGOTTEN - AWAITED) / SELDOM
    await world.settle(SELDOM)
    assert await world.reason("Reachable") == "Reachable"
    before = len(world.plane.probed)
    await world.settle(FORGOTTEN)
    assert len(world.plane.probed) == before


async def test_a_refusal_goes_with_its_pod(world: World) -> None:
    await refused(world)
    await world.store.delete(PODS, "web-1", "n")
    await world.settle(OFTEN)
    assert await world.reason("Reachable") == "Reachable"
    assert not world.plane.probed


async def test_a_probe_may_find_other_trouble(world: World) -> None:
    await refused(world)
    world.plane.refuses = DialFailure("forbidden", "may not", delivered=False)
    await world.settle(OFTEN)
    assert await world.reason("Reachable") == "Forbidden"


async def test_a_lost_wire_puts_the_watches_in_doubt_but_not_again_and_again(world: World) -> None:
    await world.deployment()
    await world.pod("web-1")
    await world.relay()
    before = world.cluster.watched
    for _ in range(50):
        world.controller.happened(WireLost("c", "web-1", "no PONG within 5 s"))
        await world.settle()
    assert world.cluster.watched == before + 2
    await world.settle(SUSPECT_AGAIN)
    world.controller.happened(WireLost("c", "web-1", "no PONG within 5 s"))
    await world.settle()
    assert world.cluster.watched == before + 4
    assert await world.reason("Ready") == "Ready"


async def test_a_wire_that_can_be_opened_again_wakes_the_watches(world: World) -> None:
    await world.deployment()
    await world.pod("web-1")
    await world.relay()
    await world.settle(SUSPECT_AGAIN)
    before = world.cluster.watched
    world.controller.happened(WireLost("c", "web-1", "no PONG within 5 s"))
    await world.settle(2)
    for _ in range(50):
        world.controller.happened(ClusterReached("c"))
        await world.settle()
    assert world.cluster.watched == before + 4


class MayOnlyGet(Watched):
    refuses = frozenset({"deployments"})


async def test_a_workload_that_may_not_be_listed_is_looked_at_now_and_then() -> None:
    async with running(World(MayOnlyGet)) as world:
        await world.deployment()
        await world.pod("web-1")
        await world.relay()
        assert world.plane.leads() == {"web-1": "Active"}
        assert await world.reason("Ready") == "Ready"
        await world.store.delete(DEPLOYMENTS, "web", "n")
        await world.settle(POLL)
        assert await world.reason("TargetReady") == "TargetNotFound"


class MayNothing(Watched):
    refuses = frozenset({"pods"})


async def test_what_may_not_be_read_is_said() -> None:
    async with running(World(MayNothing)) as world:
        await world.deployment()
        await world.relay()
        assert await world.reason("Ready") == "Forbidden"


async def test_a_cluster_that_nobody_knows_is_said(world: World) -> None:
    workload = Workload(cluster="nowhere", kind="deployment", name="web")
    await world.relay(target=Target(workload=workload))
    condition = find_condition((await world.status()).conditions, "Reachable")
    assert condition is not None
    assert "nowhere" in condition.message
