"""The clusters behind a kubeconfig's contexts, opened when somebody first names them.

A context is one connection for everybody: one HTTP client, one credential keeper, one watch for
each kind and namespace. Controllers see them as ``Connections``; the Relay's controller as a
mapping. When somebody changes the kubeconfig, what is open follows: other credentials are used
from then on, and a context that leads elsewhere (a local cluster has another port each time that it
is started) is opened anew. ``standing`` runs the controllers.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from msgspec import structs

from ferryman.access.credentials import Fixed, Replaceable
from ferryman.access.kubeconfig import Access
from ferryman.apiclient.http_client import HttpClient
from ferryman.apiclient.sharing import SharedInformers
from ferryman.controllers.connections import Connection
from ferryman.controllers.relay.targets import Cluster
from ferryman.daemon.credentials import CredentialKeeper
from ferryman.daemon.credentials import DataPlane as TakesCredentials
from ferryman.errors import UserError
from ferryman.kube.kinds import Kinds
from ferryman.runtime.clock import Clock
from ferryman.runtime.tasks import Tasks

Load = Callable[[str], Access]
"""Reads a context from the kubeconfig; an empty name is the current one. Raises UserError."""


class DataPlane(TakesCredentials, Protocol):
    """The part of it that is told."""

    def reachable(self) -> None: ...


LOOK = 1.0
"""Seconds between two looks at the kubeconfig's files."""
RETIRE = 5.0
"""Seconds that controllers get to leave a connection that has a successor."""


@dataclass(frozen=True, slots=True)
class _Open:
    """All that belongs to one context."""

    access: Access
    credentials: Replaceable
    connection: Connection
    client: HttpClient
    keeper: CredentialKeeper
    cluster: Cluster


class Clusters:
    """Fulfils ``Connections``. ``config_path`` is where ``load`` reads, for people; ``files`` are
    what ``watch`` looks at.

    ``group`` runs what renews credentials. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        load: Load,
        dataplane: DataPlane,
        clock: Clock,
        group: asyncio.TaskGroup,
        config_path: str = "",
        files: Sequence[str] = (),
    ) -> None:
        self._load = load
        self._dataplane = dataplane
        self._clock = clock
        self._group = group
        self._config_path = config_path
        self._files = tuple(files)
        self._opening = asyncio.Lock()
        self._tasks = Tasks()
        self._open: dict[str, _Open] = {}
        self._current = ""
        self.told: Callable[[str, str], None] = lambda _context, _failure: None
        """Called as by a ``CredentialKeeper``."""
        self.changed: Callable[[str], None] = lambda _context: None
        """Called with a context that the kubeconfig says something else about than before; with an
        empty one when some that could not be opened perhaps can now.
        """
        self.for_relays: Mapping[str, Cluster] = _ForRelays(self)
        """Those that are open, the current context's first."""

    async def __aenter__(self) -> Clusters:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def contexts(self) -> tuple[str, ...]:
        """Those that are open, the current one first if it is among them."""
        return tuple(sorted(self._open, key=lambda context: context != self._current))

    def get(self, context: str) -> Connection | None:
        """One that is open already."""
        found = self._open.get(context or self._current)
        return found.connection if found is not None else None

    async def open(self, context: str) -> Connection:
        """The connection of a context; nothing is asked of its cluster yet.

        Raises UserError if the kubeconfig has no such context, or it is of no use.
        """
        async with self._opening:  # two that ask at a time get the same
            found = self.get(context)
            if found is not None:
                return found
            access = await asyncio.to_thread(self._load, context)
            if not context:
                self._current = access.context_name
            opened = self._open.get(access.context_name) or self._opened(access)
            self._open[access.context_name] = opened
            return opened.connection

    async def watch(self) -> None:
        """Follow changes of the kubeconfig, until cancelled."""
        seen = await asyncio.to_thread(_state_of, self._files)
        while True:
            await self._clock.sleep(LOOK)
            state = await asyncio.to_thread(_state_of, self._files)
            if state != seen:
                seen = state
                await self.reload()

    async def reload(self) -> None:
        """Read what is open again. The current context stays the one that it was: who switches in
        a shell does not mean what runs here. A file that makes no sense changes nothing.
        """
        for context in tuple(self._open):
            async with self._opening:
                try:
                    access = await asyncio.to_thread(self._load, context)
                except UserError:
                    continue
                changed = self._follow(context, access)
            if changed:
                self.changed(context)
        self.changed("")

    def _follow(self, context: str, access: Access) -> bool:
        """Have a context be what the kubeconfig says now; whether it was something else."""
        opened = self._open[context]
        before = opened.access
        if access.fingerprint == before.fingerprint and _way(access) == _way(before):
            return False
        if _way(access) == _way(before):
            opened.credentials.inner = access.credentials
            self._open[context] = replace(opened, access=access)
            opened.keeper.renew()
        else:
            opened.keeper.stop()
            self._open[context] = self._opened(access)
            self._tasks.start(self._retire(opened), f"retiring the old {context}")
        return True

    async def _retire(self, opened: _Open) -> None:
        try:
            await self._clock.sleep(RETIRE)
        finally:
            await opened.client.close()

    def cluster(self, context: str) -> Cluster | None:
        """A cluster that is open, as the Relay's controller wants it."""
        found = self._open.get(context)
        return found.cluster if found is not None else None

    def renew(self, context: str) -> None:
        """The data plane's credential for a context was refused."""
        if found := self._open.get(context):
            found.keeper.renew()

    def drop_idle(self, context: str) -> None:
        """There was trouble on the way to a cluster: connections that are idle may be dead."""
        if found := self._open.get(context):
            found.client.suspect()

    def suspect(self) -> None:
        """The network may have changed, or the machine slept: nothing open can be relied on."""
        for opened in self._open.values():
            opened.client.suspect()
            opened.connection.informers.suspect()

    async def close(self) -> None:
        """End every watch and close every connection."""
        await self._tasks.close()
        for opened in self._open.values():
            await opened.client.close()
        self._open.clear()

    def _opened(self, access: Access) -> _Open:
        credentials = Replaceable(access.credentials)
        access = structs.replace(access, credentials=credentials)
        client = HttpClient(access)
        client.when_reached(self._dataplane.reachable)
        keeper = CredentialKeeper(
            access,
            self._dataplane,
            self._clock,
            self._group,
            told=lambda context, failure: self.told(context, failure),
        )
        kinds = Kinds(client.get_raw, self._clock)
        informers = SharedInformers(client, self._clock, self._tasks)
        connection = Connection(
            access.context_name,
            access.cluster_name,
            access.namespace,
            self._config_path,
            client,
            informers,
            kinds,
            client.get_raw,
        )
        cluster = Cluster(informers, access.namespace, keeper.introduce, kinds)
        return _Open(access, credentials, connection, client, keeper, cluster)


def _way(access: Access) -> Access:
    """All but who we are."""
    return structs.replace(access, credentials=_NOBODY, fingerprint=0)


def _state_of(files: Iterable[str]) -> list[tuple[int, int, int] | None]:
    """Something that is different when a file is."""
    found: list[tuple[int, int, int] | None] = []
    for name in files:
        try:
            status = os.stat(name)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return found


_NOBODY = Fixed()


class _ForRelays(Mapping[str, Cluster]):
    """The same clusters, as a mapping."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    def __getitem__(self, context: str) -> Cluster:
        found = self._clusters.cluster(context)
        if found is None:
            raise KeyError(context)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._clusters.contexts)

    def __len__(self) -> int:
        return len(self._clusters.contexts)
