"""Begins a client's wire on one of the three transports of Kubernetes' port-forward.

Each function makes an ``Opening``: the bytes of the upgrade request, and the judgement of the
answer. ``multiplex.ClientWire`` is what comes out; ``dataplane.wires`` tries them in order, as
client-go does: ``tunnel``, ``spdy``, and for very old servers ``channels``.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from urllib.parse import urlencode

from ferryman.errors import PeerError
from ferryman.protocols.channels import ChannelsClient
from ferryman.protocols.http.client import Headers, Responded, Switched
from ferryman.protocols.http.upgrade import (
    Declined,
    Upgrade,
    upgrade_headers,
    websocket_accept,
    websocket_headers,
)
from ferryman.protocols.multiplex import Bytes, ClientWire, Established, Opening, Rejected
from ferryman.protocols.portforward import PortForwardClient
from ferryman.protocols.websocket import Tunnel

PORT_FORWARD = "portforward.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"  # the KEP says v2.portforward.k8s.io; servers do not
V4 = "v4.channel.k8s.io"
SPDY = "SPDY/3.1"


def tunnel(host: str, path: str, headers: Headers = ()) -> Opening:
    """SPDY inside a WebSocket (Kubernetes >= 1.30).

    ``host`` is the Host header, ``path`` that of the portforward subresource with its prefix,
    ``headers`` carry the credential. Raises UserError if that cannot be said in HTTP.
    """
    return _websocket(host, path, headers, TUNNEL, lambda: PortForwardClient(Tunnel(client=True)))


def spdy(host: str, path: str, headers: Headers = ()) -> Opening:
    """SPDY/3.1 as it is."""
    asking = (
        ("host", host),
        ("content-length", "0"),
        *upgrade_headers(SPDY),
        ("x-stream-protocol-version", PORT_FORWARD),
    )
    return _Opening(Upgrade("POST", path, (*asking, *headers)), _spdy_objection, PortForwardClient)


def channels(host: str, path: str, port: int, headers: Headers = ()) -> Opening:
    """v4 channels: one port and one pair a wire; ``open`` must name the same port, once."""
    target = f"{path}?{urlencode({'ports': port})}"
    return _websocket(host, target, headers, V4, lambda: ChannelsClient(port))


class _Opening:
    """``objection`` says what is wrong with a 101, if anything; ``wire`` makes the machine."""

    def __init__(
        self,
        upgrade: Upgrade,
        objection: Callable[[Responded], str],
        wire: Callable[[], ClientWire],
    ) -> None:
        self.request = upgrade.request
        self._upgrade = upgrade
        self._objection = objection
        self._wire = wire

    def receive(self, data: Bytes) -> Established | Rejected | None:
        answer = self._upgrade.receive(data)
        if answer is None:
            return None
        if isinstance(answer, Declined):
            return judge(answer)
        if objection := self._objection(answer.head):
            return Rejected(101, objection, fall_back=True)
        return self._established(answer)

    def _established(self, answer: Switched) -> Established:
        wire = self._wire()
        return Established(wire, wire.receive(answer.early) if answer.early else [])


def _websocket(
    host: str, target: str, headers: Headers, protocol: str, wire: Callable[[], ClientWire]
) -> Opening:
    key = base64.b64encode(os.urandom(16)).decode()

    def objection(head: Responded) -> str:
        if head.header("sec-websocket-accept") != websocket_accept(key):
            raise PeerError("the server's Sec-WebSocket-Accept is not the answer to our key")
        if extensions := head.header("sec-websocket-extensions"):
            raise PeerError(f"the server chose extensions that were not offered: {extensions}")
        chosen = head.header("sec-websocket-protocol")
        return "" if chosen == protocol else f"the server chose {chosen!r}, expected {protocol!r}"

    asking = (("host", host), *websocket_headers(key, (protocol,)))
    return _Opening(Upgrade("GET", target, (*asking, *headers)), objection, wire)


def _spdy_objection(head: Responded) -> str:
    upgrade, version = head.header("upgrade"), head.header("x-stream-protocol-version")
    if upgrade.lower() != SPDY.lower() or version != PORT_FORWARD:
        return f"the server chose {upgrade!r} with {version!r}, expected {PORT_FORWARD!r}"
    return ""


def judge(answer: Declined) -> Rejected:
    """What a refusal means; only such as may be about the transport lead to another one."""
    status, head = answer.head.status, answer.head
    after = head.header("retry-after")
    wait = float(after) if after.isascii() and after.isdecimal() and len(after) < 7 else None
    reason, message = _kubernetes_status(answer.body)
    if not message:
        message = answer.body[:256].decode(errors="replace").strip() or f"HTTP status {status}"
    about_pod = reason == "NotFound" or "does not have a host assigned" in message
    about_load = status == 429 or (status == 503 and wait is not None)
    return Rejected(
        status,
        message,
        wait,
        fall_back=not (status == 401 or about_pod or about_load),
    )


def _kubernetes_status(body: bytes) -> tuple[str, str]:
    """Reason and message of a Kubernetes Status; empty if the body is something else."""
    try:
        status = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(status, dict) or status.get("kind") != "Status":
        return "", ""
    return str(status.get("reason") or ""), str(status.get("message") or "")
