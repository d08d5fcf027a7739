"""A listener's name and what it leads to: endpoints, policy, and the connections there are.

``listeners`` hands it accepted clients; ``connection`` is one of them; ``engine`` changes the
endpoints and the policy while all of that goes on. Only here is an endpoint chosen.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ferryman.dataplane.connection import Connection
from ferryman.dataplane.contract import (
    Client,
    Dial,
    Dialled,
    DialSpec,
    Endpoint,
    Event,
    ListenerCounters,
    Policy,
)
from ferryman.dataplane.direction import Meter

if TYPE_CHECKING:
    from ferryman.dataplane.loop import Loop
    from ferryman.dataplane.pipes import Pipes
    from ferryman.dataplane.watching import Watching

_numbers = itertools.count(1)


class Route:
    """Loop thread only, but for ``counters``, which only reads numbers."""

    def __init__(
        self,
        name: str,
        loop: Loop,
        pipes: Pipes,
        dial: Callable[[DialSpec, Dialled], Dial],
        emit: Callable[[Event], None],
        chance: Callable[[], float] | None = None,
    ) -> None:
        self.name = name
        self.loop = loop
        self.pipes = pipes
        self.dial = dial
        self.emit = emit
        self.policy = Policy()
        self.observer: Watching | None = None
        self.meters = (Meter(), Meter())
        self._endpoints: tuple[Endpoint, ...] = ()
        self._active: tuple[Endpoint, ...] = ()
        self._generations = {"endpoints": -1, "policy": -1}
        self._connections: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}  # in order of arrival
        self._load: Counter[str] = Counter()
        self._turn = 0
        self._chance = chance
        self._total = 0
        self._failed = 0

    def accept(self, client: Client, peer: str) -> None:
        """A new client."""
        self._total += 1
        number, watch = next(_numbers), None
        if self.observer is not None and self.policy.observe != "Off":
            watch = self.observer.watch(number, self.name, peer)
        connection = Connection(self, client, peer, number, watch)
        self._connections.add(connection)
        if self.policy.faults and self._disturb(connection, new=True):
            return
        connection.seek()

    # -- told by the engine --

    def set_endpoints(self, endpoints: Iterable[Endpoint], generation: int) -> None:
        """Where to dial from now on, best first; an older generation is ignored."""
        if not self._newer("endpoints", generation):
            return
        before = {e.id for e in self._active}
        self._endpoints = tuple(endpoints)
        self._active = tuple(e for e in self._endpoints if e.state == "Active")
        active = {e.id for e in self._active}
        for connection in list(self._connections):
            endpoint = connection.endpoint
            if endpoint is not None and endpoint.id in before - active:
                connection.endpoint_going()
        if active - before:
            for connection in list(self._waiting):
                connection.news()

    def set_policy(self, policy: Policy, generation: int) -> None:
        """How to treat connections from now on; those that wait keep their deadline."""
        if not self._newer("policy", generation):
            return
        before, self.policy = self.policy, policy
        if policy.faults != before.faults:
            for connection in list(self._connections):
                self._disturb(connection, new=False)

    def try_now(self) -> None:
        """Whoever waits before dialling again need not."""
        for connection in list(self._waiting):
            connection.news()

    def reset(self, why: str) -> None:
        """End every connection with an RST."""
        for connection in list(self._connections):
            connection.reset(why)

    def reset_waiting(self, why: str) -> None:
        """End those that have no target."""
        for connection in list(self._waiting):
            connection.reset(why)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self._endpoints

    @property
    def busy(self) -> bool:
        """Whether there are connections."""
        return bool(self._connections)

    def counters(self) -> ListenerCounters:
        """A snapshot; may be read from another thread."""
        held = len(self._waiting)
        return ListenerCounters(
            open=len(self._connections) - held,
            held=held,
            total=self._total,
            failed=self._failed,
            up=self.meters[0].count,
            down=self.meters[1].count,
        )

    # -- asked by connections --

    def choose(self, tried: frozenset[str]) -> Endpoint | None:
        """The endpoint for a new dial, other than those tried already; None if there is none."""
        left = [e for e in self._active if e.id not in tried] if tried else self._active
        if not left:
            return None
        match self.policy.balance:
            case "Newest":
                return left[0]
            case "RoundRobin":
                self._turn += 1
                return left[self._turn % len(left)]
            case "LeastConnections":
                return min(left, key=lambda e: self._load[e.id])

    def untried(self, tried: frozenset[str]) -> bool:
        """Whether ``choose`` would find one."""
        return any(e.id not in tried for e in self._active)

    def is_active(self, endpoint_id: str) -> bool:
        return any(e.id == endpoint_id for e in self._active)

    def hold(self, connection: Connection) -> bool:
        """Whether it may wait for an endpoint. When all places are taken, one whose client has
        said its last word gives way: it has most likely gone.
        """
        if self.policy.hold <= 0:
            return False
        if len(self._waiting) >= self.policy.hold_connections:
            gone = next((c for c in self._waiting if c.client.half_closed()), None)
            if gone is None:
                return False
            gone.reset("another connection needs its place")
        self._waiting[connection] = None
        return True

    def waiting(self, connection: Connection) -> None:
        """It waits before it dials again."""
        self._waiting[connection] = None

    def began(self, connection: Connection) -> None:
        """It dials ``connection.endpoint``."""
        self._waiting.pop(connection, None)
        if connection.endpoint is not None:
            self._load[connection.endpoint.id] += 1

    def left(self, connection: Connection, endpoint: Endpoint) -> None:
        """It no longer uses the endpoint."""
        self._waiting.pop(connection, None)
        self._load[endpoint.id] -= 1
        if self._load[endpoint.id] <= 0:
            del self._load[endpoint.id]

    def closed(self, connection: Connection, *, failed: bool) -> None:
        """It is over."""
        self._waiting.pop(connection, None)
        self._connections.discard(connection)
        self._failed += failed

    def _disturb(self, connection: Connection, *, new: bool) -> bool:
        """Let the policy's faults befall a connection; True if it is dropped."""
        from ferryman.dataplane import faults, valve  # only those who ask for faults need them

        if self._chance is None:
            from random import random

            self._chance = random
        own = faults.befall(self.policy.faults, self._chance)
        dropped = next((f for f in own if f.kind == "drop"), None) if new else None
        if dropped is not None:
            connection.drop(dropped)
            return True
        connection.disturb(valve.valves(self.loop, own, self._chance))
        return False

    def _newer(self, what: str, generation: int) -> bool:
        if generation < self._generations[what]:
            return False
        self._generations[what] = generation
        return True
