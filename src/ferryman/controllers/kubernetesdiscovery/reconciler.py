"""Carries out what ``plan`` decides for KubernetesDiscoveries: status, Relay, view.

One is looked at when it, a pod that concerns it, its Cluster, or one of its children changes. The
pods come from a watch that all share (``watching``), their owners from ``owners``; the Relay's
controller reads the pods' uids from the status that is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ferryman.api.client import ObjectClient
from ferryman.api.kinds import portforward, relay
from ferryman.api.kinds.cluster import connection_of
from ferryman.api.kinds.kubernetesdiscovery import (
    KUBERNETES_DISCOVERIES,
    KubernetesDiscoverySpec,
    KubernetesDiscoveryStatus,
    spec_of,
    status_of,
)
from ferryman.api.kinds.portforward import PORT_FORWARDS
from ferryman.api.kinds.relay import RELAYS
from ferryman.api.resource import Name, Object, Resource
from ferryman.apiclient.informer import Informer
from ferryman.controllers.children import NotOurs, controller_of, ensure_child, is_child
from ferryman.controllers.connections import Connection, Connections
from ferryman.controllers.hosts import HostNames, LookUp, look_up
from ferryman.controllers.kubernetesdiscovery import plan
from ferryman.controllers.kubernetesdiscovery.membership import Member, members
from ferryman.controllers.kubernetesdiscovery.owners import Owners
from ferryman.controllers.kubernetesdiscovery.pods import pod_of
from ferryman.controllers.kubernetesdiscovery.watching import Watching as WatchingPods
from ferryman.controllers.writing import remove, write_status
from ferryman.errors import FerrymanError
from ferryman.reconcile import Controller, Request, Result, Watching
from ferryman.runtime.clock import Clock

MANAGER = "kubernetesdiscovery-controller"
AGAIN = 5.0
"""Seconds until what could not be asked (owners, a host's address, a context) is asked again."""


class KubernetesDiscoveryController:
    """``controller`` is to be run, by a Manager that runs the four informers, too.

    With ``enabled`` False no forward listens, whatever objects say.
    """

    def __init__(
        self,
        client: ObjectClient,
        discoveries: Informer,
        forwards: Informer,
        relays: Informer,
        clusters: Informer,
        connections: Connections,
        clock: Clock,
        *,
        enabled: bool = True,
        look_up: LookUp = look_up,
    ) -> None:
        self._client = client
        self._discoveries = discoveries
        self._forwards = forwards
        self._relays = relays
        self._clusters = clusters
        self._connections = connections
        self._clock = clock
        self._enabled = enabled
        self._hosts = HostNames(clock, look_up)
        self._watching: dict[str, WatchingPods] = {}
        self._owners: dict[str, Owners] = {}
        self._written: dict[str, KubernetesDiscoveryStatus] = {}
        sources = (
            Watching(discoveries),
            Watching(relays, _maker),
            Watching(forwards, _maker),
            Watching(clusters, self._of_cluster),
        )
        self.controller = Controller("kubernetesdiscovery", self.reconcile, sources, clock=clock)

    def context_changed(self, _: str) -> None:
        """The kubeconfig says something else about a context: it may be another cluster."""
        for name in self._discoveries.objects:
            self.controller.queue.add(name)

    async def reconcile(self, request: Request) -> Result | None:
        """Make one KubernetesDiscovery so."""
        name, discovery = request.name, self._discoveries.objects.get(request)
        if discovery is None:
            self._forget(name)
            await self._remove_children(name)
            return None
        spec = spec_of(discovery)
        before = self._written.get(name) or status_of(discovery)
        watching, same_spec = self._watched(name, spec)
        connection = await self._connect(spec, watching)
        found = await self._find(spec, connection, watching)
        pods = before.pods
        if found is not None and connection is not None:
            owners = self._owners_in(connection)
            pods = tuple(pod_of(m.pod, m.ancestor_uid, owners.created(m.pod)) for m in found)
            pods = pods or plan.kept(spec, before.pods, found, same_spec=same_spec)
        elif not same_spec:
            pods = ()
        asking = connection is not None and not watching.synced
        available = None if asking else found is not None
        if watching.error is not None:
            available = False
        status = plan.status(available, watching.since, before, pods, self._clock.now())
        self._written[name] = status
        await write_status(self._client, KUBERNETES_DISCOVERIES, discovery, status, MANAGER)
        settled = await self._forward(discovery, spec, found)
        return None if settled and (asking or found is not None) else Result(AGAIN)

    def _watched(self, name: str, spec: KubernetesDiscoverySpec) -> tuple[WatchingPods, bool]:
        """What is watched for a discovery; and whether it was for this spec before, too."""
        watching = self._watching.get(name)
        if watching is not None and watching.spec == spec:
            return watching, True
        first = watching is None
        if watching is not None:
            watching.close()
            for owners in self._owners.values():
                owners.forget()
        watching = WatchingPods(
            spec, self._clock.now(), lambda: self.controller.queue.add(Name(name))
        )
        self._watching[name] = watching
        return watching, first

    async def _connect(
        self, spec: KubernetesDiscoverySpec, watching: WatchingPods
    ) -> Connection | None:
        """Watch what is to be watched; None if the cluster is not known (yet)."""
        cluster = self._clusters.objects.get(Name(spec.cluster))
        known = connection_of(cluster) if cluster is not None else None
        connection = None
        if known is not None:
            try:
                connection = await self._connections.open(known.context)
            except FerrymanError:
                pass  # its Cluster says why
        watching.watch(connection, known.namespace if known is not None else "")
        return connection

    async def _find(
        self, spec: KubernetesDiscoverySpec, connection: Connection | None, watching: WatchingPods
    ) -> list[Member] | None:
        """The pods that belong; None if that cannot be said now."""
        if connection is None or not watching.synced:
            return None
        pods = watching.pods
        try:
            lines = await self._owners_in(connection).lines(pods) if spec.watches else {}
        except FerrymanError:
            return None  # the shared watch has the same trouble, and tells it
        found = members(spec, watching.default_namespace, pods, lines)
        watching.judged(found)
        return found

    def _owners_in(self, connection: Connection) -> Owners:
        owners = self._owners.get(connection.context)
        if owners is None or owners.client is not connection.client:
            owners = Owners(connection.client, connection.kinds)
            self._owners[connection.context] = owners
        return owners

    # -- children --

    async def _forward(
        self, discovery: Object, spec: KubernetesDiscoverySpec, found: list[Member] | None
    ) -> bool:
        """Have the Relay and the view that are wanted and no other; whether that is all done."""
        name = discovery["metadata"]["name"]
        if spec.port_forward_template_spec is None:
            await self._remove_children(name)
            return True
        hosts = await self._hosts.addresses(
            forward.host for forward in spec.port_forward_template_spec.forwards
        )
        there = self._relays.objects.get(Name(name))
        ours = there if there is not None and _is_ours(there, name) else None
        wanted = plan.wanted_relay(discovery, hosts, ours, enabled=self._enabled)
        if wanted is not None:
            await self._ensure(RELAYS, self._relays, wanted, discovery, relay.spec_of)
        if found is not None:
            view = plan.wanted_view(discovery, found)
            if view is not None:
                await self._ensure(
                    PORT_FORWARDS, self._forwards, view, discovery, portforward.spec_of
                )
            await self._remove_views(name, view["metadata"]["name"] if view is not None else "")
        return not any(isinstance(addresses, str) for addresses in hosts.values())

    async def _ensure(
        self,
        resource: Resource,
        known: Informer,
        wanted: Object,
        owner: Object,
        spec: Callable[[Object], object],
    ) -> None:
        try:
            await ensure_child(
                self._client, resource, known.objects, wanted, owner, spec_of=spec, manager=MANAGER
            )
        except NotOurs:
            pass  # the view says so, which the PortForward's controller looks after

    async def _remove_children(self, name: str) -> None:
        """Those of a discovery that is gone, at once: ``gc`` would do it, and may be busy."""
        await self._remove_views(name, "")
        there = self._relays.objects.get(Name(name))
        if there is not None and _is_ours(there, name):
            await remove(self._client, RELAYS, there)

    async def _remove_views(self, name: str, but: str) -> None:
        for forward in list(self._forwards.objects.values()):
            if forward["metadata"]["name"] != but and _is_ours(forward, name):
                await remove(self._client, PORT_FORWARDS, forward)

    # -- the rest --

    def _forget(self, name: str) -> None:
        self._written.pop(name, None)
        watching = self._watching.pop(name, None)
        if watching is not None:
            watching.close()

    def _of_cluster(self, cluster: Object) -> Iterator[Request]:
        name = cluster["metadata"]["name"]
        for found, discovery in self._discoveries.objects.items():
            if spec_of(discovery).cluster == name:
                yield found


def _is_ours(obj: Object, name: str) -> bool:
    return is_child(obj, KUBERNETES_DISCOVERIES, name)


def _maker(child: Object) -> Iterator[Request]:
    """The discovery that made an object."""
    owner = controller_of(child) or {}
    if is_child(child, KUBERNETES_DISCOVERIES, str(owner.get("name", ""))):
        yield Name(str(owner["name"]))
