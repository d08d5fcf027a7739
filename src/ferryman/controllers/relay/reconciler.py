"""Carries out what ``claims`` and ``plan`` decide: listeners, endpoints, policies, status.

For each request: bind what the relays won, follow the relay's workload, plan, tell the data plane
what differs, write the status if it differs. One thing does not wait for its turn: when a pod
leaves, the data plane is told at once (``_drain``), because every dial until then may fail.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from ferryman.api import codec
from ferryman.api.client import ObjectClient
from ferryman.api.kinds.relay import (
    RELAYS,
    RelaySpec,
    RelayStatus,
    Workload,
    spec_of,
    status_of,
)
from ferryman.api.resource import Name, Object
from ferryman.api.status import NotFound
from ferryman.apiclient.informer import Informer
from ferryman.apiclient.sharing import SharedInformers
from ferryman.controllers.recording import Recorder
from ferryman.controllers.relay.claims import Claimant, listener_of, relay_of
from ferryman.controllers.relay.discovered import Discovered, Discoveries
from ferryman.controllers.relay.following import Follower
from ferryman.controllers.relay.happenings import happenings
from ferryman.controllers.relay.listening import Listening
from ferryman.controllers.relay.plan import (
    Plan,
    Seen,
    World,
    endpoints,
    plan,
    policy,
    target_of,
)
from ferryman.controllers.relay.probing import Probing
from ferryman.controllers.relay.troubles import Troubles
from ferryman.dataplane.contract import (
    Applied,
    ClusterReached,
    DialFailure,
    DialSpec,
    Endpoint,
    Event,
    ListenerCounters,
    Listeners,
    Policy,
    WireLost,
)
from ferryman.errors import FerrymanError, UserError
from ferryman.kube.kinds import Kinds
from ferryman.kube.targets import Target
from ferryman.reconcile import Controller, Manager, Result, Watching
from ferryman.runtime.clock import Clock
from ferryman.runtime.tasks import Tasks

MANAGER = "relay-controller"
COUNT = 10.0
"""Seconds between two writes of connection counts."""
SUSPECT_AGAIN, REACHED_AGAIN = 10.0, 1.0
"""Seconds between two doubts about the watches, because a wire was lost (many are lost at once),
or because one could be opened again.
"""
BIND_AGAIN = 0.5
"""Seconds until an address that somebody else has is tried again: status is to tell of its return
within a second."""
_Key = tuple[str, Target | str]
"""What is followed: a target in a cluster, or a discovery, by its name, in none."""


class DataPlane(Protocol):
    """What the controller needs of ``dataplane.threaded``."""

    async def apply(self, listeners: Listeners) -> Applied: ...

    async def endpoints(
        self, listener: str, endpoints: Iterable[Endpoint], generation: int
    ) -> None: ...

    def endpoints_now(
        self, listener: str, endpoints: Iterable[Endpoint], generation: int
    ) -> None: ...

    async def policy(self, listener: str, policy: Policy, generation: int) -> None: ...

    async def probe(self, address: DialSpec, patience: float) -> DialFailure | None: ...

    def counters(self) -> Mapping[str, ListenerCounters]: ...


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that relays may name: its API, and the namespace of its kubeconfig context.

    ``introduce`` tells the data plane how to reach the cluster's pods; it is called once, before
    the first of them becomes an endpoint, and again if it raised. Without ``kinds`` its targets
    can only be of the kinds that everybody knows.
    """

    informers: SharedInformers
    namespace: str
    introduce: Callable[[], Awaitable[None]]
    kinds: Kinds | None = None


@dataclass(slots=True)
class _Following:
    """A follower, the task that runs it, and the relays that it serves."""

    follower: Follower | Discovered
    task: asyncio.Task[None]
    relays: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Sent:
    """What the data plane was told last, by listener; and the status that was written."""

    endpoints: dict[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    status: RelayStatus | None = None

    def forget_all_but(self, listeners: Iterable[str]) -> None:
        """The data plane keeps nothing for a listener that is listened on nowhere."""
        kept = set(listeners)
        self.endpoints = {name: e for name, e in self.endpoints.items() if name in kept}
        self.policies = {name: p for name, p in self.policies.items() if name in kept}


class RelayController:
    """``clusters`` by the name that ``target.workload.cluster`` has; the first is the default.

    ``open_cluster`` is called for a name that is not among them (empty: the default), which it may
    bring in; else it raises. Without ``discoveries`` no relay can lead to one. ``recorder`` is told
    what happened.
    """

    def __init__(
        self,
        relays: ObjectClient,
        dataplane: DataPlane,
        clusters: Mapping[str, Cluster],
        clock: Clock,
        *,
        open_cluster: Callable[[str], Awaitable[object]] | None = None,
        discoveries: Discoveries | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = recorder
        self._open_cluster = open_cluster
        self._discoveries = discoveries
        self._not_opened: dict[str, FerrymanError] = {}
        self._relays = relays
        self._dataplane = dataplane
        self._clusters = clusters
        self._clock = clock
        self._informer = Informer(relays, RELAYS, clock=clock)
        self._controller = Controller(
            "relay", self.reconcile, [Watching(self._informer)], clock=clock
        )
        self._tasks = Tasks()
        self._following: dict[_Key, _Following] = {}
        self._introduced: set[str] = set()
        self._sent: dict[str, _Sent] = {}
        self._listening = Listening(dataplane)
        self._suspected = -SUSPECT_AGAIN
        self._troubles = Troubles()
        self._probing = Probing(
            dataplane,
            self._troubles,
            clock,
            self._tasks,
            lambda listener: self._controller.queue.add(Name(relay_of(listener))),
        )
        self._counters: Mapping[str, ListenerCounters] = {}
        self._generations = itertools.count(1)

    async def run(self) -> None:
        """Work until cancelled. The data plane is left as it is: its owner stops it."""
        async with self._tasks, asyncio.TaskGroup() as group:
            group.create_task(Manager([self._informer], [self._controller]).run())
            group.create_task(self._count())

    def happened(self, event: Event) -> None:
        """Take note of what the data plane tells."""
        news = self._troubles.note(event, self._clock.monotonic())
        if news is not None and news.all_after is not None:
            for name in self._informer.objects:
                self._controller.queue.add_after(name, news.all_after)
        elif news is not None:
            self._controller.queue.add(Name(relay_of(news.listener)))
        if isinstance(event, ClusterReached):
            self._suspect_unless(REACHED_AGAIN)  # the watches may wait for their next attempt
        elif isinstance(event, WireLost):
            # Perhaps the network went, and the watches with it, which would not notice for long.
            self._suspect_unless(SUSPECT_AGAIN)

    def credential(self, cluster: str, failure: str) -> None:
        """Somebody tried to get another credential for a cluster, in vain unless ``failure`` is
        empty.
        """
        if self._troubles.note_credential(cluster, failure):
            for name in self._informer.objects:
                self._controller.queue.add(name)

    def _suspect_unless(self, lately: float) -> None:
        now = self._clock.monotonic()
        if now - self._suspected >= lately:
            self._suspected = now
            self.suspect()

    def suspect(self) -> None:
        """The network may have changed: nothing that is open can be relied on."""
        for following in self._following.values():
            following.follower.suspect()

    async def reconcile(self, request: Name) -> Result | None:
        """Make one relay so; and the addresses of all."""
        name = request.name
        relay = self._informer.objects.get(request)
        if relay is None:
            self._sent.pop(name, None)
            self._probing.forget([of for of in self._troubles.dials if relay_of(of) == name])
            self._unfollow(name, None)
            await self._listen(name)
            return None
        opened = await self._open(spec_of(relay).target.workload)
        spec = self._complete(spec_of(relay))
        sent = self._sent.setdefault(name, _Sent())
        await self._treat(name, spec, sent)
        await self._listen(name)
        sent.forget_all_but(self._listening.listeners.values())
        self._follow(name, spec)
        planned = self._plan(name, relay, spec, sent)
        cluster = self._cluster_of(name, spec)
        if cluster not in self._introduced and any(planned.endpoints.values()):
            # Loading all that wires need takes longer than everything else at the start: whoever
            # waits for the status need not wait for that; connections are held meanwhile.
            await self._write(name, relay, planned.status, sent)
            await self._introduce(cluster)
        await self._lead(planned.endpoints, sent)
        await self._write(name, relay, planned.status, sent)
        again = self._listening.failed(name) or not opened
        return Result(BIND_AGAIN) if again else None

    async def _open(self, workload: Workload | None) -> bool:
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

    def _complete(self, spec: RelaySpec) -> RelaySpec:
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

    def _plan(self, name: str, relay: Object, spec: RelaySpec, sent: _Sent) -> Plan:
        cluster = self._cluster_of(name, spec)
        world = World(
            now=self._clock.now(),
            seen=self._seen(name, spec),
            listeners=self._listening.listeners,
            applied=self._listening.applied,
            lost=self._listening.lost,
            troubles=self._troubles.dials,
            refused=self._troubles.refused_by(cluster, self._clock.monotonic()),
            no_credential=self._troubles.no_credential(cluster),
            counters=self._counters,
        )
        generation = int(relay["metadata"].get("generation", 0))
        return plan(name, generation, spec, sent.status or status_of(relay), world)

    # -- the target --

    def _follow(self, name: str, spec: RelaySpec) -> None:
        """Follow the relay's workload or discovery, and no other."""
        key = None if spec.suspend else self._key(spec)
        self._unfollow(name, key)
        if key is None:
            return
        following = self._following.get(key)
        if following is None:
            follower = self._follower(key)
            task = self._tasks.start(follower.run(), f"following {key[1]}")
            following = self._following[key] = _Following(follower, task)
        following.relays.add(name)

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

    def _follower(self, key: _Key) -> Follower | Discovered:
        def changed(urgent: bool) -> None:
            self._changed(key, urgent)

        cluster, target = key
        if isinstance(target, Target):
            known = self._clusters[cluster]
            return Follower(known.informers, target, changed, self._clock, known.kinds)
        assert self._discoveries is not None
        return self._discoveries.follow(target, changed)

    def _unfollow(self, name: str, but: _Key | None) -> None:
        for key, following in list(self._following.items()):
            if key != but and name in following.relays:
                following.relays.discard(name)
                if not following.relays:
                    following.task.cancel()
                    del self._following[key]

    def _cluster_of(self, name: str, spec: RelaySpec) -> str:
        """The cluster that the relay leads into; empty if it leads into none."""
        workload = spec.target.workload
        return workload.cluster if workload is not None else self._seen(name, spec).cluster

    async def _introduce(self, cluster: str) -> None:
        if cluster:
            await self._clusters[cluster].introduce()
            self._introduced.add(cluster)

    def _seen(self, name: str, spec: RelaySpec) -> Seen:
        for following in self._following.values():
            if name in following.relays:
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

    def _changed(self, key: _Key, urgent: bool) -> None:
        """From a follower, on the event loop, as soon as its informer knows."""
        following = self._following.get(key)
        for name in following.relays if following is not None else ():
            if urgent:
                self._drain(name)
            self._controller.queue.add(Name(name))

    def _drain(self, name: str) -> None:
        """A pod leaves: no queue, no folding, no waiting for an answer."""
        relay, sent = self._informer.objects.get(Name(name)), self._sent.get(name)
        if relay is None or sent is None:
            return
        spec = self._complete(spec_of(relay))
        for listener, found in endpoints(name, spec, self._seen(name, spec)).items():
            if sent.endpoints.get(listener) != found:
                sent.endpoints[listener] = found
                self._dataplane.endpoints_now(listener, found, next(self._generations))

    # -- acting --

    async def _listen(self, name: str) -> None:
        """Bind and unbind; the other relays for whom that changed something are looked at."""
        claimants = [
            Claimant(
                found.name, str(relay["metadata"].get("creationTimestamp", "")), spec_of(relay)
            )
            for found, relay in self._informer.objects.items()
        ]
        for changed in await self._listening.update(claimants):
            if changed != name:
                self._controller.queue.add(Name(changed))

    async def _treat(self, name: str, spec: RelaySpec, sent: _Sent) -> None:
        wanted = policy(spec)
        for port in spec.ports:
            listener = listener_of(name, port.name)
            if sent.policies.get(listener) != wanted:
                await self._dataplane.policy(listener, wanted, next(self._generations))
                sent.policies[listener] = wanted

    async def _lead(self, planned: Mapping[str, tuple[Endpoint, ...]], sent: _Sent) -> None:
        listened = set(self._listening.listeners.values())
        for listener, found in planned.items():
            if listener in listened and sent.endpoints.get(listener) != found:
                sent.endpoints[listener] = found
                await self._dataplane.endpoints(listener, found, next(self._generations))
            self._probing.look(listener, found if listener in listened else ())

    async def _write(self, name: str, relay: Object, status: RelayStatus, sent: _Sent) -> None:
        before = sent.status or status_of(relay)
        sent.status = status
        encoded = codec.encode(status)
        if relay.get("status") == encoded:
            return
        try:
            await self._relays.apply_status(RELAYS, name, encoded, manager=MANAGER)
        except NotFound:
            return  # it is gone; the request that says so is on its way
        if self._recorder is not None:
            for told in happenings(before, status):
                await self._recorder.record(
                    MANAGER, relay, told.reason, told.message, warning=told.warning
                )

    async def _count(self) -> None:
        """Let connection counts reach the status, now and then."""
        while True:
            await self._clock.sleep(COUNT)
            before, self._counters = self._counters, dict(self._dataplane.counters())
            for listener, counted in self._counters.items():
                if before.get(listener) != counted:
                    self._controller.queue.add(Name(relay_of(listener)))
