"""Which target each relay leads to, and what is seen of it.

Relays that lead to the same share one follower: of a workload in a cluster (``following``), or of
a discovery (``discovered``). A cluster that is another now, because somebody changed the
kubeconfig, is followed anew. ``reconciler`` says what relays there are, and asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from ferryman.api.kinds.relay import RelaySpec, Workload
from ferryman.apiclient.sharing import SharedInformers
from ferryman.controllers.relay.discovered import Discovered, Discoveries
from ferryman.controllers.relay.following import Follower
from ferryman.controllers.relay.resolving import Seen, target_of
from ferryman.errors import FerrymanError, UserError
from ferryman.kube.kinds import Kinds
from ferryman.kube.targets import Target
from ferryman.runtime.clock import Clock
from ferryman.runtime.tasks import Tasks

_Key = tuple[str, Target | str]
"""What is followed: a target in a cluster, or a discovery, by its name, in none."""


class Cluster(Struct, frozen=True):
    """A cluster that relays may name: its API, and the namespace of its kubeconfig context.

    ``introduce`` tells the data plane how to reach the cluster's pods; it is called once, before
    the first of them becomes an endpoint, and again if it raised. Without ``kinds`` its targets
    can only be of the kinds that everybody knows.
    """

    informers: SharedInformers
    namespace: str
    introduce: Callable[[], Awaitable[None]]
    kinds: Kinds | None = None


class _Following(Struct):
    """A follower, the task that runs it, and the relays that it serves."""

    cluster: Cluster | None
    follower: Follower | Discovered
    task: asyncio.Task[None]
    relays: set[str] = field(default_factory=set)


class Targets:
    """``clusters`` by the name that ``target.workload.cluster`` has; the first is the default.

    ``changed`` is called with a relay and whether a pod of its leaves: then every moment counts.
    ``open_cluster`` and ``discoveries`` as for ``RelayController``; ``tasks`` runs the followers.
    """

    def __init__(
        self,
        clusters: Mapping[str, Cluster],
        changed: Callable[[str, bool], None],
        clock: Clock,
        tasks: Tasks,
        open_cluster: Callable[[str], Awaitable[object]] | None,
        discoveries: Discoveries | None,
    ) -> None:
        self._clusters = clusters
        self._changed = changed
        self._clock = clock
        self._tasks = tasks
        self._open_cluster = open_cluster
        self._discoveries = discoveries
        self._not_opened: dict[str, FerrymanError] = {}
        self._following: dict[_Key, _Following] = {}
        self._introduced: dict[str, Cluster] = {}

    async def open(self, workload: Workload | None) -> bool:
        """Have the workload's cluster opened, if it has one that is not; whether it is now."""
        if workload is None or self._open_cluster is None or workload.cluster in self._clusters:
            return True
        try:
            await self._open_cluster(workload.cluster)
        except FerrymanError as error:
            self._not_opened[workload.cluster] = error
            return False
        self._not_opened.pop(workload.cluster, None)
        return True

    def complete(self, spec: RelaySpec) -> RelaySpec:
        """With the default cluster and its default namespace filled in."""
        workload = spec.target.workload
        if workload is None or (workload.cluster and workload.namespace):
            return spec
        default = "" if "" in self._not_opened else next(iter(self._clusters), "")
        name = workload.cluster or default
        cluster = self._clusters.get(name)
        namespace = workload.namespace or (cluster.namespace if cluster is not None else "")
        workload = replace(workload, cluster=name, namespace=namespace)
        return replace(spec, target=replace(spec.target, workload=workload))

    def follow(self, relay: str, spec: RelaySpec) -> None:
        """Follow the relay's workload or discovery, and no other."""
        key = None if spec.suspend else self._key(spec)
        self.unfollow(relay, key)
        if key is None:
            return
        following = self._following.get(key)
        if following is not None and following.cluster is not self._clusters.get(key[0]):
            following.task.cancel()
            following = self._start(key, following.relays)
        following = following or self._start(key, set())
        following.relays.add(relay)

    def unfollow(self, relay: str, but: object = None) -> None:
        """Follow nothing for a relay any more, but for what has this key."""
        for key, following in list(self._following.items()):
            if key != but and relay in following.relays:
                following.relays.discard(relay)
                if not following.relays:
                    following.task.cancel()
                    del self._following[key]

    def look(self) -> None:
        """Some cluster may be another now. Those of workloads show when they are followed."""
        for following in self._following.values():
            if isinstance(following.follower, Discovered):
                following.follower.look()

    def suspect(self) -> None:
        """The network may have changed: nothing that is open can be relied on."""
        for following in self._following.values():
            following.follower.suspect()

    def seen(self, relay: str, spec: RelaySpec) -> Seen:
        """What is known of a relay's target."""
        for following in self._following.values():
            if relay in following.relays:
                return following.follower.seen
        workload = spec.target.workload
        if spec.target.discovery is not None and self._discoveries is None:
            return Seen(error=UserError("discoveries are not kept here"))
        if workload is None or spec.suspend:
            return Seen()
        if workload.cluster not in self._clusters:
            unknown = UserError(f"there is no cluster {workload.cluster!r}")
            return Seen(error=self._not_opened.get(workload.cluster, unknown))
        try:
            target_of(workload)
        except UserError as error:
            return Seen(error=error)
        return Seen()

    def cluster_of(self, relay: str, spec: RelaySpec) -> str:
        """The cluster that the relay leads into; empty if it leads into none."""
        workload = spec.target.workload
        return workload.cluster if workload is not None else self.seen(relay, spec).cluster

    def is_introduced(self, cluster: str) -> bool:
        """Whether the data plane knows the way to a cluster's pods; none needs no introduction."""
        return not cluster or self._introduced.get(cluster) is self._clusters.get(cluster)

    async def introduce(self, cluster: str) -> None:
        """Tell the data plane how to reach a cluster's pods."""
        known = self._clusters[cluster]
        await known.introduce()
        self._introduced[cluster] = known

    def _key(self, spec: RelaySpec) -> _Key | None:
        """What to follow; None if there is nothing, or no way to."""
        workload, discovery = spec.target.workload, spec.target.discovery
        if discovery is not None:
            return ("", discovery.name) if self._discoveries is not None else None
        if workload is None or workload.cluster not in self._clusters:
            return None
        try:
            return (workload.cluster, target_of(workload))
        except UserError:
            return None

    def _start(self, key: _Key, relays: set[str]) -> _Following:
        def changed(urgent: bool) -> None:
            """From the follower, on the event loop, as soon as its informer knows."""
            for relay in relays:
                self._changed(relay, urgent)

        name, target = key
        cluster = self._clusters.get(name)
        follower: Follower | Discovered
        if isinstance(target, Target):
            assert cluster is not None
            follower = Follower(cluster.informers, target, changed, self._clock, cluster.kinds)
        else:
            assert self._discoveries is not None
            follower = self._discoveries.follow(target, changed)
        task = self._tasks.start(follower.run(), f"following {target}")
        following = self._following[key] = _Following(cluster, follower, task, relays)
        return following
