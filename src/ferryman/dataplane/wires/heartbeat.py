"""When to PING a wire, and when its silence means that it is lost; pure.

A server never says that a pod is gone or that a path became a black hole, so silence has to be
noticed. But silence is no loss while we do not read (our client is slow). And after much was sent
up it is only doubtful: a node whose pod does not read (somebody sits at a breakpoint) stops
reading the whole wire, PINGs included. ``wire`` sends the PINGs and reports what it hears.
"""

from __future__ import annotations

from typing import Literal

INTERVAL = 10.0
DEADLINE = 5.0
SWALLOWED = 256 * 1024
"""Bytes up since the last PONG that a node takes in even if the pod does not read."""


class Heartbeat:
    """Times are monotonic seconds."""

    __slots__ = ("_asked", "_next", "_paused", "_sent")

    def __init__(self, now: float) -> None:
        self._next = now + INTERVAL
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
            self._next = now + INTERVAL
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
        if self._asked is not None:
            self._asked = now

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
