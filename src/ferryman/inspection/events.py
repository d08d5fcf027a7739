"""What a connection turned out to say; pure.

A ``decoder`` speaks of messages: one begins, its body comes in pieces, it ends. Request and answer
share an ``exchange`` number; what comes unasked (a WebSocket frame, a notification) has a number
of its own and one direction only. ``session`` adds the connection and the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ferryman.inspection.feed import Direction

Fields = tuple[tuple[str, str], ...]
"""Headers, parameters or arguments in their order; names as they were sent."""

Facts = Mapping[str, str | int]
"""What ``--only`` asks for: method, path, host, status, type, sni, command, …"""


@dataclass(frozen=True, slots=True)
class Recognised:
    """The connection speaks this from now on: "http/1.1", "websocket", "h2", "grpc" (on h2),
    "redis", "postgresql", "tls", "opaque".
    """

    protocol: str
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MessageBegan:
    """The head of a message is complete. ``title`` is its line in a summary, such as
    "GET /v1/users", "200", "SELECT 1"; it never has control characters.

    ``alone``: neither asks nor answers (a WebSocket message, a notification): the exchange has no
    other side. An interim answer (a ``status`` fact below 200, but 101) is followed by another one
    in the same exchange.
    """

    exchange: int
    direction: Direction
    title: str
    fields: Fields = ()
    facts: Facts = field(default_factory=dict)
    alone: bool = False


@dataclass(frozen=True, slots=True)
class MessageData:
    """A piece of its body, free of the transfer's framing, still in its content coding."""

    exchange: int
    direction: Direction
    data: bytes


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """It is whole; ``size`` is its body's, in bytes, also of those that were not copied.

    ``missed`` of them could not be kept up with. ``error`` says why it is not whole after all.
    """

    exchange: int
    direction: Direction
    size: int
    trailers: Fields = ()
    facts: Facts = field(default_factory=dict)
    missed: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Undecoded:
    """The decoder gave up; what follows is shown as bytes."""

    reason: str


Event = Recognised | MessageBegan | MessageData | MessageEnded | Undecoded


def is_opaque(event: Event) -> bool:
    """Whether the connection is bytes from here on."""
    return isinstance(event, Undecoded) or (
        isinstance(event, Recognised) and event.protocol == "opaque"
    )
