"""When a direction's bytes may pass under faults, and when they end it; pure.

A Course knows one direction of one connection: how many bytes have passed, how many have come, and
what time it is; never the bytes. ``valve`` asks it before each read of a flow, whatever the flow
reads from, so that faults hold for spliced flows and tunnels alike: what may not pass yet stays
with its sender. Times are in seconds; chance gives numbers from 0 to 1, seeded by whoever wants
the same again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import Protocol

from ferryman.faults import Fault
from ferryman.inspection.feed import Direction

Chance = Callable[[], float]

_SLOT = 0.02
"""Seconds between a rate's grants: 50 reads a second are smooth enough, and cheap."""
_LOOKS = 8
"""How often in the time of a latency to look whether more has come, while something is held: each
look dates what came since the last, so bytes are late by an eighth more at most."""
_BETWEEN_LOOKS = (0.001, 0.02)


@dataclass(frozen=True, slots=True)
class Pass:
    """So many bytes may be read now."""

    limit: int


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing may be read before that time; infinity: ever."""

    when: float


@dataclass(frozen=True, slots=True)
class Abort:
    """The connection ends now, as an RST."""

    why: str


Step = Pass | WaitUntil | Abort
MOST = 1 << 30
_FREE = Pass(MOST)


class Rule(Protocol):
    def step(self, passed: int, come: int, now: float) -> Step:
        """What may happen now that so many bytes have passed of those that have come."""
        ...


class Course:
    """All of a connection's faults in one direction; the strictest decides."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        self.arrivals = any(isinstance(rule, _Latency) for rule in self._rules)
        """Whether ``come`` matters; else it is one more than has passed."""
        self.ends = any(isinstance(rule, _Reset) for rule in self._rules)
        """Whether it may abort."""

    def step(self, passed: int, come: int, now: float) -> Step:
        """As in ``Rule``. ``come`` counts the end of the stream as a byte."""
        limit, when = MOST, now
        for rule in self._rules:
            match rule.step(passed, come, now):
                case Pass(allowed):
                    limit = min(limit, allowed)
                case WaitUntil(until):
                    when = max(when, until)
                case Abort() as abort:
                    return abort
        return WaitUntil(when) if when > now else Pass(limit)


def befall(faults: Iterable[Fault], chance: Chance) -> tuple[Fault, ...]:
    """Those that a connection has; the others spare it."""
    return tuple(fault for fault in faults if fault.share >= 1 or chance() < fault.share)


def course(faults: Iterable[Fault], direction: Direction, chance: Chance) -> Course | None:
    """What these do to one direction; None: nothing."""
    own = [f for f in faults if f.kind != "drop" and f.direction in (direction, "both")]
    return Course(_rule(fault, chance) for fault in own) if own else None


def _rule(fault: Fault, chance: Chance) -> Rule:
    match fault.kind:
        case "latency":
            return _Latency(fault.amount, fault.jitter, chance)
        case "rate":
            return _Rate(fault.amount)
        case "slice":
            return _Slice(int(fault.amount))
        case "stall":
            return _Stall(fault.after, fault.amount)
        case "blackhole":
            return _Stall(fault.after, inf)
    return _Reset(fault)


class _Latency:
    """Everything passes so much later than it came. Marks say when what had come may go."""

    def __init__(self, seconds: float, jitter: float, chance: Chance) -> None:
        self._seconds = seconds
        self._jitter = jitter
        self._chance = chance
        least, most = _BETWEEN_LOOKS
        self._look = min(max(seconds / _LOOKS, least), most)
        self._marks: deque[tuple[int, float]] = deque()
        self._seen = 0
        self._free = 0

    def step(self, passed: int, come: int, now: float) -> Step:
        if come > self._seen:
            delay = max(0.0, self._seconds + self._jitter * (2 * self._chance() - 1))
            last = self._marks[-1][1] if self._marks else now
            self._marks.append((come, max(last, now + delay)))  # nothing overtakes
            self._seen = come
        while self._marks and self._marks[0][1] <= now:
            self._free = self._marks.popleft()[0]
        if passed < self._free:
            return Pass(self._free - passed)
        return WaitUntil(min(self._marks[0][1], now + self._look)) if self._marks else _FREE


class _Rate:
    """A bucket of one slot's bytes, or one byte."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._size = max(1.0, rate * _SLOT)
        self._tokens = self._size
        self._passed = 0
        self._at: float | None = None

    def step(self, passed: int, come: int, now: float) -> Step:  # noqa: ARG002  a Rule
        since = 0.0 if self._at is None else now - self._at
        spent = passed - self._passed
        # Twice a slot's worth, so that a timer that comes late costs nothing.
        self._tokens = min(2 * self._size, self._tokens - spent + since * self._rate)
        self._passed, self._at = passed, now
        lack = self._size - self._tokens
        if lack > 1e-6:
            return WaitUntil(now + lack / self._rate)
        return Pass(max(1, int(self._tokens)))


class _Slice:
    """A few bytes at a time."""

    def __init__(self, size: int) -> None:
        self._pass = Pass(size)

    def step(self, passed: int, come: int, now: float) -> Step:  # noqa: ARG002  a Rule
        return self._pass


class _Stall:
    """At a certain byte, nothing for so long."""

    def __init__(self, after: int, seconds: float) -> None:
        self._after = after
        self._seconds = seconds
        self._until: float | None = None

    def step(self, passed: int, come: int, now: float) -> Step:  # noqa: ARG002  a Rule
        if passed < self._after:
            return Pass(self._after - passed)
        if self._until is None:
            self._until = now + self._seconds
        return _FREE if now >= self._until else WaitUntil(self._until)


class _Reset:
    """At a certain byte, the end."""

    def __init__(self, fault: Fault) -> None:
        self._after = fault.after
        self._why = f"a fault: {fault}"

    def step(self, passed: int, come: int, now: float) -> Step:  # noqa: ARG002  a Rule
        return Pass(self._after - passed) if passed < self._after else Abort(self._why)
