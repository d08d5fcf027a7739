"""WebSocket frames and the tunnel, with wsproto as the oracle at the other end."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection as Oracle
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.events import Ping as OraclePing
from wsproto.events import Pong as OraclePong

from ferryman.errors import PeerError
from ferryman.protocols.masking import mask
from ferryman.protocols.websocket import (
    Closed,
    Event,
    Piece,
    PongReceived,
    Tunnel,
    WebSocket,
)
from tests.support.split import cut, cuts

CLIENT = pytest.mark.parametrize("client", [True, False])
SIZES = st.sampled_from([0, 1, 2, 3, 4, 5, 125, 126, 127, 1000, 65535, 65536, 70000])


def oracle(*, client: bool) -> Oracle:
    return Oracle(ConnectionType.CLIENT if client else ConnectionType.SERVER)


def heard(oracle: Oracle, data: bytes) -> list[Any]:
    """What wsproto makes of bytes; pieces of a message are joined."""
    oracle.receive_data(data)
    out: list[Any] = []
    parts: list[Any] = []
    for event in oracle.events():
        if isinstance(event, BytesMessage | TextMessage):
            parts.append(event.data)
            if event.message_finished:
                out.append(type(parts[0])().join(parts))
                parts.clear()
        else:
            out.append(event)
    return out


def messages(events: list[Event]) -> list[Any]:
    """Pieces joined to messages; all else as it is."""
    out: list[Any] = []
    parts: list[bytes] = []
    for event in events:
        if isinstance(event, Piece):
            assert event.starts == (not parts)
            parts.append(bytes(event.data))
            if event.ends:
                out.append(b"".join(parts))
                parts.clear()
        else:
            out.append(event)
    assert not parts
    return out


def read(machine: WebSocket, pieces: list[bytes]) -> list[Event]:
    return [event for piece in pieces for event in machine.receive(piece)]


def out(machine: WebSocket) -> bytes:
    return b"".join(machine.data_to_send())


@CLIENT
@given(st.lists(st.tuples(SIZES, st.booleans()), max_size=5))
def test_wsproto_reads_what_we_write(client: bool, sends: list[tuple[int, bool]]) -> None:
    ours, theirs = WebSocket(client=client), oracle(client=not client)
    expected: list[Any] = []
    for size, text in sends:
        payload = bytes(itertools.islice(itertools.cycle(range(32, 127)), size))
        ours.send((payload[:3], memoryview(payload)[3:]), text=text)
        expected.append(payload.decode() if text else payload)
    ours.ping(b"sign")
    ours.close()
    ours.send((b"after the end",))
    said = heard(theirs, out(ours))
    assert said[:-2] == expected
    assert said[-2:] == [OraclePing(b"sign"), CloseConnection(1000, "")]


@CLIENT
@given(st.lists(SIZES, max_size=5), cuts)
def test_we_read_what_wsproto_writes(client: bool, sizes: list[int], places: list[int]) -> None:
    ours, theirs = WebSocket(client=client), oracle(client=not client)
    payloads = [bytes(itertools.islice(itertools.cycle(range(256)), size)) for size in sizes]
    wire = b""
    for payload in payloads:
        half = len(payload) // 2
        wire += theirs.send(BytesMessage(data=payload[:half], message_finished=False))
        wire += theirs.send(OraclePing(b"between"))
        wire += theirs.send(BytesMessage(data=payload[half:]))
    wire += theirs.send(CloseConnection(1001, "gone"))
    assert messages(read(ours, cut(wire, places))) == [*payloads, Closed(1001, "gone")]
    pongs = heard(theirs, out(ours))
    assert pongs == [OraclePong(b"between")] * len(sizes) + [CloseConnection(1001, "")]


@CLIENT
def test_the_answer_to_a_ping_is_told(client: bool) -> None:
    ours, theirs = WebSocket(client=client), oracle(client=not client)
    ours.ping(b"1")
    (ping,) = heard(theirs, out(ours))
    assert ours.receive(theirs.send(ping.response())) == [PongReceived(b"1")]


def test_every_message_of_a_client_has_a_mask_of_its_own() -> None:
    ours = WebSocket(client=True)
    for _ in range(20):
        ours.send((bytes(20_000),))
    keys = {bytes(frame[4:8]) for frame in ours.data_to_send()}
    assert len(keys) == 20
    assert bytes(4) not in keys


@given(st.binary(max_size=50), st.binary(min_size=4, max_size=4), st.integers(0, 60))
def test_a_mask_is_xor_with_the_key_in_turn(payload: bytes, key: bytes, start: int) -> None:
    buffer = bytearray(payload)
    mask(buffer, key, start)
    assert buffer[:start] == payload[:start]
    assert list(buffer[start:]) == [byte ^ key[at % 4] for at, byte in enumerate(payload[start:])]


def test_a_payload_is_passed_on_before_its_frame_is_whole() -> None:
    ours = WebSocket(client=True)
    huge = b"\x82\x7f" + (1 << 40).to_bytes(8)
    assert ours.receive(huge + b"abc") == [Piece(memoryview(b"abc"), True, False, False)]
    buffer = bytearray(b"def")
    (piece,) = ours.receive(buffer)
    assert isinstance(piece, Piece)
    buffer[:] = b"xyz"
    assert piece == Piece(memoryview(b"xyz"), False, False, False)


BROKEN = [
    (True, b"\x82\x80abcd", "masked"),
    (False, b"\x82\x01a", "plain"),
    (True, b"\xc2\x00", "extension"),
    (True, b"\x80\x00", "opcode 0 out of turn"),
    (True, b"\x02\x01a\x02\x01a", "opcode 2 out of turn"),
    (True, b"\x83\x00", "opcode 3 out of turn"),
    (True, b"\x8b\x00", "control frame, opcode 11"),
    (True, b"\x09\x00", "control frame, opcode 9"),
    (True, b"\x89\x7e\x00\x7e", "control frame, opcode 9"),
    (True, b"\x82\x7e\x00\x7d", "its length, 125, in 2 bytes"),
    (True, b"\x82\x7f" + (65535).to_bytes(8), "its length, 65535, in 8 bytes"),
    (True, b"\x82\x7f" + (1 << 63).to_bytes(8), "its length, 9223372036854775808"),
    (True, b"\x88\x01\x03", "which is no code"),
    (True, b"\x88\x02\x03\xed", "which is no code"),
    (True, b"\x88\x02\x03\xe7", "which is no code"),
    (True, b"\x88\x02\x13\x88", "which is no code"),
    (True, b"\x88\x03\x03\xe8\xff", "not UTF-8"),
    (True, b"\x89\x00" * 257, "more than 256 pings"),
]


@pytest.mark.parametrize(("client", "wire", "why"), BROKEN)
def test_a_broken_frame_is_named_and_answered_with_1002(
    client: bool, wire: bytes, why: str
) -> None:
    for pieces in ([wire], cut(wire, range(len(wire)))):
        ours = WebSocket(client=client)
        with pytest.raises(PeerError, match=why):
            read(ours, pieces)
        assert heard(oracle(client=not client), out(ours))[-1] == CloseConnection(1002, "")


@pytest.mark.parametrize(
    ("wire", "closed", "answer", "clean"),
    [
        (b"\x88\x00", Closed(1005, ""), 1000, False),
        (b"\x88\x02\x03\xe8", Closed(1000, ""), 1000, True),
        (b"\x88\x06\x0b\xb8late", Closed(3000, "late"), 3000, False),
    ],
)
def test_a_close_is_echoed_and_ends_the_reading(
    wire: bytes, closed: Closed, answer: int, clean: bool
) -> None:
    ours = WebSocket(client=True)
    assert ours.receive(wire + b"\xff" * 20) == [closed]
    assert ours.receive(b"\xff" * 20) == []
    assert (ours.closed, closed.clean) == (closed, clean)
    assert heard(oracle(client=False), out(ours)) == [CloseConnection(answer, "")]


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_a_peer_error_or_nothing(garbage: bytes, client: bool) -> None:
    try:
        WebSocket(client=client).receive(garbage)
    except PeerError:
        return


def test_a_tunnel_carries_bytes_both_ways_and_forgets_boundaries() -> None:
    client, server = Tunnel(client=True), Tunnel(client=False)
    sent = client.wrap([b"head", memoryview(b"payload")])
    assert len(sent) == 1
    assert b"".join(server.unwrap(sent[0])) == b"headpayload"
    assert client.wrap([]) == []
    assert b"".join(client.unwrap(b"".join(server.wrap([b"a"]) + server.wrap([b"b"])))) == b"ab"


def test_a_tunnel_answers_pings_by_itself_and_ends_with_close() -> None:
    tunnel, theirs = Tunnel(client=True), oracle(client=False)
    tunnel.unwrap(theirs.send(OraclePing(b"x")))
    tunnel.close()
    wire = b"".join(tunnel.wrap([b"last"]))
    assert heard(theirs, wire) == [OraclePong(b"x"), b"last", CloseConnection(1000, "")]
    tunnel.unwrap(theirs.send(CloseConnection(1000, "")))
    assert str(tunnel.closed) == "Close 1000"
    assert tunnel.wrap([b"too late"]) == []


def test_a_tunnel_takes_no_text() -> None:
    with pytest.raises(PeerError, match="a text message in a tunnel"):
        Tunnel(client=True).unwrap(b"\x81\x01a")
