from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from ferryman.access.credentials import ClientCertificate, Headers, bearer
from ferryman.access.kubeconfig import Access
from ferryman.daemon.credentials import CredentialKeeper
from ferryman.dataplane.contract import ClusterSettings
from ferryman.errors import Unavailable
from ferryman.runtime.clock import ManualClock
from ferryman.runtime.tls import TLSSettings


class Plugin:
    """Credentials that give another token at each refresh, if they can be had at all."""

    expires: float | None = 1000.0

    def __init__(self) -> None:
        self.token = 1
        self.failures = 0
        self.brings: ClientCertificate | None = None

    async def headers(self, refresh: bool = False) -> Headers:
        if self.failures:
            self.failures -= 1
            raise Unavailable("the plugin does not answer")
        self.token += refresh
        return bearer(f"t{self.token}")

    async def certificate(self) -> ClientCertificate | None:
        return self.brings


class Plane:
    """A data plane that writes down what it is told."""

    def __init__(self) -> None:
        self.settings: list[ClusterSettings] = []
        self.renewed: list[tuple[str, Headers, float | None]] = []

    async def cluster(self, settings: ClusterSettings) -> None:
        self.settings.append(settings)

    async def credentials(self, cluster: str, headers: Headers, expires: float | None) -> None:
        self.renewed.append((cluster, headers, expires))


class Bench:
    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.clock, self.plugin, self.plane = ManualClock(), Plugin(), Plane()
        tls = TLSSettings()
        access = Access("ctx", "cluster", "ns", "https://host/prefix", tls, self.plugin)
        self.keeper = CredentialKeeper(access, self.plane, self.clock, group)


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    async with asyncio.TaskGroup() as group:
        yield Bench(group)


async def test_a_cluster_is_introduced_with_all_that_wires_need() -> None:
    async with bench() as b:
        await b.keeper.introduce()
        [settings] = b.plane.settings
        assert (settings.key, settings.host, settings.port) == ("ctx", "host", 443)
        assert (settings.path, settings.headers) == ("/prefix", bearer("t1"))


async def test_a_refused_credential_is_replaced_once_however_often_it_is_asked_for() -> None:
    async with bench() as b:
        await b.keeper.introduce()
        for _ in range(5):
            b.keeper.renew()
        await b.clock.advance(0)
        assert b.plane.renewed == [("ctx", bearer("t2"), 1000.0)]
        b.keeper.renew()
        await b.clock.advance(0)
        assert [headers for _, headers, _ in b.plane.renewed] == [bearer("t2"), bearer("t3")]
        assert len(b.plane.settings) == 1


async def test_what_somebody_else_has_renewed_is_used() -> None:
    async with bench() as b:
        await b.keeper.introduce()
        await b.plugin.headers(refresh=True)  # the client of the API was refused first
        b.keeper.renew()
        await b.clock.advance(0)
        assert b.plane.renewed == [("ctx", bearer("t2"), 1000.0)]


async def test_credentials_that_cannot_be_had_are_asked_for_again() -> None:
    async with bench() as b:
        await b.keeper.introduce()
        b.plugin.failures = 3
        b.keeper.renew()
        await b.clock.advance(0)
        assert b.plane.renewed == []
        await b.clock.advance(5)
        assert b.plane.renewed == [("ctx", bearer("t2"), 1000.0)]


async def test_a_new_client_certificate_makes_new_settings() -> None:
    async with bench() as b:
        await b.keeper.introduce()
        b.plugin.brings = (b"certificate", b"key")
        b.keeper.renew()
        await b.clock.advance(0)
        old, new = b.plane.settings
        assert new.tls == replace(old.tls or TLSSettings(), certificate=b"certificate", key=b"key")
        assert len(b.plane.renewed) == 1
