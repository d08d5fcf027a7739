"""Where the parts meet: store, controller, data plane and a cluster's access in one process.

``in_process`` is everything that ``ferry forward`` needs without a daemon. Here, and nowhere else,
access becomes ClusterSettings, NeedCredentials is answered, and a machine that woke up makes
everything that was open suspect.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ferryman.access.credentials import Headers
from ferryman.access.kubeconfig import Access
from ferryman.api.client import ObjectClient
from ferryman.api.kinds.relay import RELAY
from ferryman.api.scheme import Scheme
from ferryman.apiclient.http_client import HttpClient
from ferryman.controllers.relay.reconciler import Cluster, RelayController
from ferryman.daemon import clockjumps
from ferryman.dataplane.contract import ClusterSettings, Event, NeedCredentials
from ferryman.dataplane.threaded import ThreadedDataPlane
from ferryman.errors import FerrymanError
from ferryman.kube.cluster import cluster_settings
from ferryman.runtime.backoff import Backoff
from ferryman.runtime.clock import Clock, SystemClock
from ferryman.runtime.tls import TLSSettings
from ferryman.store.memory import MemoryStore


@dataclass(frozen=True, slots=True)
class InProcess:
    """The parts that a verb speaks to."""

    relays: ObjectClient
    cluster: ObjectClient
    dataplane: ThreadedDataPlane
    clock: Clock


@asynccontextmanager
async def in_process(
    access: Access, happened: Callable[[Event], None], clock: Clock | None = None
) -> AsyncIterator[InProcess]:
    """Run everything for as long as the context lasts; ``happened`` hears the data plane's events.

    Leaving it stops the data plane at once: who wants to drain does so before. A part that fails
    (a defect) ends the context's body, and the failure is raised in an ExceptionGroup.
    """
    clock = clock or SystemClock()
    async with HttpClient(access) as client:
        dataplane = ThreadedDataPlane()
        try:
            parts = InProcess(MemoryStore(Scheme([RELAY]), clock), client, dataplane, clock)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(_run(parts, client, access, happened))
                yield parts
                running.cancel()
        finally:
            await dataplane.stop(0)


async def _run(
    parts: InProcess, client: HttpClient, access: Access, happened: Callable[[Event], None]
) -> None:
    async with asyncio.TaskGroup() as group:
        keeper = _CredentialKeeper(access, parts.dataplane, parts.clock, group)
        cluster = Cluster(client, access.namespace, keeper.introduce)
        controller = RelayController(
            parts.relays, parts.dataplane, {access.context_name: cluster}, parts.clock
        )

        def hear(event: Event) -> None:
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


class _CredentialKeeper:
    """Tells the data plane how to reach a cluster, and anew whenever a credential is refused."""

    def __init__(
        self, access: Access, dataplane: ThreadedDataPlane, clock: Clock, group: asyncio.TaskGroup
    ) -> None:
        self._access = access
        self._dataplane = dataplane
        self._clock = clock
        self._group = group
        self._renewing: asyncio.Task[None] | None = None
        self._tls: TLSSettings | None = None
        self._headers: Headers = ()

    async def introduce(self) -> None:
        """Say how to reach the cluster; raises UserError or Unavailable without credentials."""
        await self._tell(await self._settings(refresh=False))

    def renew(self) -> None:
        """Get fresh credentials, unless that is under way."""
        if self._renewing is None or self._renewing.done():
            self._renewing = self._group.create_task(self._renew())

    async def _renew(self) -> None:
        backoff = Backoff()
        while True:
            try:
                settings = await self._settings(refresh=True)
            except FerrymanError:
                # The informers meet the same error and tell it; here it only has to be outlived.
                await self._clock.sleep(backoff.next())
            else:
                if settings.tls != self._tls:  # a plugin gave a new client certificate
                    await self._tell(settings)
                await self._dataplane.credentials(settings.key, settings.headers, settings.expires)
                return

    async def _tell(self, settings: ClusterSettings) -> None:
        await self._dataplane.cluster(settings)
        self._tls = settings.tls

    async def _settings(self, refresh: bool) -> ClusterSettings:
        access = self._access
        settings = await cluster_settings(access.context_name, access)
        if refresh and settings.headers == self._headers and settings.tls == self._tls:
            # Nobody has got another credential since the one that was refused.
            settings = await cluster_settings(access.context_name, access, refresh=True)
        self._headers = settings.headers
        return settings
