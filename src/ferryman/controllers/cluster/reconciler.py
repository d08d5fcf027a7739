"""Carries out what ``plan`` decides for Clusters: opens their contexts, asks them, writes status.

The context's facts are written before anything is asked of the cluster: whoever wants to forward
needs to know where to, not that it is there. ``daemon.clusters`` has the connections.
"""

from __future__ import annotations

import asyncio

from ferryman.api import codec
from ferryman.api.client import ObjectClient
from ferryman.api.kinds.cluster import (
    CLUSTERS,
    ClusterSpec,
    ClusterStatus,
    connection_of,
    spec_of,
    status_of,
)
from ferryman.api.resource import Object
from ferryman.apiclient.informer import Informer
from ferryman.controllers.cluster.plan import UNKNOWN, Answer, Facts, after, introduced
from ferryman.controllers.connections import Connection, Connections
from ferryman.controllers.writing import write_status
from ferryman.errors import FerrymanError, PeerError
from ferryman.kube.resources import NODES
from ferryman.reconcile import Controller, Request, Result, Watching
from ferryman.runtime.clock import Clock

MANAGER = "cluster-controller"
PATIENCE = 10.0
"""Seconds that a cluster gets to answer."""
WORKERS = 4
"""Clusters that are asked at a time: one that is silent keeps nobody else waiting."""


class ClusterController:
    """``controller`` is to be run, by a Manager that runs the informer, too."""

    def __init__(
        self, client: ObjectClient, clusters: Informer, connections: Connections, clock: Clock
    ) -> None:
        self._client = client
        self._clusters = clusters
        self._connections = connections
        self._clock = clock
        self._failures: dict[str, int] = {}
        self._written: dict[str, ClusterStatus] = {}
        self._asked: dict[str, tuple[ClusterSpec, float]] = {}
        self.controller = Controller(
            "cluster", self.reconcile, [Watching(clusters)], clock=clock, workers=WORKERS
        )

    def context_changed(self, context: str) -> None:
        """The kubeconfig says something else about a context: ask at once. With an empty one, ask
        where there was none.
        """
        for name, cluster in self._clusters.objects.items():
            known = connection_of(cluster)
            if (known.context if known is not None else "") == context:
                self._asked.pop(name.name, None)
                self.controller.queue.add(name)

    async def reconcile(self, request: Request) -> Result | None:
        """Make one Cluster's status so, and come back when the next attempt is due."""
        name, cluster = request.name, self._clusters.objects.get(request)
        if cluster is None:
            for known in (self._failures, self._written, self._asked):
                known.pop(name, None)
            return None
        spec = spec_of(cluster)
        now = self._clock.monotonic()
        asked_for, due = self._asked.get(name, (None, now))
        if asked_for == spec and now < due:
            return Result(due - now)  # only its status changed, by our own hand
        if asked_for != spec:
            self._failures.pop(name, None)
        return await self._attempt(name, cluster, spec)

    async def _attempt(self, name: str, cluster: Object, spec: ClusterSpec) -> Result:
        before = self._written.get(name) or status_of(cluster)
        wanted = spec.connection.kubernetes if spec.connection is not None else None
        facts: Facts | None = None
        said: Answer | str
        try:
            connection = await self._connections.open(wanted.context if wanted is not None else "")
            facts = _facts(connection)
            before = introduced(spec, before, facts)
            await self._write(name, cluster, before)
            said = await self._ask(connection)
        except FerrymanError as error:
            said = str(error)
        except TimeoutError:
            said = f"the cluster does not answer within {PATIENCE:.0f} s"
        plan = after(spec, before, facts, said, self._failures.get(name, 0), self._clock.now())
        self._failures[name] = plan.failures
        self._asked[name] = (spec, self._clock.monotonic() + plan.wait)
        await self._write(name, cluster, plan.status)
        return Result(plan.wait)

    async def _ask(self, connection: Connection) -> Answer:
        async with asyncio.timeout(PATIENCE):
            said = codec.from_json(await connection.get_raw("/version", "application/json"))
            if not isinstance(said, dict) or not isinstance(said.get("gitVersion"), str):
                raise PeerError("the cluster does not say which version it is")
            return Answer(said["gitVersion"], await _arch(connection))

    async def _write(self, name: str, cluster: Object, status: ClusterStatus) -> None:
        self._written[name] = status
        await write_status(self._client, CLUSTERS, cluster, status, MANAGER)


def _facts(connection: Connection) -> Facts:
    return Facts(
        connection.context, connection.namespace, connection.cluster, connection.config_path
    )


async def _arch(connection: Connection) -> str:
    """Of the first node; who may not list nodes lives without."""
    try:
        nodes = (await connection.client.list(NODES, limit=1)).items
    except FerrymanError:
        return UNKNOWN
    info = (nodes[0].get("status") or {}).get("nodeInfo") or {} if nodes else {}
    return str(info.get("architecture") or UNKNOWN)
