"""Which of a PostgreSQL client's wishes the server answers now; pure.

``asking`` adds them, ``answering`` takes them off. The server answers in order; after an error it
passes over everything up to the next Sync.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ferryman.inspection.decoder import Undecodable
from ferryman.inspection.machine import Report

TOLD_LIMIT = 1024
"""Wishes ahead of their answers that are told of."""
_LIMIT = 65536

Kind = Literal["start", "wish", "query", "prepare", "execute", "call", "sync"]


@dataclass(slots=True)
class Asked:
    """``number`` is 0 if it is not told of. ``kinds`` are the columns' types, where known."""

    kind: Kind
    number: int = 0


class Waiting:
    """The wishes that have no answer yet."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._asked: deque[Asked] = deque()
        self.password = 0
        """What kind of authentication the server wants: the next password message is its answer."""

    def number(self) -> int:
        """For the next one; 0: too many wait, do not tell of it."""
        return self._report.number() if len(self._asked) < TOLD_LIMIT else 0

    def add(self, kind: Kind, number: int = 0) -> None:
        """It was asked."""
        if len(self._asked) >= _LIMIT:
            raise Undecodable(f"more than {_LIMIT} wishes without an answer")
        self._asked.append(Asked(kind, number))

    @property
    def head(self) -> Asked | None:
        """What is being answered."""
        return self._asked[0] if self._asked else None

    def pop(self) -> None:
        """It has been."""
        if self._asked:
            self._asked.popleft()

    def copying(self) -> None:
        """The server asked for COPY's data: until it has them, it passes over a Sync."""
        if len(self._asked) > 1 and self._asked[1].kind == "sync":
            del self._asked[1]

    def ready(self) -> Sequence[Asked]:
        """All up to what ReadyForQuery answers; the last is that."""
        done = []
        while self._asked:
            done.append(self._asked.popleft())
            if done[-1].kind in ("start", "query", "sync", "call"):
                break
        return done
