"""Which wire a new connection takes, when to open another and when to close one; pure.

One ``Pool`` holds the wires to the pods of one cluster, keyed by pod UID because a wire outlives
its pod and is of no use to a successor of the same name. A wire carries one *live* connection and
any number of *lingering* ones: their client has said its last word or is gone, and the node ends
the pair about a second later. So a wire is free again at once.

The owner (``cluster``) reports what happened, then calls ``decide`` and acts on what comes back;
``wake`` says when to call it again though nothing happened. Sharing a wire is the last resort,
because one client that does not read would stall its neighbours (``wire`` says what is done then).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Literal

from ferryman.dataplane.wires.actions import Action, Assign, Close, Counts, Open, Refuse
from ferryman.dataplane.wires.books import NEVER, PodBook, WireBook
from ferryman.dataplane.wires.limits import Bucket, Limits

_MANY_SECONDS = 30.0  # the longest that a server's Retry-After is obeyed


class Pool:
    """``draw`` gives numbers in [0, 1): it spreads the ages at which wires retire."""

    def __init__(
        self, limits: Limits | None = None, draw: Callable[[], float] = random.random
    ) -> None:
        self.limits = limits or Limits()
        self.per_dial = False
        """Wires cannot be kept for later: each is opened for one dial (v4 channels)."""
        self._draw = draw
        self._bucket = Bucket(self.limits.rate, self.limits.burst)
        self._pods: dict[str, PodBook] = {}
        self._wires: dict[int, WireBook] = {}
        self._dials: dict[int, PodBook] = {}
        self._opening = 0
        self._busy_until = 0.0  # as the server asked
        self._retry_at = 0.0  # as we decided
        self._unreached = 0  # handshakes in a row that did not even reach the server
        self._next = 1
        self._actions: list[Action] = []

    # -- what happened --

    def dial(self, dial: int, pod: str, now: float) -> None:
        """A connection to a pod is wanted. One that drained is taken to be well again: nobody
        chooses a pod that is going away.
        """
        found = self._pods.get(pod)
        if found is None:
            found = self._pods[pod] = PodBook(pod, now)
        found.draining = False
        if len(self._dials) >= self.limits.dials:
            self._actions.append(Refuse(dial, "full"))
        else:
            found.used = now
            found.waiting[dial] = now
            self._dials[dial] = found

    def cancel(self, dial: int) -> None:
        """Nobody wants it any more; a dial that is not waiting is ignored."""
        pod = self._dials.pop(dial, None)
        if pod is None:
            return
        del pod.waiting[dial]
        for wire in [w for w in pod.wires.values() if w.dial == dial]:
            self._close(wire)

    def opened(
        self, wire: int, now: float, expires: float = NEVER, *, shareable: bool = True
    ) -> None:
        """A handshake is done, with a credential that ``expires`` then.

        One that is not ``shareable`` (v4) must have been opened for a dial, and is its alone.
        """
        self.per_dial = not shareable
        found = self._wires[wire]
        found.open = True
        found.pod.failing = False
        self._unreached = 0
        self._opening -= 1
        found.used = now
        age = self.limits.age * (1 + self.limits.spread * (2 * self._draw() - 1))
        found.retires = min(now + age, expires)
        if found.dial is not None:
            found.pod.waiting.pop(found.dial)
            del self._dials[found.dial]
            self._assign(found.dial, found, now)
            if shareable:
                found.dial = None

    def failed(self, wire: int, now: float) -> None:
        """A handshake failed. No other is begun until those under way are done; if none succeeds,
        those who wait share what there is, and the rest are refused.
        """
        found = self._remove(wire)
        if found is None:
            return
        pod = found.pod
        pod.spare_after = now + self.limits.spare_backoff
        if found.dial in self._dials:
            self._refuse(found.dial, "failed")
        else:
            pod.failing = any(not w.open for w in pod.wires.values())
            pod.failed = not pod.failing

    def unreached(self, wire: int, now: float) -> None:
        """A handshake failed before it came to the pod: no other would fare better. They are tried
        one at a time, and less and less often, however many wait.
        """
        if wire in self._wires:
            if self._unreached:  # once may be chance
                wait = self.limits.first_wait * 2 ** min(self._unreached - 1, 16)
                wait = min(wait, self.limits.longest_wait)
                self._retry_at = now + wait * (0.5 + self._draw() / 2)
            self._unreached += 1
        self.failed(wire, now)

    def reachable(self) -> None:
        """Somebody else got through to the server: there is no reason to wait."""
        self._retry_at = 0.0
        self._unreached = 0
        for pod in self._pods.values():
            pod.spare_after = 0.0

    def doubts(self, wire: int, *, doubted: bool) -> None:
        """An open wire may be dead: nothing new on it, until it has answered."""
        found = self._wires.get(wire)
        if found is not None:
            found.doubted = doubted

    def busy(self, wire: int, now: float, wait: float) -> None:
        """A handshake was put off (429, 503) for ``wait`` seconds, and with it all others; then
        they are tried one at a time.
        """
        self._unreached = max(self._unreached, 1)
        self._remove(wire)
        self._busy_until = max(self._busy_until, now + min(max(wait, 1.0), _MANY_SECONDS))

    def withdrawn(self, wire: int, *, per_dial: bool) -> None:
        """A handshake came to nothing, but nothing failed: decide anew."""
        self.per_dial = per_dial
        self._remove(wire)

    def retire(self, now: float) -> None:
        """Nothing new on any wire that there is: the way to the cluster has changed."""
        for wire in list(self._wires.values()):
            wire.retires = now
            if not wire.open:
                self._close(wire)

    def lost(self, wire: int) -> None:
        """An open wire ended, with all it carried."""
        self._remove(wire)

    def lingers(self, wire: int) -> None:
        """A live connection's client has said its last word, or is gone."""
        found = self._wires.get(wire)
        if found is not None:
            found.live -= 1
            found.lingering += 1

    def revives(self, wire: int) -> None:
        """A lingering connection is still busy bringing bytes to its client."""
        found = self._wires.get(wire)
        if found is not None:
            found.lingering -= 1
            found.live += 1

    def stalls(self, wire: int, *, stalled: bool) -> None:
        """Its only client is slow, so that it is not read (or it is again): share it last."""
        found = self._wires.get(wire)
        if found is not None:
            found.stalled = stalled

    def ended(self, wire: int, now: float, *, lingered: bool) -> bool:
        """A connection is over on both sides. Whether that can change a decision."""
        found = self._wires.get(wire)
        if found is None:
            return False
        if lingered:
            found.lingering -= 1
        else:
            found.live -= 1
        found.used = now
        return found.idle or bool(self._dials)

    def drain(self, pod: str) -> None:
        """The pod is going away: nothing new on its wires, no spares."""
        found = self._pods.get(pod)
        if found is None:
            return
        found.draining = True
        for dial in list(found.waiting):
            self._refuse(dial, "draining")
        for wire in [w for w in found.wires.values() if not w.open]:
            self._close(wire)

    # -- what to do about it --

    def decide(self, now: float) -> list[Action]:
        """What to do, in this order; the pool takes it as done."""
        for pod in sorted(self._pods.values(), key=lambda p: p.oldest):
            if pod.waiting:
                self._time_out(pod, now)
                self._place(pod, now)
                self._open_for_waiting(pod, now)
            self._close_unused(pod, now)
            self._keep_spare(pod, now)
            pod.failed = False
            if not pod.wires and not pod.waiting:
                del self._pods[pod.uid]
        actions, self._actions = self._actions, []
        return actions

    def wake(self, now: float) -> float:
        """When to decide again even if nothing happens; NEVER if there is no need."""
        return min((t for pod in self._pods.values() for t in self._turns(pod, now)), default=NEVER)

    def knows(self, pod: str) -> bool:
        """Whether there are wires to the pod, or dials that wait for one."""
        return pod in self._pods

    def pod(self, wire: int) -> str:
        """The pod that a wire leads to; empty if there is no such wire."""
        found = self._wires.get(wire)
        return found.pod.uid if found is not None else ""

    def waits(self) -> bool:
        """Whether any dial waits: then ``wake`` may have changed."""
        return bool(self._dials)

    def counts(self) -> Counts:
        wires = list(self._wires.values())  # at once: another thread may ask
        return Counts(
            opening=self._opening,
            wires=len(self._wires) - self._opening,
            live=sum(w.live for w in wires),
            lingering=sum(w.lingering for w in wires),
            waiting=len(self._dials),
        )

    # -- placing dials --

    def _place(self, pod: PodBook, now: float) -> None:
        for dial, since in list(pod.waiting.items()):
            wire = self._own_wire(pod, now)
            if wire is None and self._must_share(pod, since, now):
                wire = self._shared_wire(pod, now)
            if wire is not None:
                del pod.waiting[dial]
                del self._dials[dial]
                for useless in [w for w in pod.wires.values() if w.dial == dial]:
                    self._close(useless)
                self._assign(dial, wire, now)
            elif pod.failed:
                self._refuse(dial, "failed")
            else:
                return  # nor is there one for those who came later

    def _assign(self, dial: int, wire: WireBook, now: float) -> None:
        wire.live += 1
        wire.used = wire.pod.used = now
        self._actions.append(Assign(dial, wire.number))

    def _own_wire(self, pod: PodBook, now: float) -> WireBook | None:
        """One without a live connection; rather one where nothing lingers either."""
        free = (w for w in self._takers(pod, now) if not w.live)
        return max(free, key=lambda w: (not w.lingering, w.used), default=None)

    def _shared_wire(self, pod: PodBook, now: float) -> WireBook | None:
        takers = (w for w in self._takers(pod, now) if w.live < self.limits.live)
        return min(takers, key=lambda w: (w.stalled, w.live, -w.used), default=None)

    def _takers(self, pod: PodBook, now: float) -> Iterator[WireBook]:
        limit = self.limits.lingering
        for wire in pod.wires.values():
            usable = wire.open and wire.dial is None and not wire.doubted
            if usable and now < wire.retires and wire.lingering < limit:
                yield wire

    def _must_share(self, pod: PodBook, since: float, now: float) -> bool:
        return (
            pod.failed
            or pod.failing
            or now < self._put_off
            or now >= since + self.limits.patience
            or self._full(pod)
        )

    @property
    def _put_off(self) -> float:
        """When the next handshake may begin."""
        return max(self._busy_until, self._retry_at)

    def _full(self, pod: PodBook) -> bool:
        if len(pod.wires) >= self.limits.pod_wires:
            return True
        return len(self._wires) >= self.limits.cluster_wires and self._least_used(pod) is None

    # -- opening --

    def _open_for_waiting(self, pod: PodBook, now: float) -> None:
        opening = {w.dial for w in pod.wires.values() if not w.open}
        if self.per_dial:
            for dial in [d for d in pod.waiting if d not in opening]:
                if not self._may_open(pod, now):
                    return
                self._open(pod, dial, now)
            return
        shortage = len(pod.waiting) - sum(not w.open for w in pod.wires.values())
        while shortage > 0 and self._may_open(pod, now):
            self._open(pod, None, now)
            shortage -= 1

    def _keep_spare(self, pod: PodBook, now: float) -> None:
        """One wire that waits for the next connection, once there was a first."""
        if self.per_dial or pod.draining or now < pod.spare_after or pod.waiting:
            return
        if now >= pod.used + self.limits.warm:
            return
        if any(not w.live for w in self._takers(pod, now)):
            return
        if any(not w.open for w in pod.wires.values()):
            return
        if len(self._wires) < self.limits.cluster_wires and self._may_open(pod, now):
            self._open(pod, None, now)

    def _may_open(self, pod: PodBook, now: float) -> bool:
        return (
            not pod.failing
            and now >= self._put_off
            and not (self._unreached and self._opening)
            and self._opening < self.limits.handshakes
            and not self._full(pod)
            and self._bucket.ready_at(now) <= now
        )

    def _open(self, pod: PodBook, dial: int | None, now: float) -> None:
        if len(self._wires) >= self.limits.cluster_wires:
            idle = self._least_used(pod)
            if idle is not None:
                self._close(idle)
        self._bucket.take(now)
        wire = WireBook(self._next, pod, dial, used=now)
        self._next += 1
        self._opening += 1
        self._wires[wire.number] = pod.wires[wire.number] = wire
        self._actions.append(Open(wire.number, pod.uid, dial))

    def _least_used(self, but: PodBook) -> WireBook | None:
        """An idle wire to another pod, which can make room."""
        idle = (w for w in self._wires.values() if w.idle and w.pod is not but)
        return min(idle, key=lambda w: w.used, default=None)

    # -- closing --

    def _close_unused(self, pod: PodBook, now: float) -> None:
        idle = [w for w in pod.wires.values() if w.idle]
        spare = self._spare(pod, now) if idle else None
        for wire in idle:
            if wire is spare:
                continue
            if pod.draining or now >= min(wire.retires, wire.used + self.limits.idle):
                self._close(wire)

    def _spare(self, pod: PodBook, now: float) -> WireBook | None:
        """The idle wire that is kept beyond its time, because the pod was used of late."""
        if pod.draining or now >= pod.used + self.limits.warm:
            return None
        idle = (w for w in pod.wires.values() if w.idle and now < w.retires and w.dial is None)
        return max(idle, key=lambda w: w.retires, default=None)

    def _close(self, wire: WireBook) -> None:
        self._remove(wire.number)
        self._actions.append(Close(wire.number))

    def _remove(self, number: int) -> WireBook | None:
        wire = self._wires.pop(number, None)
        if wire is not None:
            del wire.pod.wires[number]
            self._opening -= not wire.open
            wire.pod.failing &= any(not w.open for w in wire.pod.wires.values())
        return wire

    def _refuse(self, dial: int, why: Literal["failed", "draining", "timeout"]) -> None:
        self.cancel(dial)
        self._actions.append(Refuse(dial, why))

    def _time_out(self, pod: PodBook, now: float) -> None:
        for dial, since in list(pod.waiting.items()):
            if now < since + self.limits.dial_timeout:
                return
            self._refuse(dial, "timeout")

    # -- time --

    def _turns(self, pod: PodBook, now: float) -> Iterator[float]:
        """When this pod's decisions may turn."""
        if pod.waiting:
            yield pod.oldest + self.limits.dial_timeout
            if now < pod.oldest + self.limits.patience:
                yield pod.oldest + self.limits.patience
            if now < self._put_off:
                yield self._put_off
            elif self._bucket.ready_at(now) > now:
                yield self._bucket.ready_at(now)
        spare = self._spare(pod, now)
        for wire in pod.wires.values():
            if wire.idle:
                kept = pod.used + self.limits.warm if wire is spare else wire.used
                yield min(wire.retires, max(kept, wire.used + self.limits.idle))
        if not pod.draining and now < pod.spare_after and now < pod.used + self.limits.warm:
            yield pod.spare_after
