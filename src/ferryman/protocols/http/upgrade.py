"""Upgrades of an HTTP/1.1 connection: the request, its answer, WebSocket's handshake; sans-IO.

``client`` speaks HTTP; ``transports`` and ``answering`` know what is upgraded to, and why a server
may refuse. Source: RFC 9110, 7.8; RFC 6455, 4.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from http import HTTPStatus

from msgspec import Struct

from ferryman.errors import PeerError
from ferryman.protocols.http.client import Body, Client, Ended, Headers, Responded, Switched

REFUSAL_LIMIT = 65536
"""Bytes that are kept of the body of a refusal."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class Declined(Struct, frozen=True):
    """The server answered with something other than 101; ``body`` is cut to the limit."""

    head: Responded
    body: bytes


class Upgrade:
    """One upgrade request and its answer."""

    def __init__(self, method: str, target: str, headers: Headers) -> None:
        self._client = Client()
        self.request = self._client.request(method, target, headers) + self._client.end()
        self._head: Responded | None = None
        self._body = bytearray()

    def receive(self, data: bytes | bytearray | memoryview) -> Switched | Declined | None:
        """Take bytes of the answer, ``b""`` for the end of the connection; None: go on reading.

        Raises PeerError if they are not HTTP, or end before the answer has a head.
        """
        try:
            events = self._client.receive(data)
        except PeerError:
            if self._head is None:
                raise
            return Declined(self._head, bytes(self._body))  # it ended early: this much is known
        for event in events:
            if isinstance(event, Switched):
                return event
            if isinstance(event, Responded):
                self._head = event
            elif isinstance(event, Body):
                self._body += event.data[: REFUSAL_LIMIT - len(self._body)]
            if self._head and (isinstance(event, Ended) or len(self._body) >= REFUSAL_LIMIT):
                return Declined(self._head, bytes(self._body))
        return None


def upgrade_headers(protocol: str) -> tuple[tuple[str, str], ...]:
    """The headers that ask for another protocol."""
    return ("connection", "Upgrade"), ("upgrade", protocol)


def websocket_headers(key: str, protocols: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The headers that ask for a WebSocket with one of the sub-protocols."""
    return (
        *upgrade_headers("websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", key),
        ("sec-websocket-protocol", ", ".join(protocols)),
    )


def websocket_accept(key: str) -> str:
    """The proof that a server has read the key of a handshake."""
    import hashlib  # 2 ms, and a forward says where it listens before it has a wire

    digest = hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def websocket_key_valid(key: str) -> bool:
    """Whether a client's key is 16 bytes in base64."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def tokens(values: Iterable[str]) -> tuple[str, ...]:
    """The elements of comma-separated header lines."""
    return tuple(token.strip() for value in values for token in value.split(",") if token.strip())


def response(status: int, headers: Headers, body: bytes = b"") -> bytes:
    """A whole response; 101 has no body. Headers are the caller's own, not a peer's."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if status != 101:
        lines += [f"content-length: {len(body)}", "connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
