"""How long to wait before trying again: exponential, jittered, capped; pure arithmetic."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Waits of 50 ms, doubled at every failure up to 5 s, each up to 10 % longer.

    ``rand`` gives numbers from 0 to 1; tests pass their own. Times are in seconds.
    """

    def __init__(
        self,
        first: float = 0.05,
        most: float = 5.0,
        *,
        factor: float = 2.0,
        jitter: float = 0.1,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._first = first
        self._most = most
        self._factor = factor
        self._jitter = jitter
        self._rand = rand
        self._wait = first

    def next(self) -> float:
        """How long to wait after one more failure; never more than the cap."""
        wait = self._wait * (1 + self._jitter * self._rand())
        self._wait = min(self._wait * self._factor, self._most)
        return min(wait, self._most)

    def reset(self) -> None:
        """It went well: the next failure begins anew."""
        self._wait = self._first
