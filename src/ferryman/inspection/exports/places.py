"""Which addresses and ports packets get, so that Wireshark knows what they are; pure.

Real ones stay: the client's, and that of the server which it reached in the end. UNIX sockets,
pods and host names, which have no address of their own, get one of 127.102.0.0/16 (or
fd66:6572:7279::/48 where the other end has IPv6) and a name. Wireshark tells Redis and PostgreSQL
by their port only, and takes HTTP for something else on a port that something else claims: such a
port is replaced, and a comment says by which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from ferryman.inspection.exports.packets import Place

_HTTP_PORTS = (80, 1900, 2710, 2869, 3128, 3132, 3689, 5985, 8080, 8088, 11371)
_AT_HOME: Mapping[str, tuple[int, ...]] = {
    "http/1.1": _HTTP_PORTS,
    "websocket": _HTTP_PORTS,
    "h2": _HTTP_PORTS,
    "grpc": _HTTP_PORTS,
    "tls": (443, 636, 8883),
    "redis": (6379,),
    "postgresql": (5432,),
}
"""Ports on which Wireshark expects the protocol."""
_BY_PORT_ONLY = ("h2", "grpc", "redis", "postgresql")
"""What it finds on no other; the rest it finds on any that no other protocol claims."""

_CLAIMED_RANGES = ((1, 79), (81, 1023), (6000, 6063), (6881, 6889), (30000, 30207))
_CLAIMED_PORTS = """
    1080 1090 1099 1102 1153 1194 1213 1300 1344 1433 1521 1533 1547 1723 1755 1861 1863 1883
    1935 1978 1979 1998 2000 2001 2065 2099 2123 2126 2152 2190 2221 2234 2240 2269 2321 2322
    2345 2401 2404 2424 2427 2433 2443 2501 2502 2571 2575 2600 2727 2812 2855 2944 2945 3002
    3003 3006 3014 3016 3017 3018 3050 3205 3245 3246 3247 3248 3249 3250 3251 3252 3268 3288
    3306 3333 3334 3357 3369 3386 3389 3452 3478 3496 3567 3632 3671 3724 3804 3860 3863 3868
    3918 4002 4058 4155 4189 4222 4223 4224 4249 4250 4321 4342 4369 4420 4551 4555 4556 4661
    4662 4663 4712 4730 4737 4739 4788 4840 4880 5000 5010 5060 5061 5066 5084 5094 5190 5222
    5253 5353 5432 5445 5500 5501 5534 5555 5671 5672 5683 5684 5701 5721 5868 5900 5901 5997
    6068 6075 6084 6121 6160 6346 6379 6417 6653 6666 6667 6668 7000 7075 7171 7172 7236 7275
    7276 7871 7890 7900 7911 7930 8004 8009 8010 8023 8074 8085 8554 8567 8883 9000 9009 9042
    9092 9168 9300 9418 9600 9955 9956 9999 10000 10288 11207 11210 11211 13400 13819 14001
    15740 17500 17755 17756 19006 19042 19043 19506 19543 19999 20000 20256 21064 22222 24800
    27017 29418 34980 44321 44322 44818 48049 48898 57000
"""
_CLAIMED = frozenset(map(int, _CLAIMED_PORTS.split()))
"""TCP ports with a dissector that is none of HTTP's: ``tshark -G decodes`` of Wireshark 4.0."""

_MOST_NAMES = 60_000
_FIRST_PORT = 20_300
_LAST_PORT = 34_000


@dataclass(frozen=True, slots=True)
class Named:
    """A made-up address and what it stands for."""

    host: IPv4Address | IPv6Address
    name: str


@dataclass(frozen=True, slots=True)
class Route:
    """Both ends of a connection, the names that are new, and what was replaced, in words."""

    client: Place
    server: Place
    names: tuple[Named, ...] = ()
    remarks: tuple[str, ...] = ()


class Places:
    """Gives addresses to connections; remembers names, and which pairs are in use."""

    def __init__(self) -> None:
        self._hosts: dict[tuple[str, int], IPv4Address | IPv6Address] = {}
        self._new: list[Named] = []
        self._in_use: set[tuple[Place, Place]] = set()
        self._port = _FIRST_PORT

    def route(self, client: str, server: str, protocol: str) -> Route:
        """Addresses for a connection that speaks this protocol (or "opaque")."""
        host, client_port = _split(client)
        client_ip = _address(host)
        version = client_ip.version if client_ip else 4
        if client_ip is None:
            client_ip = self._named(host or "client", version)
        server_host, server_port = _split(server)
        server_ip = _address(server_host)
        if server_host == "localhost" and not _made_up(client_ip):
            server_ip = ip_address("127.0.0.1" if version == 4 else "::1")
        if server_ip is None or server_ip.version != version:
            server_ip = self._named(server_host or server, version)
        remarks = []
        port = _server_port(server_port, protocol)
        if server_port and port != server_port:
            remarks.append(f"the server's port is really {server_port}")
        route_server = Place(server_ip, port)
        route_client = self._client(client_ip, client_port, route_server)
        if client_port and route_client.port != client_port:
            remarks.append(f"the client's port is really {client_port}")
        self._in_use.add((route_client, route_server))
        names, self._new = tuple(self._new), []
        return Route(route_client, route_server, names, tuple(remarks))

    def release(self, route: Route) -> None:
        """The connection is over."""
        self._in_use.discard((route.client, route.server))

    def _client(self, host: IPv4Address | IPv6Address, port: int, server: Place) -> Place:
        """The client with its own port, unless that is missing, misleading or in use."""
        place = Place(host, port)
        while not place.port or _claimed(place.port) or (place, server) in self._in_use:
            place = Place(host, self._port)
            self._port = self._port + 1 if self._port < _LAST_PORT else _FIRST_PORT
        return place

    def _named(self, name: str, version: int) -> IPv4Address | IPv6Address:
        known = self._hosts.get((name, version))
        if known is not None:
            return known
        number = len(self._hosts) + 1
        if number >= _MOST_NAMES:
            name, number = "others", _MOST_NAMES
        base = "127.102.0.0" if version == 4 else "fd66:6572:7279::"
        host = ip_address(base) + number
        self._hosts[(name, version)] = host
        self._new.append(Named(host, name))
        return host


def _server_port(port: int, protocol: str) -> int:
    """The port itself, or the first one on which Wireshark knows the protocol."""
    home = _AT_HOME.get(protocol)
    if home is None:
        return port or 9  # RFC 863's discard: bytes of which nothing is known
    if port in home or (port and protocol not in _BY_PORT_ONLY and not _claimed(port)):
        return port
    return home[0]


def _claimed(port: int) -> bool:
    return port in _CLAIMED or any(low <= port <= high for low, high in _CLAIMED_RANGES)


def _made_up(host: IPv4Address | IPv6Address) -> bool:
    return str(host).startswith(("127.102.", "fd66:6572:7279:"))


def _split(text: str) -> tuple[str, int]:
    """A place's host (or name, or path) and port; 0 if it has none."""
    host, colon, port = text.rpartition(":")
    if "/" in text or not colon or not (port.isascii() and port.isdigit()) or len(port) > 5:
        return text, 0
    number = int(port)
    return (host.strip("[]"), number) if 0 < number < 65536 else (text, 0)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None
