"""Whole exchanges, put together from events: what a filter asks, a file keeps, a page lists; pure.

``Message`` and ``Exchange`` are plain data. A connection's ``session`` says the events;
``assembly`` puts them together and keeps of each body no more than it was told to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ferryman.inspection.events import Facts, Fields


@dataclass(frozen=True, slots=True)
class Message:
    """One side's part. Times are nanoseconds since the epoch.

    ``body`` is what was kept of ``size`` bytes, free of transfer framing, still in its content
    coding; ``missed`` bytes could not be kept up with.
    """

    title: str
    began: int
    ended: int
    fields: Fields = ()
    facts: Facts = field(default_factory=dict)
    body: bytes = b""
    size: int = 0
    trailers: Fields = ()
    missed: int = 0
    error: str = ""

    @property
    def whole(self) -> bool:
        """Whether the body is all there."""
        return len(self.body) == self.size and not self.missed and not self.error


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer; what came unasked has only one of them.

    ``connection`` and ``number`` name it: "#3.2" is the second exchange of connection 3.
    """

    connection: int
    number: int
    protocol: str
    listener: str
    client: str
    endpoint: str
    request: Message | None = None
    answer: Message | None = None

    @property
    def facts(self) -> Mapping[str, str | int]:
        """All that a filter may ask for."""
        request = self.request.facts if self.request else {}
        answer = self.answer.facts if self.answer else {}
        own = {"protocol": self.protocol, "listener": self.listener, "client": self.client}
        return {**own, "connection": self.connection, **request, **answer}
