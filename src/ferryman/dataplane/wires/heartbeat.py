"""When to PING a wire, and when its silence means that it is lost; pure.

A server never says that a pod is gone or that a path became a black hole, so silence has to be
noticed. But silence is no loss while we do not read (our client is slow). And after much was sent
up it is only doubtful: a node whose pod does not read (somebody sits at a breakpoint) stops
reading the whole wire, PINGs included. ``wire`` sends the PINGs and reports what it hears.
"""

from __future__ import annotations

from typing import Literal

INTERVAL = 10.0
SHORTEST = 1.0
DEADLINE = 5.0
SWALLOWED = 256 * 1024
"""Bytes up since the last PONG that a node takes in even if the pod does not read."""
_ALIKE = 0.5  # seconds by which two silences may differ that one and the same box has ended
_APART = 1.0  # seconds between two losses that are no single event


class Pace:
    """How often the wires to one cluster are PINGed, in seconds: rather often where something on
    the way closes what is silent for some seconds. Proxies do, and then idle connections would end.
    """

    __slots__ = ("_last", "interval")

    def __init__(self) -> None:
        self.interval = INTERVAL
        self._last: tuple[float, float] | None = None

    def closed(self, now: float, silence: float) -> None:
        """A wire was closed from afar after so much silence. Twice the same is no chance."""
        last, self._last = self._last, (now, silence)
        if last is None or silence < 2 * SHORTEST or silence > self.interval:
            return
        if now - last[0] >= _APART and abs(silence - last[1]) <= _ALIKE:
            self.interval = max(SHORTEST, min(self.interval, silence / 2))


class Heartbeat:
    """Times are monotonic seconds."""

    __slots__ = ("_asked", "_heard", "_next", "_pace", "_paused", "_sent")

    def __init__(self, now: float, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._heard = now
        self._next = now + self._pace.interval
        self._asked: float | None = None  # since when an answer is awaited
        self._paused = False
        self._sent = 0

    def due(self, now: float) -> Literal["ping", "lost", "doubtful"] | None:
        """What is to be done now; after "ping" the PING is taken as sent, after "doubtful" the
        deadline begins anew: ask the kernel whether the path still answers.
        """
        if self._paused:
            return None
        if self._asked is None:
            if now < self._next:
                return None
            self._asked = now
            self._next = now + self._pace.interval
            return "ping"
        if now < self._asked + DEADLINE:
            return None
        if self._sent <= SWALLOWED:
            return "lost"
        self._asked = now
        return "doubtful"

    def wake(self) -> float | None:
        """When to ask ``due`` again; None while paused."""
        if self._paused:
            return None
        return self._next if self._asked is None else self._asked + DEADLINE

    def heard(self, now: float) -> None:
        """Bytes came: the wire lives, though the answer may still be on its way."""
        self._heard = now
        if self._asked is not None:
            self._asked = now

    def silence(self, now: float) -> float:
        """Seconds since anything came."""
        return now - self._heard

    def answered(self) -> None:
        """The PONG came."""
        self._asked = None
        self._sent = 0

    def sent(self, count: int) -> None:
        """So many bytes went up."""
        self._sent += count

    def suspect(self, now: float) -> None:
        """The clock jumped, or the network changed: ask at once, and with a new deadline."""
        self._asked = None
        self._next = now

    def pause(self) -> None:
        """We stop reading: nothing can be heard."""
        self._paused = True

    def resume(self, now: float) -> None:
        """We read again: whatever was asked before may be answered from now on."""
        self._paused = False
        if self._asked is not None:
            self._asked = now
