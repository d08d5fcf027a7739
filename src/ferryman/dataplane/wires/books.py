"""What the pool knows about each pod and each wire; ``pool`` alone writes in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

NEVER = float("inf")


@dataclass(slots=True)
class PodBook:
    """One pod: its wires, and the dials that wait for one."""

    uid: str
    used: float
    wires: dict[int, WireBook] = field(default_factory=dict)
    waiting: dict[int, float] = field(default_factory=dict)  # dial -> since when, oldest first
    draining: bool = False
    failing: bool = False  # a handshake failed: those under way show whether that is the rule
    failed: bool = False  # it is: the last of them failed too, since the last decision
    spare_after: float = 0.0

    @property
    def oldest(self) -> float:
        return next(iter(self.waiting.values()), NEVER)


@dataclass(slots=True)
class WireBook:
    """One wire, or (not ``open``) a handshake; ``dial`` is whose alone it is (v4)."""

    number: int
    pod: PodBook
    dial: int | None
    open: bool = False
    live: int = 0
    lingering: int = 0
    stalled: bool = False
    doubted: bool = False  # nobody knows whether it still lives
    used: float = 0.0
    retires: float = NEVER

    @property
    def idle(self) -> bool:
        return self.open and not self.live and not self.lingering
