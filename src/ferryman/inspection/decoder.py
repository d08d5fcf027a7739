"""The contract between a connection's ``session`` and the decoder of its protocol; pure.

A decoder is fed every byte of both directions in the order in which they were seen. It may be
wrong about what it sees, and then says so (Undecodable); it never holds anything up.

Each protocol's module has a function ``decoder(start: Start) -> Decoder``; ``detect`` knows the
modules by the protocols' names and imports them when first bytes need them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from ferryman.inspection.events import Event, Facts, Fields
from ferryman.inspection.feed import Direction

FOREVER = 1 << 62
"""As an offset: the body ends with its direction."""


class Undecodable(Exception):
    """What comes is not the decoder's protocol, or not any more; the message is for a person and
    quotes nothing of it. ``events`` are those of the same call, before it went wrong.
    """

    def __init__(self, message: str, events: Iterable[Event] = ()) -> None:
        super().__init__(message)
        self.events = tuple(events)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of one direction, by offsets from the connection's first: ``start <= n < end``.

    ``filler`` is the byte that may stand in for each of them without breaking the protocol.
    """

    start: int
    end: int
    filler: int = 0x2A


@dataclass(frozen=True, slots=True)
class Start:
    """Where a decoder begins: at a connection's first bytes, or after another protocol's last."""

    up: int = 0
    down: int = 0
    """Offsets of the first bytes that it will see."""
    exchange: int = 1
    """The first number that is free."""
    redact: bool = True
    """Whether secrets are "[redacted]" in events; see ``redaction``."""
    fields: Fields = ()
    """The headers of the answer that switched to it (Sec-WebSocket-Extensions, …)."""
    facts: Facts = field(default_factory=dict)
    """Those of the request that asked for the switch: path, host, …"""
    answers: int = 0
    """The exchange whose answer comes first in the new protocol (h2c: on stream 1); 0: none."""


@dataclass(frozen=True, slots=True)
class Switch:
    """The connection speaks ``protocol`` from ``start`` on; "" is to be found out from its bytes,
    "opaque" are bytes. ``up`` and ``down`` have been received already and belong to it: they begin
    at ``start.up`` and ``start.down``.
    """

    protocol: str
    start: Start
    up: bytes = b""
    down: bytes = b""


class Decoder(Protocol):
    """One connection's bytes in, events out. All methods raise Undecodable; none blocks.

    Events come with secrets redacted if ``Start.redact``; ``secrets`` says where they are in the
    bytes in any case. When it raised Undecodable, all bytes beyond ``examined`` are masked.

    What it keeps is bounded: heads by 64 KiB, pipelined requests by 1,024, text in titles by 200
    characters.
    """

    def receive(self, direction: Direction, data: bytes) -> list[Event]:
        """The next bytes of a direction."""
        ...

    def skipped(self, direction: Direction, count: int, *, missed: bool) -> list[Event]:
        """So many bytes passed by unseen: within a body they count, elsewhere it is Undecodable
        unless the protocol has a way to find its feet again.
        """
        ...

    def ended(self, direction: Direction) -> list[Event]:
        """The direction's end; both ends come before the connection is forgotten."""
        ...

    def examined(self, direction: Direction) -> int:
        """The offset up to which all secrets are known: raw bytes may be shown up to there."""
        ...

    def secrets(self, direction: Direction) -> list[Span]:
        """Secrets found since the last call, in order; each ends at or before ``examined``."""
        ...

    def skippable(self, direction: Direction) -> int | None:
        """The offset up to which bytes are a body that need only be counted (0 or the current one
        if none; FOREVER if it has no end), or None: nothing of the direction is of interest any
        more, be it a body or not.
        """
        ...

    def switched(self) -> Switch | None:
        """What goes on after an upgrade, once the last byte of the old protocol was seen; the
        decoder is then not asked again.
        """
        ...
