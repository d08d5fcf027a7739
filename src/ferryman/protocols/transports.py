"""Begins a client's wire on one of the three transports of Kubernetes' port-forward.

Each function makes an ``Opening``: the bytes of the upgrade request, and the judgement of the
answer. ``multiplex.ClientWire`` is what comes out; ``dataplane.wires`` tries them in order.
"""

from __future__ import annotations

from ferryman.protocols.multiplex import Opening

Headers = tuple[tuple[str, str], ...]


def tunnel(host: str, path: str, headers: Headers = ()) -> Opening:
    """SPDY inside a WebSocket (Kubernetes >= 1.30).

    ``host`` is the Host header, ``path`` that of the portforward subresource with its prefix,
    ``headers`` carry the credential.
    """
    raise NotImplementedError


def spdy(host: str, path: str, headers: Headers = ()) -> Opening:
    """SPDY/3.1 as it is."""
    raise NotImplementedError


def channels(host: str, path: str, port: int, headers: Headers = ()) -> Opening:
    """v4 channels: one port and one pair a wire; ``open`` must name the same port, once."""
    raise NotImplementedError
