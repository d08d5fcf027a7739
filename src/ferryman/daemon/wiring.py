"""Where the parts meet: store, controller, data plane and a cluster's access in one process.

``in_process`` is everything that ``ferry forward`` needs without a daemon. Here, and nowhere else,
what the data plane asks for is answered (``credentials``), and a machine that woke up
(``clockjumps``) makes everything that was open suspect.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec import Struct

from ferryman.access.kubeconfig import Access
from ferryman.api.client import ObjectClient
from ferryman.api.kinds.event import EVENT
from ferryman.api.kinds.relay import RELAY
from ferryman.api.scheme import Scheme
from ferryman.apiclient.http_client import HttpClient
from ferryman.apiclient.sharing import SharedInformers
from ferryman.controllers.recording import Recorder
from ferryman.controllers.relay.reconciler import RelayController
from ferryman.controllers.relay.targets import Cluster
from ferryman.daemon import clockjumps
from ferryman.daemon.credentials import CredentialKeeper
from ferryman.dataplane.contract import ClusterReached, Event, NeedCredentials, WireLost
from ferryman.dataplane.threaded import Inspector, ThreadedDataPlane
from ferryman.kube.kinds import Kinds
from ferryman.runtime.clock import Clock, SystemClock
from ferryman.runtime.tasks import Tasks
from ferryman.store.memory import MemoryStore


class InProcess(Struct, frozen=True):
    """The parts that a verb speaks to."""

    relays: ObjectClient
    cluster: ObjectClient
    dataplane: ThreadedDataPlane
    clock: Clock


@asynccontextmanager
async def in_process(
    access: Access,
    happened: Callable[[Event], None],
    clock: Clock | None = None,
    *,
    trace: bool = False,
    inspector: Inspector | None = None,
) -> AsyncIterator[InProcess]:
    """Run everything for as long as the context lasts; ``happened`` hears the data plane's events,
    with ``trace`` every frame of its wires.

    Leaving it stops the data plane at once: who wants to drain does so before. A part that fails
    (a defect) ends the context's body, and the failure is raised in an ExceptionGroup.
    """
    clock = clock or SystemClock()
    async with HttpClient(access) as client:
        dataplane = ThreadedDataPlane()
        try:
            if inspector is not None:
                await dataplane.observe(inspector)
            parts = InProcess(MemoryStore(Scheme([RELAY, EVENT]), clock), client, dataplane, clock)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(_run(parts, client, access, happened, trace))
                yield parts
                running.cancel()
        finally:
            await dataplane.stop(0)


async def _run(
    parts: InProcess,
    client: HttpClient,
    access: Access,
    happened: Callable[[Event], None],
    trace: bool,
) -> None:
    async with Tasks() as watches, asyncio.TaskGroup() as group:
        keeper = CredentialKeeper(
            access,
            parts.dataplane,
            parts.clock,
            group,
            told=lambda cluster, failure: controller.credential(cluster, failure),
            trace=trace,
        )
        kinds = Kinds(client.get_raw, parts.clock)
        informers = SharedInformers(client, parts.clock, watches)
        cluster = Cluster(informers, access.namespace, keeper.introduce, kinds)
        controller = RelayController(
            parts.relays,
            parts.dataplane,
            {access.context_name: cluster},
            parts.clock,
            recorder=Recorder(parts.relays, parts.clock, os.uname().nodename),
        )

        client.when_reached(parts.dataplane.reachable)

        def hear(event: Event) -> None:
            if isinstance(event, WireLost | ClusterReached):
                client.suspect()  # idle connections may be as dead
            controller.happened(event)
            if isinstance(event, NeedCredentials):
                keeper.renew()
            happened(event)

        async def awake() -> None:
            client.suspect()
            controller.suspect()
            await parts.dataplane.suspect()

        group.create_task(controller.run())
        group.create_task(_pump(parts.dataplane, hear))
        group.create_task(clockjumps.watch(parts.clock, awake))


async def _pump(dataplane: ThreadedDataPlane, hear: Callable[[Event], None]) -> None:
    async for event in dataplane.events():
        hear(event)
