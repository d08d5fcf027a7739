"""Listens where the claims say, for all relays at once.

``claims`` decides, the data plane binds; what came of it is kept here for ``plan`` to tell. An
address that could not be had is asked for again at every ``update``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from ferryman.controllers.relay.claims import Claimant, Claims, claims, keeping, relay_of
from ferryman.dataplane.contract import Applied, Bind, Bound, Listeners, NotBound


class Binds(Protocol):
    """The part of the data plane that binds."""

    async def apply(self, listeners: Listeners) -> Applied: ...


class Listening:
    """``listeners`` and ``applied`` are what the data plane was told last and what came of it."""

    def __init__(self, dataplane: Binds) -> None:
        self.listeners: Listeners = {}
        self.applied: Applied = {}
        self._dataplane = dataplane
        self._claims = Claims({})

    @property
    def lost(self) -> Mapping[str, Mapping[Bind, str]]:
        """What each listener may not have, and the relay that has it."""
        return self._claims.lost

    def failed(self, relay: str) -> bool:
        """Whether some address of the relay's could not be bound and perhaps can later."""
        return any(
            relay_of(listener) == relay and _may_come(self.applied.get(bind))
            for bind, listener in self.listeners.items()
        )

    async def update(self, relays: Iterable[Claimant]) -> set[str]:
        """Make it so; returns the relays for whom something changed.

        An address that moves is bound in its new place before it closes in its old one.
        """
        before = self._outcomes()
        self._claims = claims(relays)
        wanted = keeping(self._claims.won, self.listeners, self.applied)
        failed = any(_may_come(outcome) for outcome in self.applied.values())
        if wanted != self.listeners or failed:
            await self._apply(wanted)
            settled = keeping(self._claims.won, self.listeners, self.applied)
            if settled != wanted:
                await self._apply(settled)
        after = self._outcomes()
        names = {*before, *after}
        return {relay_of(name) for name in names if before.get(name) != after.get(name)}

    async def _apply(self, listeners: Listeners) -> None:
        self.applied = await self._dataplane.apply(listeners)
        self.listeners = dict(listeners)

    def _outcomes(self) -> dict[str, dict[Bind, Bound | NotBound | str | None]]:
        """What each listener has and has not."""
        found: dict[str, dict[Bind, Bound | NotBound | str | None]] = {}
        for bind, listener in self.listeners.items():
            found.setdefault(listener, {})[bind] = self.applied.get(bind)
        for listener, lost in self._claims.lost.items():
            found.setdefault(listener, {}).update(lost)
        return found


def _may_come(outcome: Bound | NotBound | None) -> bool:
    return isinstance(outcome, NotBound) and not outcome.absent
