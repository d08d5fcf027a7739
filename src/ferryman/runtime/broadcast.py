"""Tells one sequence of things to any number of readers, each at its own pace.

The writer never waits: a reader that falls too far behind misses what is newest then, and is told
how much (``gap``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

MOST = 4096


class Broadcast(Generic[T]):
    """On one event loop. ``gap`` makes what stands for so many things that a reader has missed."""

    def __init__(self, gap: Callable[[int], T], most: int = MOST) -> None:
        self._gap = gap
        self._most = most
        self._readers: set[_Reader[T]] = set()
        self._error: BaseException | None = None
        self._closed = False

    def tell(self, thing: T) -> None:
        """Say it to all who read now."""
        for reader in self._readers:
            if len(reader.queue) < self._most:
                reader.queue.append(thing)
            else:
                reader.missed += 1
            reader.news.set()

    def close(self, error: BaseException | None = None) -> None:
        """There will be no more: readers come to the end, or to the error. Idempotent."""
        self._closed, self._error = True, self._error or error
        for reader in self._readers:
            reader.news.set()

    def read(self) -> AsyncIterator[T]:
        """All that is told from now on."""
        reader = _Reader[T]()
        if not self._closed:
            self._readers.add(reader)
        return self._read(reader)

    async def _read(self, reader: _Reader[T]) -> AsyncIterator[T]:
        try:
            while True:
                while reader.queue:
                    yield reader.queue.popleft()
                if reader.missed:
                    missed, reader.missed = reader.missed, 0
                    yield self._gap(missed)
                elif self._closed:
                    break
                else:
                    reader.news.clear()
                    await reader.news.wait()
        finally:
            self._readers.discard(reader)
        if self._error is not None:
            raise self._error


class _Reader(Generic[T]):
    def __init__(self) -> None:
        self.queue: deque[T] = deque()
        self.missed = 0
        self.news = asyncio.Event()
