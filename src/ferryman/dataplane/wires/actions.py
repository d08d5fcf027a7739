"""What the pool tells its owner to do, and how much there is of everything; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from msgspec import Struct


class Open(Struct, frozen=True):
    """Begin a handshake; ``dial`` is whom it is for if it can be of use to nobody else (v4)."""

    wire: int
    pod: str
    dial: int | None = None


class Assign(Struct, frozen=True):
    """Open a stream for this dial on that wire."""

    dial: int
    wire: int


class Close(Struct, frozen=True):
    """End a wire that nobody uses, or a handshake that nobody waits for."""

    wire: int


class Refuse(Struct, frozen=True):
    """There will be no wire for this dial: its handshake failed, or see ``why``."""

    dial: int
    why: Literal["failed", "draining", "timeout", "full"]


Action = Open | Assign | Close | Refuse


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is, for status and metrics."""

    opening: int = 0
    wires: int = 0
    live: int = 0
    lingering: int = 0
    waiting: int = 0
    evicted: int = 0
    """Streams ever reset because their client was too slow for a wire that was shared."""
