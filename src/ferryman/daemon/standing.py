"""The controllers that stand over a store of objects for as long as a daemon lives.

``standing`` runs the controllers of Relay and of Tilt's kinds, and the garbage collector, over any
ObjectClient that has these kinds; what they know of clusters comes from ``clusters``. It is what
a daemon runs beside its API; ``wiring`` is the smaller set for one forward in the foreground.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ferryman.api.client import ObjectClient
from ferryman.api.kinds.cluster import CLUSTER, CLUSTERS, new_cluster
from ferryman.api.kinds.event import EVENT
from ferryman.api.kinds.kubernetesdiscovery import KUBERNETES_DISCOVERIES, KUBERNETES_DISCOVERY
from ferryman.api.kinds.portforward import DEFAULT_CLUSTER, PORT_FORWARD, PORT_FORWARDS
from ferryman.api.kinds.relay import RELAY, RELAYS
from ferryman.api.resource import Resource
from ferryman.api.status import AlreadyExists
from ferryman.apiclient.informer import Informer
from ferryman.controllers.cluster.reconciler import ClusterController
from ferryman.controllers.gc import GarbageCollector
from ferryman.controllers.kubernetesdiscovery.reconciler import KubernetesDiscoveryController
from ferryman.controllers.portforward.reconciler import PortForwardController
from ferryman.controllers.recording import Recorder
from ferryman.controllers.relay.discovered import Discoveries
from ferryman.controllers.relay.reconciler import RelayController
from ferryman.daemon import clockjumps
from ferryman.daemon.clusters import Clusters, Load
from ferryman.dataplane.contract import ClusterReached, Event, NeedCredentials, WireLost
from ferryman.dataplane.threaded import ThreadedDataPlane
from ferryman.reconcile import Manager
from ferryman.runtime.clock import Clock

_WATCHED = (RELAY, PORT_FORWARD, KUBERNETES_DISCOVERY, CLUSTER)
KINDS = (*_WATCHED, EVENT)
"""What the store has to know."""

Informers = dict[Resource, Informer]


@dataclass(frozen=True, slots=True)
class Settings:
    """How the controllers are to work.

    ``load`` reads a context, ``config_path`` is where; when one of ``files`` changes, what is open
    is read again. Without ``port_forwards`` no PortForward and
    no discovery listens: the switch for a machine that has no ports to give.
    """

    load: Load
    config_path: str = ""
    files: tuple[str, ...] = ()
    port_forwards: bool = True


@asynccontextmanager
async def standing(
    client: ObjectClient,
    dataplane: ThreadedDataPlane,
    settings: Settings,
    clock: Clock,
    happened: Callable[[Event], None] = lambda _: None,
) -> AsyncIterator[Clusters]:
    """Run all of it for as long as the context lasts. The data plane is its owner's to stop.

    There is a Cluster ``default`` from now on, the current context's. A part that fails (a
    defect) ends the context's body, and the failure is raised in an ExceptionGroup.
    """
    async with asyncio.TaskGroup() as group:
        async with Clusters(
            settings.load, dataplane, clock, group, settings.config_path, settings.files
        ) as them:
            await _default_cluster(client)
            running = group.create_task(_run(client, dataplane, settings, clock, them, happened))
            try:
                yield them
            finally:
                running.cancel()
                await asyncio.wait([running])


async def _default_cluster(client: ObjectClient) -> None:
    try:
        await client.create(CLUSTERS, new_cluster(DEFAULT_CLUSTER), manager="ferryman")
    except AlreadyExists:
        pass


async def _run(
    client: ObjectClient,
    dataplane: ThreadedDataPlane,
    settings: Settings,
    clock: Clock,
    clusters: Clusters,
    happened: Callable[[Event], None],
) -> None:
    informers = {kind.resource: Informer(client, kind.resource, clock=clock) for kind in _WATCHED}
    cluster = ClusterController(client, informers[CLUSTERS], clusters, clock)
    discoveries = KubernetesDiscoveryController(
        client,
        informers[KUBERNETES_DISCOVERIES],
        informers[PORT_FORWARDS],
        informers[RELAYS],
        informers[CLUSTERS],
        clusters,
        clock,
        enabled=settings.port_forwards,
    )
    forwards = PortForwardController(
        client,
        informers[PORT_FORWARDS],
        informers[RELAYS],
        informers[CLUSTERS],
        clock,
        enabled=settings.port_forwards,
    )
    collector = GarbageCollector(client, informers, clock)
    controllers = [c.controller for c in (cluster, forwards, discoveries)]
    manager = Manager(informers.values(), [*controllers, *collector.controllers])
    relays = RelayController(
        client,
        dataplane,
        clusters.for_relays,
        clock,
        open_cluster=clusters.open,
        discoveries=Discoveries(informers[KUBERNETES_DISCOVERIES], informers[CLUSTERS], clusters),
        recorder=Recorder(client, clock, os.uname().nodename),
    )

    def changed(context: str) -> None:
        for controller in (cluster, discoveries, relays):
            controller.context_changed(context)

    clusters.told = relays.credential
    clusters.changed = changed

    def hear(event: Event) -> None:
        if isinstance(event, WireLost | ClusterReached):
            clusters.drop_idle(event.cluster)
        relays.happened(event)
        if isinstance(event, NeedCredentials):
            clusters.renew(event.cluster)
        happened(event)

    async def listen() -> None:
        async for event in dataplane.events():
            hear(event)

    async def awake() -> None:
        clusters.suspect()
        relays.suspect()
        await dataplane.suspect()

    async with asyncio.TaskGroup() as group:
        group.create_task(manager.run())
        group.create_task(relays.run())
        group.create_task(listen())
        group.create_task(clusters.watch())
        group.create_task(clockjumps.watch(clock, awake))
