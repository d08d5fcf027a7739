"""Answers a client's upgrade request for a pod's portforward subresource, on any transport.

The counterpart of ``transports``, for servers that stand in for a cluster (``demo``). Whoever
calls has authenticated, authorised and found the pod; refusals are those of a 1.36 server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ferryman.protocols.multiplex import ServerWire


@dataclass(frozen=True, slots=True)
class Switching:
    """Write ``response`` (the 101), then what the wire has to send; feed it what comes."""

    response: bytes
    wire: ServerWire


@dataclass(frozen=True, slots=True)
class Refused:
    """Write ``response`` and close."""

    status: int
    response: bytes


def answer(method: str, query: str, headers: Sequence[tuple[bytes, bytes]]) -> Switching | Refused:
    """Judge an upgrade request by its method, raw query and headers (any case)."""
    raise NotImplementedError
