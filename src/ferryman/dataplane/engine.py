"""The data plane itself: listeners, routes and wires on one loop; every method in its thread.

``threaded`` runs it beside asyncio and speaks the contract; ``ferry relay`` runs it in the
foreground. A change comes in as a whole (``apply``, ``endpoints``, ``policy``) and touches only
what differs.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ferryman.dataplane import sockets
from ferryman.dataplane.contract import (
    Applied,
    Bind,
    ClusterSettings,
    Dial,
    DialFailed,
    DialFailure,
    Dialled,
    DialSpec,
    Endpoint,
    Event,
    Exhausted,
    ListenerCounters,
    PodAddress,
    Policy,
)
from ferryman.dataplane.dialling import Dialler
from ferryman.dataplane.listeners import Label, Listeners
from ferryman.dataplane.loop import Loop, portable
from ferryman.dataplane.pipes import Pipes
from ferryman.dataplane.probing import Answered, Probe
from ferryman.dataplane.route import Route

if TYPE_CHECKING:
    from ferryman.dataplane.observing import Inspector
    from ferryman.dataplane.watching import Watching
    from ferryman.dataplane.wires import Wires

How = Literal["Drain", "Reset"]

GONE = 5.0
"""Seconds after which what is still open to a pod that drained and is gone is ended."""
_LATER = 0.3  # seconds after which a forward has surely begun to listen


class Engine:
    """Give it a loop; ``emit`` is called on the loop with what happens and must not block.

    ``chance`` gives numbers from 0 to 1, for faults; a test's own makes them the same again.
    """

    def __init__(
        self,
        loop: Loop,
        emit: Callable[[Event], None],
        chance: Callable[[], float] | None = None,
    ) -> None:
        self.loop = loop
        self._emit = emit
        self._chance = chance
        self._pipes = Pipes(splices=False) if portable() else Pipes()
        self._dialler = Dialler(loop)
        self._listeners = Listeners(loop, self._dialler, self._tell)
        self._binds: dict[Bind, str] = {}
        self._routes: dict[str, Route] = {}
        self._applied: set[str] = set()
        self._left_over: set[str] = set()  # their listeners are gone, connections may be left
        self._clusters: dict[str, ClusterSettings] = {}
        self._wires: Wires | None = None
        self._observer: Watching | None = None

    def apply(self, listeners: Mapping[Bind, str]) -> Applied:
        """Listen on exactly these, each leading to the route of that name."""
        self._binds = dict(listeners)
        wanted = {bind: self._route(name).accept for bind, name in listeners.items()}
        applied = self._listeners.apply(wanted)
        names = set(listeners.values())
        self._left_over |= self._applied - names
        self._applied = names
        for name in list(self._left_over - names):
            self._routes[name].reset_waiting("the listener is gone")
            if not self._routes[name].busy:
                del self._routes[name]
                self._left_over.discard(name)
        self._left_over -= names
        return applied

    def adopt(self, listener: str, sock: socket.socket, label: Label = sockets.peer_label) -> None:
        """Accept from a socket that somebody else bound, until ``stop`` or its successor comes."""
        self._listeners.adopt(listener, sock, self._route(listener).accept, label)

    def endpoints(self, listener: str, endpoints: Iterable[Endpoint], generation: int) -> None:
        """Where the listener's connections go, best first."""
        route = self._route(listener)
        before = _draining(route.endpoints)
        route.set_endpoints(endpoints, generation)
        after = _draining(route.endpoints)
        if self._wires is not None:
            for uid in after:
                self._wires.drain(uid)
        for uid in before - after:
            self.loop.call_later(GONE, functools.partial(self._forget, uid))

    def policy(self, listener: str, policy: Policy, generation: int) -> None:
        """How the listener treats its connections."""
        self._route(listener).set_policy(policy, generation)

    def observe(self, inspector: Inspector) -> None:
        """Whom to tell of connections whose policy has them observed; instead of an earlier one,
        which is told no more.
        """
        from ferryman.dataplane.observing import Observer  # a plain relay never needs it

        if self._observer is not None:
            self._observer.close(_nothing)
        self._observer = Observer(self.loop, inspector, self._emit)
        for route in self._routes.values():
            route.observer = self._observer

    def watch_with(self, observer: Watching) -> None:
        """As ``observe``, with somebody who needs no inspector."""
        self._observer = observer
        for route in self._routes.values():
            route.observer = observer

    def cluster(self, settings: ClusterSettings) -> None:
        """How wires to a cluster's pods are opened from now on."""
        self._clusters[settings.key] = settings
        if self._wires is not None:
            self._wires.cluster(settings)
        else:
            self.loop.call_later(_LATER, self._load_wires)

    def credentials(
        self, cluster: str, headers: tuple[tuple[str, str], ...], expires: float | None
    ) -> None:
        """The answer to NeedCredentials."""
        if self._wires is not None:
            self._wires.credentials(cluster, headers, expires)
        elif cluster in self._clusters:
            settings = replace(self._clusters[cluster], headers=headers, expires=expires)
            self._clusters[cluster] = settings

    def suspect(self) -> None:
        """The clock jumped or the network changed: no wire is trusted until it answers."""
        if self._wires is not None:
            self._wires.suspect()

    def reachable(self) -> None:
        """Somebody got through to the clusters' API servers: whatever waits for that tries now."""
        if self._wires is not None:
            self._wires.reachable()
        for route in self._routes.values():
            route.try_now()

    def probe(self, address: DialSpec, patience: float, done: Answered) -> None:
        """Whether the address takes connections now; see ``Probe``."""
        Probe(self.loop, patience, done).start(lambda dialled: self._dial(address, dialled))

    def close(self, listener: str, how: How) -> None:
        """Reset a listener's connections, or (Drain) only those that still wait for a target."""
        route = self._routes.get(listener)
        if route is not None:
            if how == "Reset":
                route.reset("closed by request")
            else:
                route.reset_waiting("closed by request")

    def counters(self) -> dict[str, ListenerCounters]:
        """By listener; may be called from another thread."""
        return {name: route.counters() for name, route in list(self._routes.items())}

    def stop(self, drain: float, done: Callable[[], None]) -> None:
        """Accept no more; when all has ended, or after ``drain`` seconds by force, call ``done``.

        A second call, with less patience, is welcome.
        """
        self._listeners.close()
        for route in self._routes.values():
            route.reset_waiting("ferry stops")
        self._drain_until(self.loop.now() + drain, done)

    def _tell(self, bind: Bind, why: DialFailure | None, over: bool) -> None:
        """Somebody could not be taken at this address, or it is over: nobody else will come."""
        name = self._binds.get(bind, "")
        if why is not None:
            self._emit(DialFailed(name, 0, str(bind.address), why.kind, why.message, final=True))
        if over:
            self._emit(Exhausted(name))

    def _drain_until(self, deadline: float, done: Callable[[], None]) -> None:
        if any(route.busy for route in self._routes.values()):
            if self.loop.now() < deadline:
                self.loop.call_later(0.02, lambda: self._drain_until(deadline, done))
                return
            for route in self._routes.values():
                route.reset("ferry stops")
        if self._dialler.busy:
            self.loop.call_later(0.02, lambda: self._drain_until(deadline, done))
            return
        if self._wires is not None:
            self._wires.close()
            self._wires = None
        self._pipes.close()
        if self._observer is not None:
            self._observer.close(done)
        else:
            done()

    def _route(self, name: str) -> Route:
        route = self._routes.get(name)
        if route is None:
            route = Route(name, self.loop, self._pipes, self._dial, self._emit, self._chance)
            route.observer = self._observer
            self._routes[name] = route
        return route

    def _dial(self, spec: DialSpec, done: Dialled) -> Dial:
        if not isinstance(spec, PodAddress):
            return self._dialler.dial(spec, done)
        if spec.cluster not in self._clusters:
            message = f"no such cluster: {spec.cluster}"
            done(DialFailure("unavailable", message, delivered=False))
            return _Over()
        return self._load_wires().dial(spec, done)

    def _forget(self, uid: str) -> None:
        """A pod that drained is gone from the cluster, and its wires will never say so."""
        known = (e for route in self._routes.values() for e in route.endpoints)
        if any(isinstance(e.dial, PodAddress) and e.dial.uid == uid for e in known):
            return  # somebody still knows it
        if self._wires is not None:
            self._wires.forget(uid)

    def _load_wires(self) -> Wires:
        """The wires, which take their time to import: at the first dial, or soon after start."""
        if self._wires is None:
            from ferryman.dataplane.wires import Wires

            self._wires = Wires(self.loop, self._emit)
            for settings in self._clusters.values():
                self._wires.cluster(settings)
        return self._wires


def _draining(endpoints: Iterable[Endpoint]) -> set[str]:
    """The UIDs of the pods that are going away."""
    return {
        e.dial.uid for e in endpoints if e.state == "Draining" and isinstance(e.dial, PodAddress)
    }


def _nothing() -> None:
    """Nobody waits for it."""


class _Over:
    """A dial that has failed already."""

    def cancel(self) -> None:
        """Nothing is under way."""
