"""A connection as the IP packets that would have carried it; pure.

A ``Stream`` makes TCP of what was seen: handshake, segments, acknowledgements, ends, so that
Wireshark's sequence analysis finds nothing to complain about. Bytes that were carried and not
copied become packets of which only the headers are there, as ``tcpdump -s`` would have it.
``pcapng`` writes the packets; ``places`` says between which addresses they go.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from ferryman.inspection.feed import DOWN, UP, Direction

SEGMENT = 32 << 10
"""The most bytes in a packet, as with TCP segmentation offload."""
OUTLINED = 16 << 20
"""Up to so many bytes that were not copied become packets; beyond, the sequence numbers jump."""

_FIN, _SYN, _RST, _PSH, _ACK = 0x01, 0x02, 0x04, 0x08, 0x10
_WINDOW = 65535
# A maximum segment size as on loopback, and a window scale of 14 (RFC 7323): a window of 1 GiB is
# never full.
_SYN_OPTIONS = struct.pack("!BBHBBBB", 2, 4, 65495, 3, 3, 14, 1)
_ACK_EVERY = 1 << 20
_JUMP = 1 << 30  # less than half of the sequence space, or it would be a jump back

_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_TCP = struct.Struct("!HHIIBBHHH")


@dataclass(frozen=True, slots=True)
class Place:
    """One end of a stream."""

    host: IPv4Address | IPv6Address
    port: int


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet; ``length`` is what it had, ``data`` what there is of it."""

    data: bytes
    length: int


@dataclass(slots=True)
class _End:
    """One side's part of the stream."""

    place: Place
    sequence: int
    acknowledged: int = 0
    ended: bool = False
    datagrams: int = field(default=0)


class Stream:
    """One TCP connection; client and server are of one address family. Methods are called in the
    order in which things happened, ``open`` first.
    """

    def __init__(self, number: int, client: Place, server: Place) -> None:
        first = number * 64_000 % (1 << 31)  # RFC 793's clock, by connections: no two look alike
        self._ends: dict[Direction, _End] = {
            UP: _End(client, first),
            DOWN: _End(server, first),
        }
        self._over = False

    def open(self) -> Iterator[Packet]:
        """SYN, SYN and ACK, ACK."""
        up, down = self._ends[UP], self._ends[DOWN]
        yield self._packet(UP, _SYN)
        up.sequence += 1
        down.acknowledged = up.sequence
        yield self._packet(DOWN, _SYN | _ACK)
        down.sequence += 1
        yield self._pure_ack(UP)

    def data(self, direction: Direction, data: bytes) -> Iterator[Packet]:
        """Bytes of a direction, in segments."""
        view = memoryview(data)
        for at in range(0, len(view), SEGMENT):
            yield from self._segment(direction, bytes(view[at : at + SEGMENT]))

    def unseen(self, direction: Direction, count: int) -> Iterator[Packet]:
        """So many bytes that nobody has: their packets' headers."""
        if count > OUTLINED:
            self._ends[direction].sequence += min(count, _JUMP)
            return
        for at in range(0, count, SEGMENT):
            yield from self._segment(direction, b"", min(SEGMENT, count - at))

    def end(self, direction: Direction) -> Iterator[Packet]:
        """FIN of a direction; the last ACK with the second one."""
        end, other = self._ends[direction], self._ends[_opposite(direction)]
        if end.ended or self._over:
            return
        end.acknowledged = other.sequence
        yield self._packet(direction, _FIN | _ACK)
        end.ended = True
        end.sequence += 1
        if other.ended:
            self._over = True
            yield self._pure_ack(_opposite(direction))

    def close(self) -> Iterator[Packet]:
        """What is missing of a proper end."""
        for direction in (UP, DOWN):
            yield from self.end(direction)

    def reset(self) -> Iterator[Packet]:
        """RST, from the server."""
        if not self._over:
            self._over = True
            self._ends[DOWN].acknowledged = self._ends[UP].sequence
            yield self._packet(DOWN, _RST | _ACK)

    def _segment(self, direction: Direction, data: bytes, unseen: int = 0) -> Iterator[Packet]:
        end, other = self._ends[direction], self._ends[_opposite(direction)]
        if end.ended or self._over:
            return  # nothing follows a FIN; what says otherwise is no TCP
        end.acknowledged = other.sequence
        yield self._packet(direction, _PSH | _ACK, data, unseen)
        end.sequence += len(data) + unseen
        if end.sequence - other.acknowledged >= _ACK_EVERY:
            yield self._pure_ack(_opposite(direction))

    def _pure_ack(self, direction: Direction) -> Packet:
        self._ends[direction].acknowledged = self._ends[_opposite(direction)].sequence
        return self._packet(direction, _ACK)

    def _packet(
        self, direction: Direction, flags: int, data: bytes = b"", unseen: int = 0
    ) -> Packet:
        end, other = self._ends[direction], self._ends[_opposite(direction)]
        options = _SYN_OPTIONS if flags & _SYN else b""
        size = _TCP.size + len(options) + len(data) + unseen
        header = _TCP.pack(
            end.place.port,
            other.place.port,
            end.sequence & 0xFFFFFFFF,
            end.acknowledged & 0xFFFFFFFF if flags & _ACK else 0,
            (_TCP.size + len(options)) // 4 << 4,
            flags,
            _WINDOW,
            0,
            0,
        )
        segment = header + options + data
        source, destination = end.place.host.packed, other.place.host.packed
        # RFC 9293, 3.1: the pseudo header, with the length that the whole segment had. Bytes that
        # are not there count as zeros; nobody can check them.
        pseudo = source + destination + struct.pack("!II", size, 6)
        total = _checksum(pseudo + segment)
        segment = segment[:16] + struct.pack("!H", total) + segment[18:]
        end.datagrams += 1
        ip = _ip_header(source, destination, size, end.datagrams)
        return Packet(ip + segment, len(ip) + size)


def _ip_header(source: bytes, destination: bytes, size: int, number: int) -> bytes:
    if len(source) == 16:
        return _IPV6.pack(6 << 28, size, 6, 64, source, destination)
    parts = (0x45, 0, _IPV4.size + size, number & 0xFFFF, 0x4000, 64, 6)
    unsummed = _IPV4.pack(*parts, 0, source, destination)
    return _IPV4.pack(*parts, _checksum(unsummed), source, destination)


def _checksum(data: bytes) -> int:
    """RFC 1071's sum: ones' complement addition is addition modulo 0xFFFF, which Python's large
    integers do some hundred times faster than a loop over words.
    """
    number = int.from_bytes(data, "big")
    if len(data) % 2:
        number <<= 8
    return 0xFFFF - (number % 0xFFFF or 0xFFFF)


def _opposite(direction: Direction) -> Direction:
    return DOWN if direction == UP else UP
