"""Carries out what ``claims`` and ``plan`` decide: listeners, endpoints, policies, status.

For each request: bind what the relays won, follow the relay's workload, plan, tell the data plane
what differs, write the status if it differs. One thing does not wait for its turn: when a pod
leaves, the data plane is told at once (``_drain``), because every dial until then may fail.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from msgspec import Struct, field

from ferryman.api.client import ObjectClient
from ferryman.api.kinds.relay import (
    RELAYS,
    RelaySpec,
    RelayStatus,
    spec_of,
    status_of,
)
from ferryman.api.resource import Name, Object
from ferryman.apiclient.informer import Informer
from ferryman.controllers.recording import Recorder
from ferryman.controllers.relay.claims import Claimant, listener_of, relay_of
from ferryman.controllers.relay.discovered import Discoveries
from ferryman.controllers.relay.happenings import happenings
from ferryman.controllers.relay.listening import Listening
from ferryman.controllers.relay.plan import Plan, plan, policy
from ferryman.controllers.relay.probing import Probing
from ferryman.controllers.relay.resolving import endpoints
from ferryman.controllers.relay.targets import Cluster, Targets
from ferryman.controllers.relay.troubles import Troubles
from ferryman.controllers.relay.verdicts import World
from ferryman.controllers.writing import write_status
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


class _Sent(Struct):
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
        self._relays = relays
        self._dataplane = dataplane
        self._clock = clock
        self._informer = Informer(relays, RELAYS, clock=clock)
        self._controller = Controller(
            "relay", self.reconcile, [Watching(self._informer)], clock=clock
        )
        self._tasks = Tasks()
        self._targets = Targets(
            clusters, self._changed, clock, self._tasks, open_cluster, discoveries
        )
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

    def context_changed(self, _: str) -> None:
        """The kubeconfig says something else about a context: it may be another cluster."""
        self._targets.look()
        for name in self._informer.objects:
            self._controller.queue.add(name)

    def _suspect_unless(self, lately: float) -> None:
        now = self._clock.monotonic()
        if now - self._suspected >= lately:
            self._suspected = now
            self.suspect()

    def suspect(self) -> None:
        """The network may have changed: nothing that is open can be relied on."""
        self._targets.suspect()

    async def reconcile(self, request: Name) -> Result | None:
        """Make one relay so; and the addresses of all."""
        name = request.name
        relay = self._informer.objects.get(request)
        if relay is None:
            self._sent.pop(name, None)
            self._probing.forget([of for of in self._troubles.dials if relay_of(of) == name])
            self._targets.unfollow(name)
            await self._listen(name)
            return None
        opened = await self._targets.open(spec_of(relay).target.workload)
        spec = self._targets.complete(spec_of(relay))
        sent = self._sent.setdefault(name, _Sent())
        await self._treat(name, spec, sent)
        await self._listen(name)
        sent.forget_all_but(self._listening.listeners.values())
        self._targets.follow(name, spec)
        planned = self._plan(name, relay, spec, sent)
        cluster = self._targets.cluster_of(name, spec)
        if not self._targets.is_introduced(cluster) and any(planned.endpoints.values()):
            # Loading all that wires need takes longer than everything else at the start: whoever
            # waits for the status need not wait for that; connections are held meanwhile.
            await self._write(relay, planned.status, sent)
            await self._targets.introduce(cluster)
        await self._lead(planned.endpoints, sent)
        await self._write(relay, planned.status, sent)
        again = self._listening.failed(name) or not opened
        return Result(BIND_AGAIN) if again else None

    def _plan(self, name: str, relay: Object, spec: RelaySpec, sent: _Sent) -> Plan:
        cluster = self._targets.cluster_of(name, spec)
        world = World(
            now=self._clock.now(),
            seen=self._targets.seen(name, spec),
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

    # -- acting --

    def _changed(self, name: str, urgent: bool) -> None:
        """There is news of the relay's target."""
        if urgent:
            self._drain(name)
        self._controller.queue.add(Name(name))

    def _drain(self, name: str) -> None:
        """A pod leaves: no queue, no folding, no waiting for an answer."""
        relay, sent = self._informer.objects.get(Name(name)), self._sent.get(name)
        if relay is None or sent is None:
            return
        spec = self._targets.complete(spec_of(relay))
        for listener, found in endpoints(name, spec, self._targets.seen(name, spec)).items():
            if sent.endpoints.get(listener) != found:
                sent.endpoints[listener] = found
                self._dataplane.endpoints_now(listener, found, next(self._generations))

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

    async def _write(self, relay: Object, status: RelayStatus, sent: _Sent) -> None:
        before = sent.status or status_of(relay)
        sent.status = status
        written = await write_status(self._relays, RELAYS, relay, status, MANAGER)
        if written and self._recorder is not None:
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
