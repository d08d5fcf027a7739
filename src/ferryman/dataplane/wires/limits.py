"""How many wires there may be and how long they last; pure, and read by ``pool`` only.

A wire costs its node 9 descriptors and 0.7 MiB, and two cores open at most 145 a second (measured
on Kubernetes 1.36 with containerd 2.4): hence the care.
"""

from __future__ import annotations

from dataclasses import dataclass

_WHOLE = 1.0 - 1e-6  # a token that came back at ``ready_at``, less what floats lose


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts, and times in seconds; those of DESIGN.md."""

    pod_wires: int = 16
    cluster_wires: int = 64
    handshakes: int = 8
    """Under way at once."""
    burst: int = 16
    rate: float = 20.0
    """Handshakes a second once the burst is used up."""
    live: int = 8
    """Connections whose client is there, on a wire that is shared."""
    lingering: int = 400
    """Connections whose client is gone, on one wire; a node ends each within a second."""
    patience: float = 0.25
    """How long a dial waits for a wire of its own before it shares one."""
    idle: float = 60.0
    warm: float = 300.0
    """How long after its last use a pod keeps a spare wire."""
    age: float = 3600.0
    spread: float = 0.2
    """The share of ``age`` by which wires differ, so that they do not all end at once."""
    dials: int = 1024
    """Waiting at once for a wire to this cluster."""
    dial_timeout: float = 30.0
    spare_backoff: float = 10.0
    """After a failed handshake, before another spare is tried."""
    first_wait: float = 0.1
    """After two handshakes in a row that did not even reach the API server; doubled with each."""
    longest_wait: float = 2.0


class Bucket:
    """Tokens that come back at a rate, up to a burst."""

    __slots__ = ("_burst", "_rate", "_since", "_tokens")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._since = 0.0

    def take(self, now: float) -> bool:
        """Take one token if there is one."""
        self._refill(now)
        if self._tokens < _WHOLE:
            return False
        self._tokens -= 1.0
        return True

    def ready_at(self, now: float) -> float:
        """When there will be a token; ``now`` if there is one."""
        self._refill(now)
        return now if self._tokens >= _WHOLE else now + (1.0 - self._tokens) / self._rate

    def _refill(self, now: float) -> None:
        passed = max(0.0, now - self._since)
        self._tokens = min(float(self._burst), self._tokens + passed * self._rate)
        self._since = now
