"""Outgoing buffers: small ones joined, because TLS and WebSocket want few large writes."""

from __future__ import annotations

from collections.abc import Sequence

_SMALL = 16384  # a TLS record: below, copying costs less than one more record


def coalesce(buffers: Sequence[bytes | bytearray]) -> list[bytes | bytearray]:
    """The same bytes in fewer buffers; large ones stay as they are, uncopied."""
    if len(buffers) < 2:
        return list(buffers)
    out: list[bytes | bytearray] = []
    small: list[bytes | bytearray] = []
    size = 0
    for buffer in buffers:
        if size + len(buffer) > _SMALL and small:
            out.append(small[0] if len(small) == 1 else b"".join(small))
            small, size = [], 0
        if len(buffer) > _SMALL:
            out.append(buffer)
        else:
            small.append(buffer)
            size += len(buffer)
    if small:
        out.append(small[0] if len(small) == 1 else b"".join(small))
    return out
