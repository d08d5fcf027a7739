"""Keeps the pods of a KubernetesDiscovery in view, for a Relay that leads to them.

Which pods these are is the discovery's status; what they are like is read from the watch that all
discoveries of a namespace share, so that a pod that leaves is known here as soon as it is there.
The counterpart for workloads is ``following``; ``plan`` judges what is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from ferryman.api.client import Bookmark, Deleted, WatchEvent
from ferryman.api.kinds.cluster import connection_of
from ferryman.api.kinds.kubernetesdiscovery import spec_of, status_of
from ferryman.api.resource import Name, Object
from ferryman.apiclient.informer import Informer
from ferryman.apiclient.sharing import Lease
from ferryman.controllers.connections import Connection, Connections
from ferryman.controllers.kubernetesdiscovery.membership import namespaces
from ferryman.controllers.relay.resolving import Seen
from ferryman.errors import UserError
from ferryman.kube.pods import usable
from ferryman.kube.resources import PODS


class Discoveries(Struct, frozen=True):
    """Where discoveries and their clusters are looked up; the informers are run by their owner."""

    discoveries: Informer
    clusters: Informer
    connections: Connections

    def follow(self, name: str, changed: Callable[[bool], None]) -> Discovered:
        """Keep a discovery's pods in view; ``changed`` as for a ``Follower``."""
        return Discovered(self, name, changed)


class Discovered:
    """``changed`` is called at every news, with whether a pod leaves: then every moment counts."""

    def __init__(self, where: Discoveries, name: str, changed: Callable[[bool], None]) -> None:
        self._where = where
        self._name = name
        self._changed = changed
        self._connection: Connection | None = None
        self._leases: dict[str, Lease] = {}
        self._uids: frozenset[str] = frozenset()

    @property
    def seen(self) -> Seen:
        """What is known now."""
        found = self._discovery()
        informer = self._where.discoveries
        if found is None:
            return Seen(None, (), informer.synced.is_set(), informer.error)
        connection, leases = self._connection, tuple(self._leases.values())
        if connection is None:
            return Seen(found, error=self._why_not_connected(found))
        pods = tuple(
            pod
            for lease in leases
            for pod in lease.objects.values()
            if pod["metadata"].get("uid") in self._uids
        )
        synced = "running" in (found.get("status") or {})
        return Seen(
            found,
            pods,
            synced and all(lease.synced for lease in leases),
            next((lease.error for lease in leases if lease.error is not None), None),
            connection.context,
        )

    def suspect(self) -> None:
        """What is open may be dead: ask again."""
        for lease in self._leases.values():
            lease.suspect()

    def look(self) -> None:
        """Its cluster may be another one now."""
        self._heard(None)

    async def run(self) -> None:
        """Follow until cancelled."""
        self._where.discoveries.subscribe(self._heard)
        self._where.clusters.subscribe(self._heard)
        try:
            self._heard(None)
            await asyncio.get_running_loop().create_future()
        finally:
            self._where.discoveries.unsubscribe(self._heard)
            self._where.clusters.unsubscribe(self._heard)
            self._lease(None, frozenset())

    def _discovery(self) -> Object | None:
        return self._where.discoveries.objects.get(Name(self._name))

    def _cluster(self, discovery: Object) -> Object | None:
        return self._where.clusters.objects.get(Name(spec_of(discovery).cluster))

    def _why_not_connected(self, discovery: Object) -> UserError:
        cluster = self._cluster(discovery)
        if cluster is None:
            return UserError(f'clusters.tilt.dev "{spec_of(discovery).cluster}" not found')
        error = (cluster.get("status") or {}).get("error")
        return UserError(error or f"cluster/{cluster['metadata']['name']} is not connected yet")

    def _heard(self, _: WatchEvent | None) -> None:
        """Look at the discovery and its cluster again; others' news cost a comparison only."""
        discovery = self._discovery()
        if discovery is None:
            self._lease(None, frozenset())
        else:
            self._uids = frozenset(pod.uid for pod in status_of(discovery).pods)
            cluster = self._cluster(discovery)
            known = connection_of(cluster) if cluster is not None else None
            connection = self._where.connections.get(known.context) if known is not None else None
            default = known.namespace if known is not None else ""
            self._lease(connection, namespaces(spec_of(discovery), default))
        self._changed(False)

    def _lease(self, connection: Connection | None, namespaces: frozenset[str]) -> None:
        """Read the pods of these namespaces, and no others; new ones before old ones are left."""
        before, moved = self._leases, connection is not self._connection
        self._connection = connection
        self._leases = {}
        for namespace in namespaces if connection is not None else ():
            kept = None if moved else before.pop(namespace, None)
            self._leases[namespace] = kept or self._read(connection, namespace)
        for lease in before.values():
            lease.close()

    def _read(self, connection: Connection | None, namespace: str) -> Lease:
        assert connection is not None
        return connection.informers.lease(
            PODS, namespace, self._heard_pod, lambda: self._changed(False)
        )

    def _heard_pod(self, event: WatchEvent) -> None:
        if isinstance(event, Bookmark) or event.object["metadata"].get("uid") not in self._uids:
            return
        self._changed(isinstance(event, Deleted) or not usable(event.object))
