"""The client's way through a proxy, HTTP CONNECT or SOCKS5; sans-IO. What is ``https`` is CONNECT
inside a TLS connection to the proxy, which is whose who drives this.

``passage`` makes the machine for one connection: write what it has to send, feed it what comes,
until it says that the far end is reached; from then on the connection belongs to what is beyond.
``access.proxies`` says which proxy; ``apiclient.passing`` and ``dataplane.wires.passing`` drive
this, each on its own loop. Sources: RFC 9110, 9.3.6; RFC 1928; RFC 1929.
"""

from __future__ import annotations

import base64
import ipaddress
import struct
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ferryman.errors import PeerError, Unavailable, UserError
from ferryman.protocols.http.client import Switched
from ferryman.protocols.http.upgrade import Upgrade

Scheme = Literal["http", "https", "socks5"]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and the name and password that it asks for; ``str`` and ``repr`` keep them secret."""

    scheme: Scheme
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Passage(Protocol):
    """Write ``data_to_send`` first, and after every ``receive``."""

    def data_to_send(self) -> bytes:
        """Bytes for the proxy; empty if it is the proxy's turn."""
        ...

    def receive(self, data: bytes) -> bool:
        """Take bytes from the proxy, ``b""`` for its end; whether the way is open now.

        Raises PeerError if it does not speak the protocol, Unavailable if it cannot reach the far
        end, UserError if it does not let us pass.
        """
        ...


def passage(proxy: Proxy, host: str, port: int) -> Passage:
    """The way through a proxy to a host, whose name the proxy looks up.

    Raises UserError for names that the protocol cannot say.
    """
    return (_Socks5 if proxy.scheme == "socks5" else _Connect)(proxy, host, port)


class _Connect:
    """CONNECT, on HTTP/1.1."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = [("host", authority)]
        if proxy.username or proxy.password:
            pair = f"{proxy.username}:{proxy.password}".encode()
            headers.append(("proxy-authorization", f"Basic {base64.b64encode(pair).decode()}"))
        self._where = f"the proxy {proxy}"
        self._authority = authority
        self._upgrade = Upgrade("CONNECT", authority, headers)
        self._unsent = self._upgrade.request

    def data_to_send(self) -> bytes:
        said, self._unsent = self._unsent, b""
        return said

    def receive(self, data: bytes) -> bool:
        try:
            answer = self._upgrade.receive(data)
        except PeerError as cause:
            raise PeerError(f"{self._where}: {cause.message}") from cause
        if answer is None:
            return False
        status = answer.head.status
        if not isinstance(answer, Switched):
            if status == 407:
                raise _not_let_in(self._where)
            raise Unavailable(f"{self._where} does not lead to {self._authority}: HTTP {status}")
        if answer.early or status == 101:
            raise PeerError(f"{self._where} spoke without being asked")
        return True


_VERSION = 5
_NO_PROOF, _PASSWORD, _NONE_OF_THEM = 0, 2, 0xFF
_TCP = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}


class _Socks5:
    """A greeting, perhaps a password, a request; each is said when the last was answered."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self._where = f"the proxy {proxy}"
        self._target = f"{host}:{port}"
        self._request = bytes((_VERSION, _TCP, 0)) + _address(host) + struct.pack("!H", port)
        self._proof = _proof(proxy)
        self._unsent = b""
        self._received = b""
        self._talk = self._conversation()
        self._wanted = next(self._talk)

    def data_to_send(self) -> bytes:
        said, self._unsent = self._unsent, b""
        return said

    def receive(self, data: bytes) -> bool:
        if not data:
            raise Unavailable(f"{self._where} hung up")
        self._received += data
        while len(self._received) >= self._wanted:
            part, self._received = self._received[: self._wanted], self._received[self._wanted :]
            try:
                self._wanted = self._talk.send(part)
            except StopIteration:
                if self._received:
                    raise PeerError(f"{self._where} spoke without being asked") from None
                return True
        return False

    def _conversation(self) -> Generator[int, bytes, None]:
        """Yields how many bytes it needs next; ends when the way is open."""
        methods = (_NO_PROOF, _PASSWORD) if self._proof else (_NO_PROOF,)
        self._unsent = bytes((_VERSION, len(methods), *methods))
        version, method = yield 2
        self._check_version(version)
        if method == _NONE_OF_THEM:
            raise _not_let_in(self._where)
        if method not in methods:
            raise PeerError(f"{self._where} chose a method that was not offered")
        if method == _PASSWORD:
            self._unsent = self._proof
            _, refused = yield 2
            if refused:
                raise _not_let_in(self._where)
        self._unsent = self._request
        version, reply, _, kind, first = yield 5
        self._check_version(version)
        if reply:
            why = _REPLIES.get(reply, f"reply {reply}")
            raise Unavailable(f"{self._where} does not lead to {self._target}: {why}")
        lengths = {_IPV4: 4, _IPV6: 16, _NAME: 1 + first}
        if kind not in lengths:
            raise PeerError(f"{self._where} sent an address of an unknown type")
        yield lengths[kind] - 1 + 2  # the address that it dials from, which nobody needs; the port

    def _check_version(self, version: int) -> None:
        if version != _VERSION:
            raise PeerError(f"{self._where} does not speak SOCKS5")


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bytes((_NAME,)) + _counted(host, "a host's name for SOCKS5")
    return bytes((_IPV4 if address.version == 4 else _IPV6,)) + address.packed


def _proof(proxy: Proxy) -> bytes:
    """RFC 1929; empty if the proxy has no name and password."""
    if not proxy.username and not proxy.password:
        return b""
    name = _counted(proxy.username, "a user name for SOCKS5")
    return b"\x01" + name + _counted(proxy.password, "a password for SOCKS5")


def _counted(text: str, what: str) -> bytes:
    data = text.encode()
    if not 0 < len(data) < 256:
        raise UserError(f"{what} has to have 1 to 255 bytes")
    return bytes((len(data),)) + data


def _not_let_in(where: str) -> UserError:
    return UserError(
        f"{where} does not let us in",
        "give it a user name and a password: proxy-url: scheme://NAME:PASSWORD@HOST:PORT",
    )
