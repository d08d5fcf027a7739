"""The wires to one cluster's pods: carries out what ``pool`` decides.

It gives handshakes, wires and dials their numbers in the pool, reports to it what happens to
them, and calls whoever waits. Nothing is decided here.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace

from msgspec import Struct

from ferryman.dataplane.contract import (
    ClusterReached,
    ClusterSettings,
    DialFailure,
    Dialled,
    Event,
    NeedCredentials,
    PodAddress,
    Traced,
    WireLost,
)
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.wires import actions
from ferryman.dataplane.wires.actions import Counts
from ferryman.dataplane.wires.books import NEVER
from ferryman.dataplane.wires.handshake import Handshake, Outcome, PortWanted, Unreached
from ferryman.dataplane.wires.heartbeat import Pace
from ferryman.dataplane.wires.link import Link
from ferryman.dataplane.wires.pool import Pool
from ferryman.dataplane.wires.wire import Wire
from ferryman.protocols.multiplex import Trace

_TEXTS = {
    "draining": "the pod is going away",
    "timeout": "no wire into the pod in time",
    "full": "too many connections wait for a wire",
    "failed": "no wire into the pod",
}


_STOPPED = "ferry stops"

HANGS = 1.0
"""Seconds after which a handshake that has come to nothing may hang."""


class _Asked(Struct):
    """A dial that waits for its wire."""

    address: PodAddress
    done: Dialled


class PodDial:
    """A dial under way; ``contract.Dial``."""

    __slots__ = ("_cluster", "_number")

    def __init__(self, cluster: Cluster, number: int) -> None:
        self._cluster = cluster
        self._number = number

    def cancel(self) -> None:
        self._cluster.cancel(self._number)


class Cluster:
    """Loop thread only. ``scratch`` is the buffer that all wires of the loop share."""

    def __init__(
        self,
        loop: Loop,
        settings: ClusterSettings,
        emit: Callable[[Event], None],
        scratch: memoryview,
        pool: Pool | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._loop = loop
        self._emit = emit
        self._wall = wall
        self._scratch = scratch
        self._link = Link(loop, settings, self._tell, wall)
        self._pace = Pace()
        self._trouble = False  # the last that was heard of the API server
        self._pool = pool or Pool()
        self._numbers = itertools.count(1)
        self._dials: dict[int, _Asked] = {}
        self._pods: dict[str, PodAddress] = {}  # by UID, while there is a dial or a wire
        self._handshakes: dict[int, Handshake] = {}
        self._wires: dict[int, Wire] = {}
        self._failures: dict[str, DialFailure] = {}  # the last, by pod
        self._timer: Timer | None = None
        self._deciding = False
        self._again = False
        self._closed = False
        self._evicted = 0

    def configure(self, settings: ClusterSettings) -> None:
        """New settings: a mere credential renews; another way there retires all wires."""
        old = self._link.settings
        blank = replace(settings, headers=old.headers, expires=old.expires)
        if blank == old:
            if (settings.headers, settings.expires) != (old.headers, old.expires):
                self._link.renew(settings.headers, settings.expires)
            return
        self._link = Link(self._loop, settings, self._tell, self._wall)
        self._pool.retire(self._loop.now())
        self._decide()

    def renew(self, headers: tuple[tuple[str, str], ...], expires: float | None) -> None:
        """The answer to NeedCredentials."""
        self._link.renew(headers, expires)

    def dial(self, address: PodAddress, done: Dialled) -> PodDial:
        """Open a connection to a pod's port; ``done`` may be called before this returns."""
        number = next(self._numbers)
        if self._closed:
            done(DialFailure("unavailable", _STOPPED, delivered=False))
            return PodDial(self, number)
        self._dials[number] = _Asked(address, done)
        self._pods[address.uid] = address
        self._pool.dial(number, address.uid, self._loop.now())
        self._decide()
        return PodDial(self, number)

    def cancel(self, number: int) -> None:
        """For PodDial."""
        if self._dials.pop(number, None) is not None:
            self._pool.cancel(number)
            self._decide()

    def drain(self, uid: str) -> None:
        """The pod is going away: what is open stays, nothing new."""
        self._pool.drain(uid)
        self._decide()

    def forget(self, uid: str) -> None:
        """The pod is gone: end its wires with all that is open on them."""
        self._pool.drain(uid)
        for wire in [w for n, w in self._wires.items() if self._pool.pod(n) == uid]:
            self._pool.lost(wire.number)
            del self._wires[wire.number]
            wire.close("the pod is gone")
        self._decide()

    def suspect(self) -> None:
        """The clock jumped: every wire has to answer now. Nobody waits for that, nor for
        handshakes from before.
        """
        for wire in list(self._wires.values()):
            wire.suspect()
        self._begin_anew(list(self._handshakes))
        self._decide()

    def reachable(self) -> None:
        """Somebody else got through to the API server: try what was put off, and anew what hangs
        since before (a SYN that got lost is said again late).
        """
        self._pool.reachable()
        before = self._loop.now() - HANGS
        self._begin_anew([n for n, h in self._handshakes.items() if h.began < before])
        self._decide()

    def counts(self) -> Counts:
        """What there is; may be called from another thread."""
        return replace(self._pool.counts(), evicted=self._evicted)

    def close(self) -> None:
        """End everything; dials that wait fail."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for handshake in self._handshakes.values():
            handshake.cancel()
        self._handshakes.clear()
        wires, self._wires = self._wires, {}
        for wire in wires.values():
            wire.close()
        for number in list(self._dials):
            self._refuse(number, DialFailure("unavailable", _STOPPED, delivered=False))

    # -- Keeper: what wires tell --

    def lingers(self, wire: Wire) -> None:
        self._pool.lingers(wire.number)
        self._decide_if_waiting()

    def revives(self, wire: Wire) -> None:
        self._pool.revives(wire.number)

    def stalls(self, wire: Wire, *, stalled: bool) -> None:
        self._pool.stalls(wire.number, stalled=stalled)

    def evicted(self, wire: Wire) -> None:  # noqa: ARG002  only counted; the stream says why
        self._evicted += 1

    def ended(self, wire: Wire, *, lingered: bool) -> None:
        if not wire.half_closes:  # v4: nothing else can be done with it
            self._pool.lost(wire.number)
            self._wires.pop(wire.number, None)
            wire.close()
        elif not self._pool.ended(wire.number, self._loop.now(), lingered=lingered):
            return  # under load nearly always
        self._decide()

    def doubts(self, wire: Wire) -> None:
        self._pool.doubts(wire.number, doubted=True)

    def trusts(self, wire: Wire) -> None:
        self._pool.doubts(wire.number, doubted=False)
        self._decide_if_waiting()

    def lost(self, wire: Wire, why: str, *, clean: bool, silent: float | None) -> None:
        self._wires.pop(wire.number, None)
        self._pool.lost(wire.number)
        if wire.trace is not None:
            wire.trace(f"the wire is lost: {why}")
        if silent is not None:
            self._pace.closed(self._loop.now(), silent)
        if not clean:
            self._trouble = True
            self._emit(WireLost(self._link.settings.key, wire.pod, why, dead=silent is None))
        self._decide()

    # -- carrying out --

    def _tell(self, event: Event) -> None:
        """What the link has to say; a wire that comes after it ends that trouble too."""
        if isinstance(event, NeedCredentials):
            self._trouble = True
        self._emit(event)

    def _begin_anew(self, handshakes: list[int]) -> None:
        for number in handshakes:
            self._handshakes.pop(number).cancel()
            self._pool.withdrawn(number, per_dial=self._pool.per_dial)

    def _decide_if_waiting(self) -> None:
        if self._pool.waits():
            self._decide()

    def _decide(self) -> None:
        """Carry out what the pool decides. Whoever is called may cause the next decision, which
        then has to wait for this one.
        """
        self._again = True
        if self._deciding or self._closed:
            return
        self._deciding = True
        while self._again and not self._closed:
            self._again = False
            for action in self._pool.decide(self._loop.now()):
                self._carry_out(action)
        self._deciding = False
        self._arm()

    def _carry_out(self, action: actions.Action) -> None:
        match action:
            case actions.Open(wire, pod, dial):
                self._open(wire, self._pods[pod], dial)
            case actions.Assign(dial, wire):
                self._assign(dial, wire)
            case actions.Close(wire):
                self._close_wire(wire)
            case actions.Refuse(dial, why):
                asked = self._dials.get(dial)
                failure = self._failures.get(asked.address.uid) if asked is not None else None
                if failure is None or why in ("draining", "full"):
                    kind = "timeout" if why == "timeout" else "unavailable"
                    failure = DialFailure(kind, _TEXTS[why], delivered=False)
                self._refuse(dial, failure)

    def _open(self, number: int, pod: PodAddress, dial: int | None) -> None:
        asked = self._dials.get(dial) if dial is not None else None
        port = asked.address.port if asked is not None else None
        trace = self._tracer(number, pod)
        handshake = Handshake(self._link, pod, port, lambda o: self._opened(number, pod, o), trace)
        self._handshakes[number] = handshake
        handshake.start()

    def _tracer(self, number: int, pod: PodAddress) -> Trace | None:
        """Who is told what happens on a wire, if anybody is."""
        key, loop, emit = self._link.settings.key, self._loop, self._emit
        if not self._link.settings.trace:
            return None
        return lambda text: emit(Traced(key, pod.name, number, loop.now(), text))

    def _opened(self, number: int, pod: PodAddress, outcome: Outcome) -> None:
        del self._handshakes[number]
        now = self._loop.now()
        if isinstance(outcome, PortWanted):
            self._pool.withdrawn(number, per_dial=True)
        elif isinstance(outcome, Unreached):
            self._failures[pod.uid] = outcome.failure
            self._trouble = True
            self._pool.unreached(number, now)
        elif isinstance(outcome, DialFailure):
            self._failures[pod.uid] = outcome
            if outcome.wait:
                self._trouble = True
                self._pool.busy(number, now, outcome.wait)
            else:
                self._pool.failed(number, now)
        else:
            self._failures.pop(pod.uid, None)
            outcome.wire.trace = self._tracer(number, pod)
            wire = Wire(
                number,
                pod.name,
                self._loop,
                outcome.transport,
                outcome.wire,
                self._scratch,
                self,
                self._pace,
            )
            self._wires[number] = wire
            self._pool.opened(number, now, self._link.expires, shareable=outcome.shareable)
            if self._trouble:
                self._trouble = False
                self._emit(ClusterReached(self._link.settings.key))
            self._decide()
            wire.begin(outcome.events)  # v4's may be for the stream that was just opened
            return
        self._decide()

    def _assign(self, dial: int, number: int) -> None:
        asked, wire = self._dials.pop(dial, None), self._wires[number]
        if asked is None:
            return
        asked.done(wire.open(asked.address.port))

    def _close_wire(self, number: int) -> None:
        handshake = self._handshakes.pop(number, None)
        if handshake is not None:
            handshake.cancel()
        wire = self._wires.pop(number, None)
        if wire is not None:
            wire.close()

    def _refuse(self, dial: int, failure: DialFailure) -> None:
        asked = self._dials.pop(dial, None)
        if asked is not None:
            asked.done(failure)

    def _arm(self) -> None:
        """Decide again when time alone changes something. While nothing waits, a timer that is
        there is soon enough: it only asks when to come again.
        """
        if self._timer is not None and self._timer.call is not None and not self._pool.waits():
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._forget_pods()
        when = self._pool.wake(self._loop.now())
        if when != NEVER and not self._closed:
            self._timer = self._loop.call_at(when, self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._decide()

    def _forget_pods(self) -> None:
        for uid in [uid for uid in self._pods if not self._pool.knows(uid)]:
            del self._pods[uid]
            self._failures.pop(uid, None)
