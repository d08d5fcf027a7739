"""Readiness for sides that no descriptor speaks for: datagrams in a queue, records in a buffer.

A side says what is possible now (``_possible``); this tells whoever wants that, level-triggered
and in a later turn of the loop, as a descriptor's readiness is told.
"""

from __future__ import annotations

from ferryman.dataplane.contract import HANGUP, READ, WRITE, ReadyCallback
from ferryman.dataplane.loop import Loop


class Emulated:
    """Base of such a side. Call ``_news`` when something became possible."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._on_ready: ReadyCallback | None = None
        self._wanted = 0
        self._told_end = False
        self._due = False

    def attach(self, on_ready: ReadyCallback) -> None:
        self._on_ready = on_ready
        self._told_end = False

    def want(self, mask: int) -> None:
        self._wanted = mask
        self._news()

    def _possible(self) -> int:
        """Of READ, WRITE and HANGUP, what would not wait now; 0 once it is closed."""
        raise NotImplementedError

    def _news(self) -> None:
        if not self._due and self._due_mask():
            self._due = True
            self._loop.call_soon(self._tell)

    def _due_mask(self) -> int:
        mask = self._possible() & (self._wanted | HANGUP)
        if self._told_end or mask & READ:  # an end is read before it is told
            mask &= READ | WRITE
        return mask

    def _tell(self) -> None:
        self._due = False
        mask = self._due_mask()
        if not mask or self._on_ready is None:
            return
        self._told_end = self._told_end or bool(mask & HANGUP)  # once: it cannot be masked
        self._on_ready(mask)
        self._news()
