"""The last changes of one kind, which watches follow and old pages of a list are made from.

It is a ring: a watch keeps nothing but its place in it, so that a slow watcher costs no memory;
it loses its watch (Expired) once the ring has overtaken it, and lists again. ``memory`` appends.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right

from msgspec import Struct

from ferryman.api.resource import Name, Object
from ferryman.api.status import Expired


class Change(Struct, frozen=True):
    """One write; ``old`` is None for a creation, ``new`` for a deletion. Never mutated."""

    version: int
    name: Name
    old: Object | None
    new: Object | None


class History:
    """The last ``size`` changes, in order of version; each has a place, counted from 0."""

    def __init__(self, size: int, version: int) -> None:
        self._size = size
        self._ring: list[Change] = []
        self._floor = version
        self._changed = asyncio.Event()
        self.end = 0
        """The place of the next change."""

    def append(self, change: Change) -> None:
        """Keep a change and wake those who wait for it."""
        if self.end < self._size:
            self._ring.append(change)
        else:
            self._floor = self._ring[self.end % self._size].version
            self._ring[self.end % self._size] = change
        self.end += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def after(self, version: int) -> int:
        """The place of the first change after a version; Expired if some are forgotten."""
        if version < self._floor:
            raise Expired(f"too old resource version: {version} ({self._floor})")
        places = range(max(0, self.end - self._size), self.end)
        found = bisect_right(places, version, key=lambda at: self._ring[at % self._size].version)
        return places.start + found

    def __getitem__(self, place: int) -> Change:
        """The change at a place below ``end``; Expired if it is forgotten."""
        if place < self.end - self._size:
            raise Expired("the watch was too slow: its changes are forgotten")
        return self._ring[place % self._size]

    async def beyond(self, place: int) -> None:
        """Return once there is a change at a place."""
        while self.end <= place:
            await self._changed.wait()
