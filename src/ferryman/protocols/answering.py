"""Answers a client's upgrade request for a pod's portforward subresource, on any transport.

The counterpart of ``transports``, for servers that stand in for a cluster (``demo``). Whoever
calls has authenticated, authorised and found the pod; refusals are those of a 1.36 server.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from ferryman.protocols.channels import ChannelsServer
from ferryman.protocols.http.upgrade import (
    response,
    tokens,
    upgrade_headers,
    websocket_accept,
    websocket_key_valid,
)
from ferryman.protocols.multiplex import ServerWire
from ferryman.protocols.portforward import PortForwardServer
from ferryman.protocols.transports import PORT_FORWARD, SPDY, TUNNEL, V4
from ferryman.protocols.websocket import Tunnel

V4_BASE64 = "v4.base64.channel.k8s.io"
PORTS_LIMIT = 64
"""Ports that one v4 request may name: a channel is one byte, and each port is a dial."""


@dataclass(frozen=True, slots=True)
class Switching:
    """Write ``response`` (the 101), then what the wire has to send; feed it what comes, first
    the bytes that came with the request, if only ``b""``.
    """

    response: bytes
    wire: ServerWire
    protocol: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Write ``response`` and close."""

    status: int
    response: bytes = field(repr=False)


def answer(method: str, query: str, headers: Sequence[tuple[bytes, bytes]]) -> Switching | Refused:
    """Judge an upgrade request by its method, raw query and headers (any case)."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    upgrades = {token.lower() for token in tokens(found.get("upgrade", ()))}
    if "upgrade" in (token.lower() for token in tokens(found.get("connection", ()))):
        if "websocket" in upgrades and method == "GET":
            return _websocket(query, found)
        if SPDY.lower() in upgrades and method in ("POST", "GET"):
            return _spdy(found)
    return _bad_request("Upgrade request required")


def _spdy(headers: dict[str, list[str]]) -> Switching | Refused:
    offered = tokens(headers.get("x-stream-protocol-version", ()))
    if not offered:
        return _bad_request('header "X-Stream-Protocol-Version" is required')
    if PORT_FORWARD not in offered:
        refusal = (("x-accepted-stream-protocol-versions", PORT_FORWARD),)
        return Refused(403, response(403, refusal))
    switching = (*upgrade_headers(SPDY), ("x-stream-protocol-version", PORT_FORWARD))
    return Switching(response(101, switching), PortForwardServer(), SPDY)


def _websocket(query: str, headers: dict[str, list[str]]) -> Switching | Refused:
    key = headers.get("sec-websocket-key", [""])[0]
    if headers.get("sec-websocket-version") != ["13"] or not websocket_key_valid(key):
        return _bad_request("not a WebSocket handshake of version 13")
    offered = tokens(headers.get("sec-websocket-protocol", ()))
    chosen = next((name for name in offered if name in (TUNNEL, V4, V4_BASE64)), None)
    if offered and chosen is None:
        return Refused(403, response(403, ()))
    if chosen == TUNNEL:
        wire: ServerWire = PortForwardServer(Tunnel(client=False))
    else:
        ports = _ports(query)
        if isinstance(ports, Refused):
            return ports
        wire = ChannelsServer(ports, base64=chosen == V4_BASE64)
    switching = [*upgrade_headers("websocket"), ("sec-websocket-accept", websocket_accept(key))]
    if chosen:
        switching.append(("sec-websocket-protocol", chosen))
    return Switching(response(101, switching), wire, chosen or V4)


def _ports(query: str) -> list[int] | Refused:
    values = tokens(parse_qs(query).get("ports", ()))
    if not values:
        return _bad_request('query parameter "port" is required')
    if len(values) > PORTS_LIMIT:
        return _bad_request(f"more than {PORTS_LIMIT} ports")
    ports = [
        int(value) if value.isascii() and value.isdecimal() and len(value) < 6 else 0
        for value in values
    ]
    for value, port in zip(values, ports, strict=True):
        if not 0 < port < 65536:
            return _bad_request(f"unable to parse {json.dumps(value)} as a port")
    return ports


def _bad_request(message: str) -> Refused:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "BadRequest",
        "code": 400,
    }
    headers = (("content-type", "application/json"),)
    return Refused(400, response(400, headers, json.dumps(status).encode()))
