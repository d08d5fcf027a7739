"""SPDY connections, both ends against each other and against frames made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import PeerError
from ferryman.protocols.spdy import frames
from ferryman.protocols.spdy.connection import (
    Connection,
    DataReceived,
    HeadersReceived,
    PongReceived,
    Replied,
    StreamEnded,
    StreamOpened,
    StreamReset,
    WentAway,
)
from ferryman.protocols.spdy.headers import Compressor
from tests.support.split import cuts


def carry(source: Connection, target: Connection) -> list[Any]:
    """What ``target`` makes of all that ``source`` has to say."""
    return [event for data in source.data_to_send() for event in target.receive(data)]


def ends() -> tuple[Connection, Connection]:
    return Connection(client=True), Connection(client=False)


def syn(stream: int, flags: int = 0) -> bytes:
    return frames.SynStream(stream, Compressor().compress({}), flags).encode()


def test_a_stream_is_opened_answered_used_and_closed() -> None:
    client, server = ends()
    stream = client.open_stream({"port": "8000"})
    assert carry(client, server) == [StreamOpened(stream, {"port": "8000"})]
    server.reply(stream, {"ok": "yes"})
    server.send(stream, b"hello")
    server.finish(stream)
    assert carry(server, client) == [
        Replied(stream, {"ok": "yes"}),
        DataReceived(stream, memoryview(b"hello"), ends_frame=True),
        StreamEnded(stream),
    ]
    assert (client.state(stream), server.state(stream)) == ("remote ended", "local ended")
    client.send_headers(stream, {"late": "1"})
    client.finish(stream)
    assert carry(client, server) == [HeadersReceived(stream, {"late": "1"}), StreamEnded(stream)]
    assert (client.state(stream), server.state(stream)) == ("closed", "closed")


def test_a_clients_streams_are_odd_a_servers_even() -> None:
    client, server = ends()
    assert [client.open_stream({}) for _ in range(3)] == [1, 3, 5]
    assert [server.open_stream({}) for _ in range(3)] == [2, 4, 6]
    assert [event.stream for event in carry(server, client)] == [2, 4, 6]


def test_an_rst_ends_both_directions_and_what_crosses_it_is_dropped() -> None:
    client, server = ends()
    stream = client.open_stream({})
    carry(client, server)
    server.reply(stream)
    server.send(stream, b"too late")
    server.finish(stream)
    client.reset(stream, 8)
    assert carry(server, client) == []
    assert carry(client, server) == [StreamReset(stream, 8)]
    server.send(stream, b"nobody")
    server.reply(stream)
    server.finish(stream)
    server.reset(stream)
    assert server.data_to_send() == []


def test_pings_are_answered_and_strange_pongs_are_ignored() -> None:
    client, server = ends()
    assert (client.ping(), client.ping(), server.ping()) == (1, 3, 2)
    assert carry(client, server) == []
    assert carry(server, client) == [PongReceived(1), PongReceived(3)]
    assert carry(client, server) == [PongReceived(2)]
    assert client.receive(frames.Ping(1).encode() + frames.Ping(99).encode()) == []


def test_nothing_is_read_after_goaway() -> None:
    client, server = ends()
    server.go_away(2)
    server.ping()
    assert carry(server, client) == [WentAway(0, 2)]
    assert client.receive(b"\xff" * 100) == []


def test_windows_are_counted_and_gate_nothing() -> None:
    client, _ = ends()
    stream = client.open_stream({})
    client.send(stream, bytes(100_000))
    assert client.window() == client.window(stream) == 65536 - 100_000
    assert sum(map(len, client.data_to_send())) > 100_000
    client.receive(frames.WindowUpdate(0, 500_000).encode())
    client.receive(frames.WindowUpdate(stream, 100_000).encode())
    client.receive(frames.Settings(((0, 4, 100), (0, frames.INITIAL_WINDOW_SIZE, 1000))).encode())
    assert (client.window(), client.window(stream)) == (465_536, 1000)


def test_payloads_are_cut_at_the_largest_frame() -> None:
    client, server = ends()
    stream = client.open_stream({})
    carry(client, server)
    client.send(stream, bytes(frames.DATA_LIMIT + 5))
    assert [len(each.data) for each in carry(client, server)] == [frames.DATA_LIMIT, 5]


def test_small_frames_leave_in_one_buffer_and_large_ones_uncopied() -> None:
    client, _ = ends()
    stream = client.open_stream({})
    client.finish(client.open_stream({}))
    client.send(stream, b"first bytes")
    assert len(client.data_to_send()) == 1
    client.send(stream, bytes(100_000))
    client.ping()
    assert [len(each) for each in client.data_to_send()] == [100_008, 12]


def test_too_many_streams_are_refused_one_by_one() -> None:
    client, server = Connection(client=True), Connection(client=False, max_streams=1)
    first, second = client.open_stream({}), client.open_stream({"port": "1"})
    assert carry(client, server) == [StreamOpened(first, {})]
    assert carry(server, client) == [StreamReset(second, frames.REFUSED_STREAM)]
    client.finish(first)
    server.finish(first)
    carry(server, client)
    carry(client, server)
    third = client.open_stream({"port": "2"})  # the refused block was read: contexts agree
    assert carry(client, server) == [StreamOpened(third, {"port": "2"})]


def test_a_unidirectional_stream_takes_no_answer() -> None:
    _, server = ends()
    server.receive(syn(1, frames.UNIDIRECTIONAL))
    server.send(1, b"x")
    assert server.data_to_send() == []
    assert server.receive(frames.data_head(1, 0, fin=True)) == [StreamEnded(1)]
    assert server.state(1) == "closed"


def test_a_forgotten_stream_is_ignored_not_broken() -> None:
    client, server = ends()
    stream = client.open_stream({})
    carry(client, server)
    server.forget(stream)
    client.send(stream, b"x")
    client.finish(stream)
    assert carry(client, server) == []


def headers_twice() -> list[bytes]:
    """A stream that ends with its SYN, and again with its HEADERS."""
    compressor = Compressor()
    return [
        frames.SynStream(1, compressor.compress({}), frames.FIN).encode(),
        frames.Headers(1, compressor.compress({}), frames.FIN).encode(),
    ]


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (syn(2), "SYN_STREAM 2 after 0"),
        (syn(0), "SYN_STREAM 0 after 0"),
        (syn(3) + frames.data_head(5, 1) + b"x", "stream 5, which was never opened"),
        (frames.RstStream(2, 5).encode(), "stream 2, which was never opened"),
        (frames.RstStream(0, 5).encode(), "stream 0, which was never opened"),
        (frames.WindowUpdate(1, 5).encode(), "stream 1, which was never opened"),
        (syn(1) + frames.SynReply(1, b"").encode(), "ends too early|not zlib"),
        (syn(1, frames.FIN) + frames.data_head(1, 1) + b"x", "after its FIN"),
        (syn(1, frames.FIN) + frames.data_head(1, 0, fin=True), "after its FIN"),
        (frames.WindowUpdate(0, 0x7FFFFFFF).encode(), "window of more than"),
        (b"".join(headers_twice()), "a second FIN on stream 1"),
        (syn(1) + frames.WindowUpdate(1, 0x7FFFFFFF).encode(), "window of more than"),
        (frames.Settings(((0, 7, 0x80000000),)).encode(), "window of more than"),
        (frames.Ping(1).encode() * 1025, "more than 1024 frames"),
    ],
)
def test_a_broken_protocol_names_what_is_wrong(wire: bytes, why: str) -> None:
    with pytest.raises(PeerError, match=why):
        Connection(client=False).receive(wire)


def test_stream_ids_never_go_back() -> None:
    client, server = ends()
    client.open_stream({})
    first = b"".join(client.data_to_send())
    server.receive(first)
    with pytest.raises(PeerError, match="SYN_STREAM 1 after 1"):
        server.receive(frames.SynStream(1, client._compressor.compress({})).encode())


def test_a_second_reply_is_broken() -> None:
    client, server = ends()
    stream = client.open_stream({})
    carry(client, server)
    server.reply(stream)
    server.reply(stream)
    with pytest.raises(PeerError, match="needs none"):
        carry(server, client)


COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(["open", "send", "finish", "reset", "ping", "headers"]),
        st.integers(min_value=0, max_value=4),
        st.booleans(),
    ),
    max_size=40,
)


@given(COMMANDS, cuts)
def test_two_ends_never_break_each_others_protocol(
    commands: list[tuple[str, int, bool]], places: list[int]
) -> None:
    both = ends()
    for command, which, from_client in commands:
        end, other = both if from_client else both[::-1]
        stream = 2 * which + 1
        match command:
            case "open":
                both[0].open_stream({"n": str(which)})
            case "send":
                end.send(stream, b"x" * which)
            case "finish":
                end.finish(stream)
            case "reset":
                end.reset(stream)
            case "ping":
                end.ping()
            case "headers":
                end.send_headers(stream, {"n": str(which)})
        if which % 2:
            carry(end, other)
    for _ in range(3):
        carry(both[0], both[1])
        carry(both[1], both[0])


@given(st.binary(max_size=400), st.booleans())
def test_garbage_is_a_peer_error_or_ignored(garbage: bytes, client: bool) -> None:
    connection = Connection(client=client)
    connection.open_stream({})
    try:
        connection.receive(garbage)
    except PeerError:
        return
