"""The blocks of a pcapng file; that Wireshark likes them is tests/peers/test_tshark.py's matter."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from ferryman.inspection import feed
from ferryman.inspection.exports.pcapng import Pcapng
from ferryman.inspection.feed import DOWN, UP

AT = 1_795_424_948_123_456_789
SECTION, INTERFACE, NAMES, PACKET = 0x0A0D0D0A, 1, 4, 6


@dataclass
class Block:
    kind: int
    body: bytes

    @property
    def comments(self) -> list[str]:
        """Those of a packet."""
        captured = struct.unpack_from("<I", self.body, 12)[0]
        return [value.decode() for code, value in options(self.body[20 + padded(captured) :])]

    @property
    def at(self) -> int:
        high, low = struct.unpack_from("<II", self.body, 4)
        return int(high << 32 | low)

    @property
    def payload(self) -> bytes:
        """The TCP payload of an IPv4 packet."""
        captured = struct.unpack_from("<I", self.body, 12)[0]
        packet = self.body[20 : 20 + captured]
        return packet[20 + (packet[32] >> 4) * 4 :]


def padded(size: int) -> int:
    return (size + 3) // 4 * 4


def options(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        code, size = struct.unpack_from("<HH", data, at)
        if code == 0:
            break
        found.append((code, data[at + 4 : at + 4 + size]))
        at += 4 + padded(size)
    return found


def blocks(data: bytes) -> list[Block]:
    """Cut a file into its blocks; each must say its size twice."""
    found, at = [], 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        assert size % 4 == 0
        assert struct.unpack_from("<I", data, at + size - 4)[0] == size
        found.append(Block(kind, data[at + 8 : at + size - 4]))
        at += size
    return found


def written(*said: feed.Record, protocol: str = "") -> list[Block]:
    file = Pcapng("0.1.0")
    data = file.begin()
    for record in said:
        data += file.record(record)
        if protocol and isinstance(record, feed.Opened):
            data += file.recognised(record.connection, protocol)
    return blocks(data + file.finish() + file.tail)


def opened(number: int = 1, endpoint: str = "localhost:8081") -> feed.Opened:
    return feed.Opened(number, AT, "127.0.0.1:8080", "127.0.0.1:40000", endpoint)


def test_a_file_is_a_section_then_what_packets_need_then_packets() -> None:
    said = written(
        opened(endpoint="/run/x.sock"), feed.Chunk(1, AT + 7, UP, b"hi"), feed.Ended(1, AT + 8, UP)
    )
    kinds = [block.kind for block in said]
    assert kinds == [SECTION, NAMES, INTERFACE, PACKET, PACKET, PACKET, PACKET, PACKET]
    assert options(said[2].body[8:])[0] == (2, b"127.0.0.1:8080")
    assert b"/run/x.sock\0" in said[1].body
    assert [block.at for block in said[3:]] == [AT, AT, AT, AT + 7, AT + 8]
    assert said[6].payload == b"hi"
    assert said[3].comments == ["#1 127.0.0.1:40000 -> /run/x.sock through 127.0.0.1:8080"]


def test_an_interface_is_described_once_for_all_connections_of_a_listener() -> None:
    said = written(opened(1), feed.Chunk(1, AT, UP, b"a"), opened(2), feed.Chunk(2, AT, UP, b"b"))
    assert [block.kind for block in said].count(INTERFACE) == 1


def test_the_protocol_that_was_recognised_chooses_the_port() -> None:
    chunk = feed.Chunk(1, AT, UP, b"*1\r\n")
    said = written(opened(endpoint="localhost:7777"), chunk, protocol="redis")
    first = next(block for block in said if block.kind == PACKET)
    assert first.comments[0].endswith("; the server's port is really 7777")
    assert struct.unpack_from("!H", first.body, 20 + 20 + 2)[0] == 6379


def test_a_connection_that_was_redialled_names_the_endpoint_that_answered() -> None:
    said = written(opened(endpoint="a:80"), opened(endpoint="b:80"), feed.Chunk(1, AT, UP, b"x"))
    assert "-> b:80" in next(block for block in said if block.kind == PACKET).comments[0]


def test_what_no_packet_can_say_is_a_comment_on_the_next_one() -> None:
    said = written(
        opened(),
        feed.Chunk(1, AT, UP, b"x"),
        feed.Noted(1, AT, "it is slow\nvery"),
        feed.Missed(1, AT, DOWN, 7),
        feed.Skipped(1, AT, DOWN, 9),
        feed.Closed(1, AT, 1, 16, "the pod died"),
    )
    comments = [block.comments for block in said if block.kind == PACKET]
    assert comments[4:] == [
        ["it is slow?very", "7 bytes missed: could not be kept up with"],
        ["9 bytes not copied: only counted"],
        ["reset: the pod died"],
    ]


def test_a_connection_that_never_said_anything_is_a_handshake() -> None:
    assert [block.kind for block in written(opened())].count(PACKET) == 3


def test_records_of_connections_that_nobody_opened_are_left_out() -> None:
    said = written(
        feed.Chunk(9, AT, UP, b"x"), feed.Closed(9, AT, 1, 0, ""), feed.Noted(0, AT, "?")
    )
    assert [block.kind for block in said] == [SECTION]


directions = st.sampled_from((UP, DOWN))
happenings = st.one_of(
    st.builds(feed.Opened, st.integers(1, 3), st.just(AT), st.text(), st.text(), st.text()),
    st.builds(feed.Chunk, st.integers(1, 3), st.just(AT), directions, st.binary(max_size=20)),
    st.builds(feed.Skipped, st.integers(1, 3), st.just(AT), directions, st.integers(0, 2**63)),
    st.builds(feed.Missed, st.integers(1, 3), st.just(AT), directions, st.integers(0, 99999)),
    st.builds(feed.Ended, st.integers(1, 3), st.just(AT), directions),
    st.builds(feed.Closed, st.integers(1, 3), st.just(AT), st.just(0), st.just(0), st.text()),
    st.builds(feed.Noted, st.integers(0, 3), st.just(AT), st.text()),
)


@given(st.lists(happenings, max_size=12))
def test_anything_that_can_be_told_becomes_whole_blocks(said: list[feed.Record]) -> None:
    carried = [block.payload for block in written(*said) if block.kind == PACKET]
    assert sum(map(len, carried)) <= sum(
        len(record.data) + 9 for record in said if isinstance(record, feed.Chunk)
    ) + 40 * len(carried)
