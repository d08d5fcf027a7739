"""What stands between clients and pods at present, as the data plane tells it: dials that fail,
credentials that are refused.

``plan`` puts it into the status. A dial's trouble is over with the next that succeeds, or when
nobody has tried for a while; a credential's when a wire has been opened again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ferryman.dataplane.contract import (
    ClusterReached,
    DialFailed,
    Event,
    NeedCredentials,
    Opened,
)

RENEWAL = 0.5
"""Seconds that getting another credential may take before status speaks of it."""
STALE = 10.0
"""Seconds without another attempt after which nobody knows whether it would fail again."""
_QUEUED = ("held", "full")
"""Failures that say nothing about reaching an endpoint."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the last dial of a listener failed: ``endpoint`` and ``kind`` as in ``DialFailed``."""

    endpoint: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class News:
    """What has to be looked at again: a listener's relay, or all of them after so many seconds."""

    listener: str = ""
    all_after: float | None = None


class Troubles:
    """``now`` is monotonic seconds everywhere."""

    def __init__(self) -> None:
        self._dials: dict[str, Trouble] = {}
        self._at: dict[str, float] = {}
        self._refused: dict[str, tuple[float, str]] = {}

    @property
    def dials(self) -> Mapping[str, Trouble]:
        """By listener."""
        return self._dials

    def note(self, event: Event, now: float) -> News | None:
        """Take note; None if nothing is different."""
        match event:
            case DialFailed(kind=kind) if kind not in _QUEUED:
                trouble = Trouble(event.endpoint, kind, event.message)
                self._at[event.listener] = now
                if self._dials.get(event.listener) == trouble:
                    return None
                self._dials[event.listener] = trouble
                return News(event.listener)
            case Opened() if self._dials.pop(event.listener, None) is not None:
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

    def forget(self, listeners: set[str]) -> None:
        """These are no more."""
        self._dials = {of: trouble for of, trouble in self._dials.items() if of not in listeners}

    def forget_stale(self, now: float) -> set[str]:
        """Drop what nobody has tried again; the listeners that it concerned."""
        stale = {of for of in self._dials if now - self._at.get(of, now) >= STALE}
        self.forget(stale)
        self._at = {of: at for of, at in self._at.items() if of in self._dials}
        return stale
