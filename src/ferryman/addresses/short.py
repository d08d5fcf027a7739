"""The short forms of addresses, as people type them; pure.

``8080``, ``127.0.0.1:8080``, ``localhost:8081``, ``[::1]:80``, ``:0``, ``/run/x.sock``,
``./x.sock``, ``@abstract``, ``unix:x.sock``. ``written`` tells them from socat's; ``dataplane``
listens on and dials what comes out.
"""

from __future__ import annotations

from dataclasses import dataclass

from ferryman.errors import UserError

FORMS = "8080, 127.0.0.1:8080, localhost:8081, [::1]:80 or /run/x.sock"


@dataclass(frozen=True, slots=True, order=True)
class TcpAddress:
    """A host (name or IP, without brackets) and a port; an empty host means localhost."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, order=True)
class UnixAddress:
    """A UNIX socket's path; a leading ``@`` means Linux' abstract namespace."""

    path: str

    def __str__(self) -> str:
        return self.path


Address = TcpAddress | UnixAddress


def parse(text: str) -> Address:
    """The address that a short form means; raises UserError, which names the forms."""
    if text.startswith("unix:"):
        return _unix(text.removeprefix("unix:").removeprefix("//"))
    if "/" in text or text.startswith("@"):
        return _unix(text)
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise UserError(f"not an IPv6 address: {text!r}", f"write one of {FORMS}")
    elif ":" in host:
        raise UserError(f"not an address: {text!r}", f"write an IPv6 address as [{host}]:{port}")
    if not colon and not port.isdecimal():
        raise UserError(f"not an address: {text!r}", f"write one of {FORMS}")
    return TcpAddress(host, parse_port(port))


def loopbacks(address: Address) -> tuple[Address, ...]:
    """Where to listen for it: no host, or localhost, means the loopback of both families."""
    if isinstance(address, TcpAddress) and address.host in ("", "localhost"):
        return TcpAddress("127.0.0.1", address.port), TcpAddress("::1", address.port)
    return (address,)


def parse_port(text: str) -> int:
    """A TCP port, 0 to 65535; raises UserError."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 5 or int(text) > 65535:
        raise UserError(f"not a port: {text!r}", "a port is a number from 0 to 65535")
    return int(text)


def _unix(path: str) -> UnixAddress:
    size = len(path.encode(errors="surrogateescape"))
    if not 0 < size <= 107 or "\0" in path:  # sun_path, less its terminating zero
        raise UserError(f"not a UNIX socket path: {path!r}", "it can have 1 to 107 bytes")
    return UnixAddress(path)
