"""Finds out whether what was refused is refused still, when no client tries any more.

Without it a forward would go on to say that a port refuses, long after the program there has
started. For each listener with a trouble (``troubles`` says when to ask) one task asks the data
plane to dial, until it gets through or nobody wants to know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from ferryman.controllers.relay.troubles import Troubles
from ferryman.dataplane.contract import DialFailure, DialSpec, Endpoint, ListenerCounters
from ferryman.errors import Unavailable
from ferryman.runtime.clock import Clock
from ferryman.runtime.tasks import Tasks


class Probes(Protocol):
    """The part of the data plane that is asked."""

    async def probe(self, address: DialSpec, patience: float) -> DialFailure | None: ...

    def counters(self) -> Mapping[str, ListenerCounters]: ...


class Probing:
    """``tasks`` runs the questions; ``changed`` is called with a listener when its trouble is over
    or another.
    """

    def __init__(
        self,
        dataplane: Probes,
        troubles: Troubles,
        clock: Clock,
        tasks: Tasks,
        changed: Callable[[str], None],
    ) -> None:
        self._dataplane = dataplane
        self._troubles = troubles
        self._clock = clock
        self._tasks = tasks
        self._changed = changed
        self._places: dict[str, Mapping[str, DialSpec]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    def look(self, listener: str, endpoints: Iterable[Endpoint]) -> None:
        """Where a listener leads now: a trouble with another place is none any more."""
        places = {e.id: e.dial for e in endpoints if e.state == "Active"}
        trouble = self._troubles.dials.get(listener)
        if trouble is None or trouble.endpoint not in places:
            self.forget([listener])
            return
        self._places[listener] = places
        if listener not in self._asking:
            asking = self._tasks.start(self._ask(listener), f"probing for {listener}")
            self._asking[listener] = asking

    def forget(self, listeners: Iterable[str]) -> None:
        """These have no trouble, or are no more."""
        for listener in listeners:
            self._troubles.forget([listener])
            self._places.pop(listener, None)
            if asking := self._asking.pop(listener, None):
                asking.cancel()

    async def _ask(self, listener: str) -> None:
        while (trouble := self._troubles.dials.get(listener)) is not None:
            address = self._places[listener].get(trouble.endpoint)
            now = self._clock.monotonic()
            wait = self._troubles.due(listener, now)
            if wait is None or address is None:
                break
            if wait > 0:
                await self._clock.sleep(wait)
                continue
            counted = self._dataplane.counters().get(listener)
            if counted is not None and counted.held:
                self._troubles.waited_for(listener, now)
                continue
            try:
                failure = await self._dataplane.probe(address, self._troubles.patience(listener))
            except Unavailable:
                break  # the data plane has stopped
            if self._troubles.probed(listener, trouble, failure, self._clock.monotonic()):
                self._changed(listener)
        self._asking.pop(listener, None)
        self._troubles.forget([listener])
        self._changed(listener)
