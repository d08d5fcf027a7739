"""The standing controllers on memory stores, with real informers and a clock that tests hold.

``World`` has our own store, clusters by their contexts, and a data plane that takes notes. The
clock stands still but for ``settle``, which lets everything happen that can.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ferryman.addresses import TcpAddress
from ferryman.api.client import Bookmark, ObjectList, WatchEvent
from ferryman.api.kinds import kubernetesdiscovery as kd
from ferryman.api.kinds import portforward as pf
from ferryman.api.kinds import relay as rl
from ferryman.api.kinds.cluster import CLUSTERS, ClusterStatus, new_cluster
from ferryman.api.kinds.cluster import status_of as cluster_status_of
from ferryman.api.kinds.kubernetesdiscovery import KUBERNETES_DISCOVERIES
from ferryman.api.kinds.portforward import PORT_FORWARDS, Forward, ForwardStatus
from ferryman.api.kinds.relay import RELAYS, RelaySpec
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Scheme
from ferryman.api.status import NotFound
from ferryman.apiclient.informer import Informer
from ferryman.apiclient.sharing import SharedInformers
from ferryman.controllers.cluster.reconciler import ClusterController
from ferryman.controllers.connections import Connection
from ferryman.controllers.gc import GarbageCollector
from ferryman.controllers.kubernetesdiscovery.reconciler import KubernetesDiscoveryController
from ferryman.controllers.portforward.reconciler import PortForwardController
from ferryman.controllers.relay.discovered import Discoveries
from ferryman.controllers.relay.reconciler import RelayController
from ferryman.controllers.relay.targets import Cluster
from ferryman.daemon.standing import KINDS
from ferryman.dataplane.contract import (
    Applied,
    Bind,
    Bound,
    DialFailure,
    DialSpec,
    Endpoint,
    ListenerCounters,
    Listeners,
    NotBound,
    Policy,
)
from ferryman.demo.kinds import SCHEME
from ferryman.errors import FerrymanError, Unavailable, UserError
from ferryman.kube.kinds import Kinds
from ferryman.kube.resources import DEPLOYMENTS, NODES, PODS, REPLICASETS
from ferryman.reconcile import Manager
from ferryman.runtime.clock import ManualClock
from ferryman.runtime.tasks import Tasks
from ferryman.store.memory import MemoryStore

LABELS = {"app": "web"}
FIRST_RANDOM = 40000


class FakeCluster:
    """A cluster's API on a memory store; ``fail`` makes it as if the network were cut."""

    def __init__(self, clock: ManualClock) -> None:
        self.store = MemoryStore(SCHEME, clock)
        self.version = "v1.37.0"
        self.requests: list[str] = []
        self.watching: list[tuple[str, str]] = []
        self.refused: dict[str, FerrymanError] = {}
        self._failure: FerrymanError | None = None
        self._broken = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def fail(self, message: str = "connection refused") -> None:
        self._failure = Unavailable(message)
        self._broken.set()

    def heal(self) -> None:
        self._failure = None
        self._broken = asyncio.Event()

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        self._check("get", resource)
        return await self.store.get(resource, name, namespace)

    async def list(self, resource: Resource, *args: Any, **kwargs: Any) -> ObjectList:
        self._check("list", resource)
        return await self.store.list(resource, *args, **kwargs)

    async def watch(
        self, resource: Resource, namespace: str = "", *args: Any, **kwargs: Any
    ) -> AsyncIterator[WatchEvent]:
        self._check("watch", resource)
        yield Bookmark(kwargs["resource_version"])  # as the HTTP client does: it was accepted
        self.watching.append((resource.plural, namespace))
        broken = self._broken
        events = self.store.watch(resource, namespace, *args, **kwargs)
        try:
            while True:
                async with asyncio.TaskGroup() as group:
                    following = group.create_task(_next(events))
                    breaking = group.create_task(broken.wait())
                    await asyncio.wait((following, breaking), return_when=asyncio.FIRST_COMPLETED)
                    following.cancel()
                    breaking.cancel()
                if broken.is_set():
                    raise Unavailable("the connection broke")
                yield following.result()
        finally:
            self.watching.remove((resource.plural, namespace))

    async def get_raw(self, path: str, accept: str = "") -> bytes:
        """``/version``, and discovery as servers before 1.26 have it."""
        if self._failure is not None:
            raise self._failure
        versions = dict.fromkeys(kind.resource.api_version for kind in SCHEME)
        groups = [{"versions": [{"groupVersion": v}]} for v in versions if "/" in v]
        documents: Object = {
            "/version": {"gitVersion": self.version},
            "/api": {"versions": ["v1"]},
            "/apis": {"groups": groups},
        }
        for kind in SCHEME:
            r = kind.resource
            at = f"/apis/{r.api_version}" if r.group else f"/api/{r.version}"
            entry = {"name": r.plural, "kind": r.kind, "namespaced": r.namespaced}
            documents.setdefault(at, {"resources": []})["resources"].append(entry)
        if path not in documents:
            raise NotFound("the server could not find the requested resource")
        return json.dumps(documents[path]).encode()

    def _check(self, verb: str, resource: Resource) -> None:
        self.requests.append(f"{verb} {resource.plural}")
        if self._failure is not None:
            raise self._failure
        if resource.plural in self.refused:
            raise self.refused[resource.plural]

    async def pod(
        self,
        name: str,
        namespace: str = "n",
        *,
        labels: Mapping[str, str] = LABELS,
        owner: Object | None = None,
        ports: Iterable[int] = (8000,),
        phase: str = "Running",
        ready: bool = True,
    ) -> str:
        """Make a pod and its status; its uid."""
        meta: Object = {"name": name, "namespace": namespace, "labels": dict(labels)}
        if owner is not None:
            meta["ownerReferences"] = [reference(owner)]
        container = {
            "name": "app",
            "image": "web",
            "ports": [{"containerPort": port} for port in ports],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
        made = await self.store.create(PODS, {**pod, "spec": {"containers": [container]}})
        await self.say(name, namespace, phase=phase, ready=ready)
        return str(made["metadata"]["uid"])

    async def say(
        self, name: str, namespace: str = "n", *, phase: str = "Running", ready: bool = True
    ) -> None:
        """A pod's status, as a kubelet writes it."""
        running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        done = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        container = {
            "name": "app",
            "ready": ready,
            "restartCount": 0,
            "image": "web",
            "imageID": "",
            "containerID": "demo://1",
            "state": running if phase in ("Running", "Pending") else done,
        }
        condition = {"type": "Ready", "status": "True" if ready and phase == "Running" else "False"}
        status: Object = {
            "phase": phase, "conditions": [condition], "containerStatuses": [container],
        }  # fmt: skip
        if phase == "Running":
            status["podIP"] = "10.0.0.1"
        await self.store.apply_status(PODS, name, status, namespace, manager="kubelet")

    async def leave(self, name: str, namespace: str = "n") -> None:
        """A pod is asked to go."""
        await self.store.delete(PODS, name, namespace)

    async def gone(self, name: str, namespace: str = "n") -> None:
        """A pod has gone."""
        with contextlib.suppress(NotFound):
            await self.store.delete(PODS, name, namespace, grace_seconds=0)

    async def deployment(self, name: str = "web", namespace: str = "n") -> tuple[Object, Object]:
        """A deployment and its replica set."""
        container = {"name": "app", "image": "web"}
        spec = {
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}},
        }
        meta: Object = {"name": name, "namespace": namespace}
        kind = {"apiVersion": "apps/v1", "kind": "Deployment"}
        owner = await self.store.create(DEPLOYMENTS, {**kind, "metadata": meta, "spec": spec})
        meta = {"name": f"{name}-1", "namespace": namespace, "ownerReferences": [reference(owner)]}
        kind = {"apiVersion": "apps/v1", "kind": "ReplicaSet"}
        owned = await self.store.create(REPLICASETS, {**kind, "metadata": meta, "spec": spec})
        return owner, owned


async def _next(events: AsyncIterator[WatchEvent]) -> WatchEvent:
    return await anext(events)


def reference(owner: Object) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }


class Plane:
    """A data plane that binds what it is asked to, unless the port is in ``taken``; a random port
    stays its tag's, as it does in the real one for as long as an address lingers.
    """

    def __init__(self) -> None:
        self.snapshots: list[Listeners] = []
        self.led: dict[str, tuple[Endpoint, ...]] = {}
        self.policies: dict[str, Policy] = {}
        self.taken: set[int] = set()
        self.absent: set[str] = set()
        self._random: dict[str, int] = {}
        self._made = 0

    async def apply(self, listeners: Listeners) -> Applied:
        self.snapshots.append(dict(listeners))
        return {bind: self._bind(bind) for bind in listeners}

    async def endpoints(
        self, listener: str, endpoints: Iterable[Endpoint], generation: int
    ) -> None:
        self.led[listener] = tuple(endpoints)

    def endpoints_now(self, listener: str, endpoints: Iterable[Endpoint], generation: int) -> None:
        self.led[listener] = tuple(endpoints)

    async def policy(self, listener: str, policy: Policy, generation: int) -> None:
        self.policies[listener] = policy

    async def probe(self, address: DialSpec, patience: float) -> DialFailure | None:
        return None

    def counters(self) -> Mapping[str, ListenerCounters]:
        return {}

    @property
    def bound(self) -> dict[str, set[str]]:
        """The addresses of each relay, as asked for last."""
        found: dict[str, set[str]] = {}
        for bind, listener in (self.snapshots[-1] if self.snapshots else {}).items():
            found.setdefault(listener.partition("/")[0], set()).add(str(bind.address))
        return found

    def leads(self, listener: str) -> dict[str, str]:
        """Where it leads, as told last: pods and ports, and their states."""
        return {str(e.dial).removeprefix("pod/"): e.state for e in self.led.get(listener, ())}

    def _bind(self, bind: Bind) -> Bound | NotBound:
        address = bind.address
        assert isinstance(address, TcpAddress)
        if address.host in self.absent:
            return NotBound(f"cannot assign requested address on {address}", absent=True)
        if address.port in self.taken:
            return NotBound(f"address already in use on {address}", "socat (pid 1)")
        if address.port == 0:
            if bind.tag not in self._random:
                self._random[bind.tag] = FIRST_RANDOM + self._made
                self._made += 1
            address = TcpAddress(address.host, self._random[bind.tag])
        return Bound(address)


class FakeConnections:
    """``Connections`` to the world's clusters; "c" is the current context."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.tasks = Tasks()
        self._open: dict[str, Connection] = {}
        self.relays: dict[str, Cluster] = {}

    def get(self, context: str) -> Connection | None:
        return self._open.get(context or "c")

    async def open(self, context: str) -> Connection:
        context = context or "c"
        if context not in self._open:
            cluster = self._world.clusters.get(context)
            if cluster is None:
                raise UserError(f'context "{context}" does not exist in kubeconfig')
            shared = SharedInformers(cluster, self._world.clock, self.tasks)
            kinds = Kinds(cluster.get_raw, self._world.clock)
            self._open[context] = Connection(
                context, f"kind-{context}", "n", "kubeconfig", cluster, shared, kinds,
                cluster.get_raw,
            )  # fmt: skip
            self.relays[context] = Cluster(shared, "n", self._introduce, kinds)
        return self._open[context]

    async def _introduce(self) -> None:
        self._world.introduced += 1


class World:
    """Everything; ``running`` runs it."""

    def __init__(self, *, enabled: bool = True, default_cluster: bool = True) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(Scheme(KINDS), self.clock)
        self.cluster = FakeCluster(self.clock)
        self.clusters = {"c": self.cluster}
        self.plane = Plane()
        self.introduced = 0
        self.names: dict[str, tuple[str, ...]] = {}
        self.connections = FakeConnections(self)
        self.default_cluster = default_cluster
        self.informers = {
            kind.resource: Informer(self.store, kind.resource, clock=self.clock) for kind in KINDS
        }
        discoveries = self.informers[KUBERNETES_DISCOVERIES]
        forwards, relays = self.informers[PORT_FORWARDS], self.informers[RELAYS]
        clusters = self.informers[CLUSTERS]
        self.relays = RelayController(
            self.store,
            self.plane,
            self.connections.relays,
            self.clock,
            open_cluster=self.connections.open,
            discoveries=Discoveries(discoveries, clusters, self.connections),
        )
        self.cluster_controller = ClusterController(
            self.store, clusters, self.connections, self.clock
        )
        controllers = (
            self.cluster_controller,
            PortForwardController(
                self.store, forwards, relays, clusters, self.clock,
                enabled=enabled, look_up=self._look_up,
            ),
            KubernetesDiscoveryController(
                self.store, discoveries, forwards, relays, clusters, self.connections, self.clock,
                enabled=enabled, look_up=self._look_up,
            ),
        )  # fmt: skip
        collector = GarbageCollector(self.store, self.informers, self.clock)
        self._manager = Manager(
            self.informers.values(), [*(c.controller for c in controllers), *collector.controllers]
        )

    async def run(self) -> None:
        async with self.connections.tasks, asyncio.TaskGroup() as group:
            group.create_task(self._manager.run())
            group.create_task(self.relays.run())

    async def settle(self, seconds: float = 0) -> None:
        await self.clock.advance(seconds)
        for _ in range(15):
            await self.clock.advance(0)

    async def named(self, name: str, context: str) -> FakeCluster:
        """One more Cluster."""
        self.clusters.setdefault(context, FakeCluster(self.clock))
        await self.store.create(CLUSTERS, new_cluster(name, context))
        await self.settle()
        return self.clusters[context]

    # -- PortForwards --

    async def forward(
        self, name: str, *forwards: Forward, pod: str = "web-1", cluster: str = "default",
        **annotations: str,
    ) -> None:  # fmt: skip
        spec = pf.PortForwardSpec(pod_name=pod, forwards=forwards, cluster=cluster)
        said = {f"ferryman.dev/{key}": value for key, value in annotations.items()}
        metadata = {"annotations": said} if said else {}
        await self.store.create(PORT_FORWARDS, pf.new_port_forward(name, spec, **metadata))
        await self.settle()

    async def edit(self, name: str, *forwards: Forward, **more: Any) -> None:
        body = {"forwards": [{**_written(f)} for f in forwards]} if forwards else {}
        await self.store.patch(PORT_FORWARDS, name, "merge", {"spec": {**body, **more}})
        await self.settle()

    async def statuses(self, name: str) -> tuple[ForwardStatus, ...]:
        return pf.status_of(await self.store.get(PORT_FORWARDS, name)).forward_statuses

    async def errors(self, name: str) -> list[str]:
        return [status.error for status in await self.statuses(name)]

    async def forwards(self) -> list[str]:
        items = (await self.store.list(PORT_FORWARDS)).items
        return [item["metadata"]["name"] for item in items]

    async def relay(self, name: str) -> RelaySpec:
        return rl.spec_of(await self.store.get(RELAYS, name))

    async def relay_names(self) -> list[str]:
        return [item["metadata"]["name"] for item in (await self.store.list(RELAYS)).items]

    # -- KubernetesDiscoveries --

    async def discover(
        self, name: str, *watches: kd.Watch, forwards: Iterable[Forward] = (), **more: Any
    ) -> None:
        if forwards:
            template = kd.PortForwardTemplate(forwards=tuple(forwards))
            more["port_forward_template_spec"] = template
        annotations = more.pop("annotations", None)
        metadata = {"annotations": annotations} if annotations else {}
        spec = kd.KubernetesDiscoverySpec(watches=watches, **more)
        await self.store.create(KUBERNETES_DISCOVERIES, kd.new_discovery(name, spec, **metadata))
        await self.settle()

    async def found(self, name: str) -> kd.KubernetesDiscoveryStatus:
        return kd.status_of(await self.store.get(KUBERNETES_DISCOVERIES, name))

    async def pods(self, name: str) -> list[str]:
        return [pod.name for pod in (await self.found(name)).pods]

    async def change(self, name: str, spec: Object) -> None:
        await self.store.patch(KUBERNETES_DISCOVERIES, name, "merge", {"spec": spec})
        await self.settle()

    async def cluster_status(self, name: str = "default") -> ClusterStatus:
        return cluster_status_of(await self.store.get(CLUSTERS, name))

    async def _look_up(self, name: str) -> tuple[str, ...]:
        if name not in self.names:
            raise OSError(-2, "Name or service not known")
        return self.names[name]


def _written(forward: Forward) -> Object:
    """As a person writes it."""
    return {
        "localPort": forward.local_port,
        "containerPort": forward.container_port,
        "host": forward.host,
    }


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    """Run a world, with a node, and the Cluster ``default`` unless it is to be missing."""
    info = {"architecture": "arm64"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}}
    await world.cluster.store.create(NODES, node)
    await world.cluster.store.apply_status(NODES, "node", {"nodeInfo": info}, manager="kubelet")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(world.run())
        await world.settle()
        if world.default_cluster:
            await world.store.create(CLUSTERS, new_cluster("default"))
            await world.settle()
        try:
            yield world
        finally:
            task.cancel()
