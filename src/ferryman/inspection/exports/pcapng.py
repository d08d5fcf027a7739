"""``.pcapng`` files, which Wireshark opens: connections as TCP, one interface a listener; pure.

Source of the format: draft-ietf-opsawg-pcapng. A connection's first packets wait until its
protocol is known, because ``places`` chooses ports by it; ``packets`` makes the packets. Comments
say what no packet can: a UNIX socket's name, what was not copied, why a connection ended.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from ferryman.inspection.exchanges import Exchange
from ferryman.inspection.exports.packets import Packet, Stream
from ferryman.inspection.exports.places import Named, Places, Route
from ferryman.inspection.feed import (
    Chunk,
    Closed,
    Ended,
    Missed,
    Noted,
    Opened,
    Record,
    Skipped,
)

_SECTION, _INTERFACE, _NAMES, _PACKET = 0x0A0D0D0A, 1, 4, 6
_RAW_IP = 101  # LINKTYPE_RAW: IPv4 or IPv6, without a link layer
_COMMENT, _USER_APPLICATION = 1, 4
_IF_NAME, _IF_DESCRIPTION, _IF_RESOLUTION = 2, 3, 9
_NANOSECONDS = b"\x09"
_MOST_INTERFACES = 1000
_MOST_NOTES = 16


@dataclass(slots=True)
class _Connection:
    """One connection's state; ``stream`` is None while its first packets wait."""

    opened: Opened
    protocol: str = ""
    stream: Stream | None = None
    route: Route | None = None
    notes: list[str] = field(default_factory=list)


class Pcapng:
    """Writes such a file: an Exporter."""

    raw = True
    exchanges = False
    tail = b""

    def __init__(self, version: str) -> None:
        self._version = version
        self._interfaces: dict[str, int] = {}
        self._connections: dict[int, _Connection] = {}
        self._places = Places()
        self._out = bytearray()

    def begin(self) -> bytes:
        """The section's header."""
        magic = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
        application = _option(_USER_APPLICATION, f"ferryman {self._version}".encode())
        comment = _comment(
            "Made from what a relay carried: addresses and bytes are real unless a comment says "
            "otherwise, packet boundaries and TCP's handshakes and numbers are not."
        )
        return _block(_SECTION, magic + _options(comment + application))

    def record(self, record: Record) -> bytes:
        """The record's packets, and blocks that they need."""
        if isinstance(record, Opened):
            self._opened(record)
        else:
            connection = self._connections.get(record.connection)
            if connection is not None:
                self._happened(connection, record)
        return self._taken()

    def recognised(self, connection: int, protocol: str) -> bytes:
        """The protocol decides on ports, if the connection's first packets still wait."""
        known = self._connections.get(connection)
        if known is not None and known.stream is None:
            known.protocol = protocol
        return b""

    def exchange(self, _exchange: Exchange) -> bytes:
        """Nothing: Wireshark puts them together itself."""
        return b""

    def finish(self) -> bytes:
        """The handshakes of connections that have said nothing yet."""
        for connection in self._connections.values():
            self._begun(connection)
        self._connections.clear()
        return self._taken()

    def _opened(self, record: Opened) -> None:
        known = self._connections.get(record.connection)
        if known is None:
            self._connections[record.connection] = _Connection(record)
        elif known.stream is None:
            known.opened = replace(known.opened, endpoint=record.endpoint)
        else:
            known.notes.append(f"from here on with {record.endpoint}")

    def _happened(self, connection: _Connection, record: Record) -> None:
        if isinstance(record, Noted):
            if len(connection.notes) < _MOST_NOTES:
                connection.notes.append(record.text)
            return
        stream = self._begun(connection)
        match record:
            case Chunk():
                self._packets(connection, record.at, stream.data(record.direction, record.data))
            case Skipped():
                self._unseen(connection, stream, record, "not copied: only counted")
            case Missed():
                self._unseen(connection, stream, record, "missed: could not be kept up with")
            case Ended():
                self._packets(connection, record.at, stream.end(record.direction))
            case Closed():
                if record.reset:
                    connection.notes.append(f"reset: {record.reset}")
                packets = stream.reset() if record.reset else stream.close()
                self._packets(connection, record.at, packets)
                del self._connections[record.connection]
                if connection.route is not None:
                    self._places.release(connection.route)
            case _:
                pass

    def _begun(self, connection: _Connection) -> Stream:
        """The connection's stream, with its handshake written."""
        if connection.stream is not None:
            return connection.stream
        opened = connection.opened
        route = self._places.route(opened.client, opened.endpoint, connection.protocol)
        if route.names:
            self._out += _names(route.names)
        stream = connection.stream = Stream(opened.connection, route.client, route.server)
        connection.route = route
        remarks = "".join(f"; {remark}" for remark in route.remarks)
        said = f"#{opened.connection} {opened.client} -> {opened.endpoint}"
        connection.notes.insert(0, f"{said} through {opened.listener}{remarks}")
        self._packets(connection, opened.at, stream.open())
        return stream

    def _unseen(
        self, connection: _Connection, stream: Stream, record: Skipped | Missed, why: str
    ) -> None:
        connection.notes.append(f"{record.count} bytes {why}")
        packets = list(stream.unseen(record.direction, record.count))
        self._packets(connection, record.at, packets)

    def _packets(self, connection: _Connection, at: int, packets: Iterable[Packet]) -> None:
        """Write packets; what there is to say goes to the first one."""
        interface = self._interface(connection.opened.listener)
        for packet in packets:
            comments = b"".join(_comment(note) for note in connection.notes)
            connection.notes.clear()
            self._out += _packet(interface, at, packet, comments)

    def _interface(self, listener: str) -> int:
        """The listener's interface, described before its first packet."""
        if listener not in self._interfaces:
            if len(self._interfaces) >= _MOST_INTERFACES:
                return 0
            self._interfaces[listener] = len(self._interfaces)
            self._out += _block(
                _INTERFACE,
                struct.pack("<HHI", _RAW_IP, 0, 0)
                + _options(
                    _option(_IF_NAME, _text(listener))
                    + _option(_IF_DESCRIPTION, _text(f"ferry's listener {listener}"))
                    + _option(_IF_RESOLUTION, _NANOSECONDS)
                ),
            )
        return self._interfaces[listener]

    def _taken(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data


def _packet(interface: int, at: int, packet: Packet, options: bytes) -> bytes:
    at = max(at, 0)
    head = struct.pack(
        "<IIIII", interface, at >> 32, at & 0xFFFFFFFF, len(packet.data), packet.length
    )
    body = head + _padded(packet.data)
    return _block(_PACKET, body + (_options(options) if options else b""))


def _names(names: Iterable[Named]) -> bytes:
    records = bytearray()
    for named in names:
        kind = 1 if isinstance(named.host, IPv4Address) else 2
        value = named.host.packed + _text(named.name) + b"\0"
        records += struct.pack("<HH", kind, len(value)) + _padded(value)
    return _block(_NAMES, bytes(records) + struct.pack("<HH", 0, 0))


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def _options(options: bytes) -> bytes:
    return options + struct.pack("<HH", 0, 0)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _comment(text: str) -> bytes:
    return _option(_COMMENT, _text(text))


def _text(text: str) -> bytes:
    """UTF-8 without control characters, and short enough for an option."""
    clean = "".join(c if c.isprintable() else "?" for c in text[:2000])
    return clean.encode(errors="replace")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
