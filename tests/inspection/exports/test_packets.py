"""Packets made of what was seen: their numbers fit, and so do their sums."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.inspection.exports.packets import OUTLINED, SEGMENT, Packet, Place, Stream, _checksum
from ferryman.inspection.feed import DOWN, UP, Direction

HOSTS = [("127.0.0.1", "127.102.0.1"), ("::1", "fd66:6572:7279::1")]


def stream(client: str = "127.0.0.1", server: str = "127.102.0.1") -> Stream:
    return Stream(3, Place(ip_address(client), 5000), Place(ip_address(server), 80))


def transcript(packets: Iterable[Packet]) -> list[str]:
    """Each packet as `> SA 0 1 +5`: direction, flags, sequence and ACK from 0, its length."""
    lines = []
    for packet in packets:
        segment = packet.data[20:] if packet.data[0] >> 4 == 4 else packet.data[40:]
        source, _, sequence, ack, offset, flags = struct.unpack_from("!HHIIBB", segment)
        size = packet.length - len(packet.data) + len(segment) - (offset >> 4) * 4
        letters = "".join(c for bit, c in enumerate("FSRPA") if flags >> bit & 1)
        first = 3 * 64_000
        arrow = ">" if source == 5000 else "<"
        lines.append(f"{arrow} {letters} {sequence - first} {max(ack - first, 0)} +{size}")
    return lines


def test_a_conversation_has_a_handshake_fitting_numbers_and_an_end() -> None:
    one = stream()
    packets = [*one.open(), *one.data(UP, b"hello"), *one.data(DOWN, b"hi")]
    packets += [*one.end(UP), *one.data(DOWN, b"more"), *one.end(DOWN), *one.close()]
    assert transcript(packets) == [
        "> S 0 0 +0",
        "< SA 0 1 +0",
        "> A 1 1 +0",
        "> PA 1 1 +5",
        "< PA 1 6 +2",
        "> FA 6 3 +0",
        "< PA 3 7 +4",
        "< FA 7 7 +0",
        "> A 7 8 +0",
    ]


def test_a_reset_ends_it_and_nothing_follows() -> None:
    one = stream()
    packets = [*one.open(), *one.data(UP, b"hello"), *one.reset()]
    assert transcript(packets)[-1] == "< RA 1 6 +0"
    after = [*one.data(DOWN, b"x"), *one.end(UP), *one.close(), *one.reset()]
    assert after == []


def test_nothing_follows_a_fin_in_its_direction() -> None:
    one = stream()
    packets = [*one.open(), *one.end(UP), *one.data(UP, b"late"), *one.end(UP)]
    assert transcript(packets)[3:] == ["> FA 1 1 +0"]


def test_long_data_is_cut_and_acknowledged_now_and_then() -> None:
    one = stream()
    list(one.open())
    lines = transcript(one.data(DOWN, b"x" * (3 << 20)))
    assert lines[:2] == [f"< PA 1 1 +{SEGMENT}", f"< PA {1 + SEGMENT} 1 +{SEGMENT}"]
    assert [line for line in lines if line.startswith("> A ")] == [
        f"> A 1 {1 + (n << 20)} +0" for n in (1, 2, 3)
    ]


def test_what_nobody_has_is_headers_only_and_counts() -> None:
    one = stream()
    list(one.open())
    packets = list(one.unseen(DOWN, SEGMENT + 10))
    assert [len(packet.data) for packet in packets] == [40, 40]
    assert transcript(packets) == [f"< PA 1 1 +{SEGMENT}", f"< PA {1 + SEGMENT} 1 +10"]
    assert transcript(one.data(DOWN, b"on")) == [f"< PA {11 + SEGMENT} 1 +2"]


def test_what_nobody_has_is_a_gap_if_it_is_very_long() -> None:
    one = stream()
    list(one.open())
    assert list(one.unseen(DOWN, OUTLINED + 1)) == []
    assert transcript(one.data(DOWN, b"on"))[0] == f"< PA {OUTLINED + 2} 1 +2"


@pytest.mark.parametrize(("client", "server"), HOSTS)
@given(data=st.binary(max_size=200), direction=st.sampled_from((UP, DOWN)))
def test_sums_are_right(client: str, server: str, data: bytes, direction: Direction) -> None:
    one = stream(client, server)
    for packet in [*one.open(), *one.data(direction, data), *one.close()]:
        version = packet.data[0] >> 4
        at = 20 if version == 4 else 40
        segment = packet.data[at:]
        addresses = packet.data[12:20] if version == 4 else packet.data[8:40]
        assert words(addresses + struct.pack("!II", len(segment), 6) + segment) == 0xFFFF
        if version == 4:
            assert words(packet.data[:20]) == 0xFFFF
            assert struct.unpack_from("!H", packet.data, 2)[0] == packet.length
        else:
            assert struct.unpack_from("!H", packet.data, 4)[0] == packet.length - 40


@given(st.binary(min_size=1, max_size=300))
def test_the_fast_sum_is_the_slow_one(data: bytes) -> None:
    if any(data):
        assert _checksum(data) == ~words(data) & 0xFFFF


def words(data: bytes) -> int:
    """RFC 1071's sum, as it is written there."""
    total = 0
    for (word,) in struct.iter_unpack("!H", data + bytes(len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total
