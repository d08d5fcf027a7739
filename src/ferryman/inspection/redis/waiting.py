"""Which command a Redis server answers, and what it says unasked; pure.

``requests`` adds the commands, ``answers`` asks. Answers come in the commands' order, but for
published messages, RESP3's pushes, what MONITOR prints, and CLIENT REPLY.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from ferryman.inspection.feed import UP
from ferryman.inspection.machine import Report

AHEAD_LIMIT = 1024
"""Commands ahead of their answers; more of them are only counted."""

CONFIRMATIONS = frozenset(
    b"subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe".split()
)
PUBLISHED = frozenset(b"message pmessage smessage".split())
_MONITORED = re.compile(r"\d+\.\d+ \[")


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that waits for its answer; number 0: it is not told of."""

    number: int
    name: bytes


class Waiting:
    """The commands that have no answer yet."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._asked: deque[Asked] = deque()
        self._untold = self._all_untold = 0
        self._answering = True
        self._skipping = False
        self._subscribed = self._monitoring = False
        self.digests = False
        """Whether answers may have digests of passwords: there was an ACL command."""

    def number(self) -> int:
        """The number of the next command's exchange; 0: too many wait, do not tell of it."""
        if self._untold or len(self._asked) >= AHEAD_LIMIT:
            return 0
        return self._report.number()

    def asked(self, number: int, words: list[bytes]) -> None:
        """A command, its first words in upper case, was sent."""
        name = b" ".join(words[:2]) if words[0] == b"ACL" else words[0]
        self._subscribed |= name.lower() in CONFIRMATIONS
        self._monitoring |= name == b"MONITOR"
        self.digests |= words[0] == b"ACL"
        if not self._is_answered(words):
            return
        if number:
            self._asked.append(Asked(number, name))
        else:
            self._untold += 1
            self._all_untold += 1

    def answered(self, kind: str, first: bytes, text: str) -> Asked | None:
        """Which one gets an answer of that kind, with that first member; None: it is unasked."""
        head = self._asked[0] if self._asked else None
        confirms = head is not None and self.confirms(head, first)
        published = first in PUBLISHED or (first in CONFIRMATIONS and not confirms)
        if kind == ">" and not confirms:
            return None
        if kind == "*" and self._subscribed and published:
            return None
        if kind == "+" and self._monitoring and _MONITORED.match(text):
            return None
        if head is not None:
            return self._asked.popleft()
        if not self._untold:
            return None
        self._untold -= 1
        if not self._untold:
            text = f"{self._all_untold} more commands, too far ahead of their answers to be shown"
            self._report.alone(UP, text)
            self._all_untold = 0
        return Asked(0, b"")

    @staticmethod
    def confirms(asked: Asked, first: bytes) -> bool:
        """Whether an answer with that first member confirms a subscription."""
        return first in CONFIRMATIONS and first == asked.name.lower()

    def _is_answered(self, words: list[bytes]) -> bool:
        mode = words[2] if words[:2] == [b"CLIENT", b"REPLY"] and len(words) == 3 else b""
        answered = self._answering and not self._skipping
        self._skipping = mode == b"SKIP" and self._answering
        if mode in (b"ON", b"OFF"):
            self._answering = mode == b"ON"
            return self._answering
        return answered and not self._skipping
