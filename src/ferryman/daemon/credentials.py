"""Keeps the data plane able to open wires into a cluster's pods: its address, TLS, credentials.

``access`` has the credentials; the data plane asks for new ones with NeedCredentials, which
``wiring`` brings here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from ferryman.access.credentials import Headers
from ferryman.access.kubeconfig import Access
from ferryman.dataplane.contract import ClusterSettings
from ferryman.errors import FerrymanError
from ferryman.kube.cluster import cluster_settings
from ferryman.runtime.backoff import Backoff
from ferryman.runtime.clock import Clock
from ferryman.runtime.tls import TLSSettings


class DataPlane(Protocol):
    """The part of it that is told."""

    async def cluster(self, settings: ClusterSettings) -> None: ...

    async def credentials(self, cluster: str, headers: Headers, expires: float | None) -> None: ...


class CredentialKeeper:
    """Tells the data plane how to reach a cluster, and anew whenever a credential is refused."""

    def __init__(
        self,
        access: Access,
        dataplane: DataPlane,
        clock: Clock,
        group: asyncio.TaskGroup,
        *,
        told: Callable[[str, str], None] = lambda _cluster, _failure: None,
        trace: bool = False,
    ) -> None:
        """``told`` is called with the cluster's key and why there is no other credential than one
        that was refused; with an empty text once there is.
        """
        self._access = access
        self._dataplane = dataplane
        self._clock = clock
        self._group = group
        self._told = told
        self._trace = trace
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

    def stop(self) -> None:
        """Tell the data plane nothing more."""
        if self._renewing is not None:
            self._renewing.cancel()

    async def _renew(self) -> None:
        backoff = Backoff()
        while True:
            try:
                settings = await self._settings(refresh=True)
            except FerrymanError as error:
                self._told(self._access.context_name, str(error))
                await self._clock.sleep(backoff.next())
            else:
                self._told(self._access.context_name, "")
                if settings.tls != self._tls:  # a plugin gave a new client certificate
                    await self._tell(settings)
                await self._dataplane.credentials(settings.key, settings.headers, settings.expires)
                return

    async def _tell(self, settings: ClusterSettings) -> None:
        await self._dataplane.cluster(replace(settings, trace=self._trace))
        self._tls = settings.tls

    async def _settings(self, refresh: bool) -> ClusterSettings:
        access = self._access
        settings = await cluster_settings(access.context_name, access)
        if refresh and settings.headers == self._headers and settings.tls == self._tls:
            # Nobody has got another credential since the one that was refused.
            settings = await cluster_settings(access.context_name, access, refresh=True)
        self._headers = settings.headers
        return settings
