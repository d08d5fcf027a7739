"""Does to sockets and names what an address' options say: socket options, places, modes, ranges.

``opening`` calls it where each option has its time: before a bind, before a connect, after an
accept. They raise OSError as the kernel does; those that read texts raise
UserError for what cannot be meant.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Iterator

from ferryman.addresses.specs import (
    Family,
    NameOptions,
    PlaceOptions,
    RangeOptions,
    SocketOptions,
    TcpOptions,
)
from ferryman.errors import UserError

_FAMILIES = {"": 0, "4": socket.AF_INET, "6": socket.AF_INET6}


def family_number(family: Family) -> int:
    """The kernel's number of an address family; 0 is any."""
    return _FAMILIES[family]


def tune(sock: socket.socket, options: SocketOptions) -> None:
    """Set what any socket has."""
    for name, value in (
        (socket.SO_KEEPALIVE, options.keepalive),
        (socket.SO_REUSEADDR, options.reuseaddr),
        (socket.SO_RCVBUF, options.rcvbuf),
        (socket.SO_SNDBUF, options.sndbuf),
    ):
        if value is not None:
            sock.setsockopt(socket.SOL_SOCKET, name, int(value))


def tune_tcp(sock: socket.socket, options: TcpOptions) -> None:
    """Set what TCP has; a listener's clients inherit it on Linux, elsewhere they are set anew."""
    for name, value in (
        ("TCP_NODELAY", options.nodelay),
        ("TCP_KEEPIDLE", options.keepidle),
        ("TCP_KEEPINTVL", options.keepintvl),
        ("TCP_KEEPCNT", options.keepcnt),
    ):
        if value is None:
            continue
        if not hasattr(socket, name):
            raise OSError(errno.ENOPROTOOPT, f"this system has no {name}")
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), int(value))


def port_number(port: int | str, protocol: str) -> int:
    """A port, also by a service's name; raises UserError."""
    if isinstance(port, int):
        return port
    try:
        return socket.getservbyname(port, protocol)
    except OSError:
        raise UserError(f"no such service: {port}", "write the port's number") from None


def place(options: PlaceOptions, protocol: str) -> tuple[str, int]:
    """The host and port that a ``bind=`` and ``sourceport=`` say; empty and 0 if they do not."""
    text, port = options.bind, options.source_port or 0
    host, bracket, rest = text.partition("]") if text.startswith("[") else ("", "", text)
    if bracket:
        host = host[1:]
        given = rest.removeprefix(":")
    else:
        host, _, given = rest.partition(":")
    if given:
        port = port_number(int(given) if given.isdecimal() else given, protocol)
    if not 0 <= port <= 65535:
        raise UserError(f"not a port: {given!r}", "a port is a number from 0 to 65535")
    return host, port


def bind_place(sock: socket.socket, options: PlaceOptions, local: tuple[str, int]) -> None:
    """Give a socket that will connect its local end, if ``place`` says one. Raises OSError."""
    if options.reuseport:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if options.v6only is not None and sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(options.v6only))
    host, port = local
    if host or port:
        sock.bind((numeric(host, sock.family), port))


def numeric(host: str, family: int) -> str:
    """The host's IP address of that family; the wildcard if it is empty. Raises OSError."""
    if not host:
        return "::" if family == socket.AF_INET6 else "0.0.0.0"
    found = socket.getaddrinfo(host, None, family=family, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


def served(options: RangeOptions) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network whose clients are served; None is everybody. Raises UserError."""
    text = options.range
    if not text:
        return None
    if text.startswith("["):
        text = text[1:].replace("]", "", 1)
    elif ":" in text and text.count(":") == 1:
        text = text.replace(":", "/")  # ADDRESS:MASK
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        hint = "such as 127.0.0.0/8, 10.0.0.0:255.0.0.0 or [::1]/128"
        raise UserError(f"not a range: {options.range!r}", hint) from error


def is_served(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None, address: object
) -> bool:
    """Whether a client at this address, as accept(2) gives it, is in the range."""
    if network is None:
        return True
    if not isinstance(address, tuple):
        return False
    client = ipaddress.ip_address(str(address[0]).partition("%")[0])
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
        client = client.ipv4_mapped
    return client in network


@contextlib.contextmanager
def umask(options: NameOptions) -> Iterator[None]:
    """What is created meanwhile has no more rights than ``umask`` leaves.

    With a mode, it is created for its owner only: the mode comes after the owner.
    """
    wanted = 0o177 if options.umask is None and options.mode is not None else options.umask
    if wanted is None:
        yield
        return
    before = os.umask(wanted)
    try:
        yield
    finally:
        os.umask(before)


def unlink_early(path: str, options: NameOptions) -> None:
    """Remove what has the name, if that is asked for."""
    if options.unlink_early:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def own(path: str, options: NameOptions) -> None:
    """Give a name its owner, its group and then its mode. Raises UserError, OSError."""
    if options.user or options.group:
        os.chown(path, _user(options.user), _group(options.group), follow_symlinks=False)
    if options.mode is not None:
        os.chmod(path, options.mode)


def _user(text: str) -> int:
    import pwd

    if not text or text.isdecimal():
        return int(text or -1)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise UserError(f"no such user: {text}") from None


def _group(text: str) -> int:
    import grp

    if not text or text.isdecimal():
        return int(text or -1)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise UserError(f"no such group: {text}") from None
