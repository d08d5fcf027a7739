"""What stands between clients and pods at present, as the data plane tells it: dials that fail,
credentials that are refused.

``plan`` puts it into the status. A dial's trouble is over with the next that succeeds, a client's
or a probe's (``probing``); a credential's when a wire has been opened again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct

from ferryman.dataplane.contract import (
    ClusterReached,
    DialFailed,
    DialFailure,
    Event,
    NeedCredentials,
    Opened,
)

RENEWAL = 0.5
"""Seconds that getting another credential may take before status speaks of it."""
OFTEN, SELDOM = 0.5, 10.0
"""Seconds between two probes: while somebody surely waits for the port, and later, when it is as
often as a kubelet probes by default."""
AWAITED, FORGOTTEN = 60.0, 600.0
"""Seconds since a client tried: as long as it is awaited, and when nobody wants to know any more.
A node logs each refusal."""
ACCEPTED = 0.35
"""Seconds without a refusal that prove a port open; longer where refusals have taken longer."""
_QUEUED = ("held", "full")
"""Failures that say nothing about reaching an endpoint."""


class Trouble(Struct, frozen=True):
    """Why the last dial of a listener failed: ``endpoint`` and ``kind`` as in ``DialFailed``."""

    endpoint: str
    kind: str
    message: str


class News(Struct, frozen=True):
    """What has to be looked at again: a listener's relay, or all of them after so many seconds."""

    listener: str = ""
    all_after: float | None = None


class _Times(Struct):
    """Of one listener's trouble: when a client tried, when anybody did, how long it took."""

    client: float
    last: float
    took: float


class Troubles:
    """``now`` is monotonic seconds everywhere."""

    def __init__(self) -> None:
        self._dials: dict[str, Trouble] = {}
        self._times: dict[str, _Times] = {}
        self._refused: dict[str, tuple[float, str]] = {}
        self._no_credential: dict[str, str] = {}

    @property
    def dials(self) -> Mapping[str, Trouble]:
        """By listener."""
        return MappingProxyType(self._dials)

    def note(self, event: Event, now: float) -> News | None:
        """Take note; None if nothing is different."""
        match event:
            case DialFailed(kind=kind) if kind not in _QUEUED:
                trouble = Trouble(event.endpoint, kind, event.message)
                self._times[event.listener] = _Times(now, now, event.seconds)
                if self._dials.get(event.listener) == trouble:
                    return None
                self._dials[event.listener] = trouble
                return News(event.listener)
            case Opened() if event.listener in self._dials:
                self.forget([event.listener])
                return News(event.listener)
            case NeedCredentials():
                self._refused[event.cluster] = (now, event.message)
                return News(all_after=RENEWAL)
            case ClusterReached() if self._refused.pop(event.cluster, None) is not None:
                return News(all_after=0.0)
        return None

    def refused_by(self, cluster: str, now: float) -> str:
        """Why a cluster does not accept our credential, if that has lasted for a while."""
        since, why = self._refused.get(cluster, (0.0, ""))
        return why if now - since >= RENEWAL else ""

    def no_credential(self, cluster: str) -> str:
        """Why there is no other credential than one that a cluster does not accept."""
        return self._no_credential.get(cluster, "")

    def note_credential(self, cluster: str, failure: str) -> bool:
        """Somebody tried to get another credential, in vain unless ``failure`` is empty; whether
        anything is different.
        """
        before = self.no_credential(cluster)
        self._no_credential[cluster] = failure
        return failure != before

    def due(self, listener: str, now: float) -> float | None:
        """Seconds until a probe is to tell whether it is still so, at least 0; None if nobody
        wants to know.
        """
        times = self._times.get(listener)
        if times is None or now - times.client >= FORGOTTEN:
            return None
        every = OFTEN if now - times.client < AWAITED else SELDOM
        return max(0.0, times.last + every - now)

    def patience(self, listener: str) -> float:
        """Seconds without a refusal after which a probe has got through."""
        times = self._times.get(listener)
        return max(ACCEPTED, 3 * times.took if times is not None else 0.0)

    def waited_for(self, listener: str, now: float) -> None:
        """A client waits: it dials again by itself, and no probe is needed."""
        if times := self._times.get(listener):
            times.last = now

    def probed(
        self, listener: str, trouble: Trouble, failure: DialFailure | None, now: float
    ) -> bool:
        """What came of a probe that was sent for a trouble; whether anything is different."""
        if self._dials.get(listener) != trouble:
            return False  # clients know better by now
        if failure is None:
            self.forget([listener])
            return True
        self._times[listener].last = now
        if failure.kind == trouble.kind:
            return False
        self._dials[listener] = Trouble(trouble.endpoint, failure.kind, failure.message)
        return True

    def forget(self, listeners: Iterable[str]) -> None:
        """All is well with these, or they are no more."""
        for listener in listeners:
            self._dials.pop(listener, None)
            self._times.pop(listener, None)
