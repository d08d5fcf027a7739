"""Port-forward's pairs: transcripts as a 1.36 node speaks them, and both ends in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferryman.errors import PeerError
from ferryman.protocols.multiplex import (
    Accepted,
    Data,
    ErrorEnded,
    ErrorText,
    Finished,
    GoneAway,
    PairAwaited,
    PairOpened,
    PairReset,
    Pong,
)
from ferryman.protocols.portforward import (
    EARLY_DATA_LIMIT,
    PAIR_LIMIT,
    PortForwardClient,
    PortForwardServer,
)
from ferryman.protocols.spdy import frames
from ferryman.protocols.spdy.connection import (
    Connection,
    DataReceived,
    StreamEnded,
    StreamOpened,
    StreamReset,
)
from ferryman.protocols.websocket import Tunnel
from tests.support.split import cut, cuts, feed, frozen, joined

REFUSED = (
    "error forwarding port 8999 to pod 5f1c, uid : failed to execute portforward in network "
    'namespace "/var/run/netns/cni-1": failed to connect to localhost:8999 inside namespace '
    '"5f1c", IPv4: dial tcp4 127.0.0.1:8999: connect: connection refused IPv6 dial tcp6: address '
    "localhost: no suitable address found "
)

Ends = tuple[PortForwardClient, PortForwardServer]


def plain() -> Ends:
    return PortForwardClient(), PortForwardServer()


def tunnelled() -> Ends:
    return PortForwardClient(Tunnel(client=True)), PortForwardServer(Tunnel(client=False))


both_wires = pytest.mark.parametrize("ends", [plain, tunnelled])


def carry(source: Any, target: Any) -> list[Any]:
    """What ``target`` makes of all that ``source`` has to say."""
    return joined(e for data in source.data_to_send() for e in frozen(target.receive(data)))


def data(pair: int, text: bytes) -> Data:
    return Data(pair, memoryview(text))


def node() -> Connection:
    """A node's end made by hand, frame by frame."""
    return Connection(client=False)


# The client's end, against frames in the order in which a node was seen to send them.


def opened() -> tuple[PortForwardClient, Connection]:
    """A client whose pair 1 has the streams 1 (error) and 3 (data)."""
    client, server = PortForwardClient(), node()
    assert client.open(8999) == 1
    carry(client, server)
    return client, server


def test_a_pair_is_opened_in_one_write_with_its_first_data() -> None:
    client, server = PortForwardClient(), node()
    pair = client.open(8000)
    client.send(pair, b"GET / HTTP/1.1\r\n\r\n")
    (wire,) = client.data_to_send()
    assert server.receive(wire) == [
        StreamOpened(1, {"streamtype": "error", "port": "8000", "requestid": "1"}),
        StreamEnded(1),
        StreamOpened(3, {"streamtype": "data", "port": "8000", "requestid": "1"}),
        DataReceived(3, memoryview(b"GET / HTTP/1.1\r\n\r\n"), ends_frame=True),
    ]
    client.open(8000)
    assert [e.stream for e in carry(client, server) if isinstance(e, StreamOpened)] == [5, 7]


@pytest.mark.parametrize("order", [(1, 3), (3, 1)])
def test_replies_may_come_in_any_order(order: tuple[int, int]) -> None:
    client, server = opened()
    server.reply(order[0])
    assert carry(server, client) == []
    server.reply(order[1])
    assert carry(server, client) == [Accepted(1)]


def test_a_normal_end_is_fin_on_data_then_on_error() -> None:
    client, server = opened()
    client.finish(1)
    server.send(3, b"answer")
    server.finish(3)
    server.finish(1)
    assert carry(server, client) == [data(1, b"answer"), Finished(1), ErrorEnded(1)]
    assert carry(client, server) == [StreamEnded(3)]  # and no RST: it was over on both sides


def test_a_failed_dial_is_fin_then_the_text_then_rst_on_error() -> None:
    client, server = opened()
    server.finish(3)
    server.send(1, REFUSED.encode())
    server.reset(1, frames.CANCEL)
    assert carry(server, client) == [Finished(1), ErrorText(1, REFUSED), ErrorEnded(1)]
    assert carry(client, server) == [StreamReset(3, frames.CANCEL)]  # so that it is freed there


def test_a_sandbox_that_is_gone_is_the_text_then_rst_on_both() -> None:
    client, server = opened()
    text = 'network namespace for sandbox "5f1c" is closed'
    server.send(1, text.encode())
    server.reset(3)
    server.reset(1)
    assert carry(server, client) == [ErrorText(1, text), PairReset(1), ErrorEnded(1)]


def test_an_error_belongs_to_its_own_pair() -> None:
    client, server = opened()
    client.open(8000)
    carry(client, server)
    server.send(1, b"refused")
    server.reset(1)
    server.finish(3)
    server.send(7, b"alive")
    assert carry(server, client) == [
        ErrorText(1, "refused"),
        ErrorEnded(1),
        Finished(1),
        data(2, b"alive"),
    ]
    client.send(2, b"still")
    client.send(1, b"nobody")
    assert carry(client, server)[-1] == DataReceived(7, memoryview(b"still"), ends_frame=True)


def test_half_close_leaves_the_other_direction_open() -> None:
    client, server = opened()
    client.finish(1)
    client.send(1, b"after the end")
    assert carry(client, server) == [StreamEnded(3)]
    server.send(3, b"late answer")
    assert carry(server, client) == [data(1, b"late answer")]


def test_a_pair_that_was_given_up_lingers_until_the_node_lets_go() -> None:
    client, server = opened()
    client.reset(1)
    server.send(3, b"crossed")
    assert carry(server, client) == []
    assert carry(client, server) == [StreamReset(3, frames.CANCEL)]
    server.finish(1)
    assert carry(server, client) == [ErrorEnded(1)]
    assert client._pairs == {}
    assert client._by_stream == {}


def test_what_a_node_says_of_a_pair_that_is_over_is_ignored() -> None:
    client, server = opened()
    server.finish(3)
    server.finish(1)
    wire = b"".join(server.data_to_send()) + frames.RstStream(3, frames.CANCEL).encode()
    assert client.receive(wire) == [Finished(1), ErrorEnded(1)]
    other, server = opened()
    other.reset(1)
    server.send(1, b"refused")
    server.reset(1)
    assert carry(server, other) == [ErrorText(1, "refused"), ErrorEnded(1)]


def test_calls_about_pairs_that_never_were_or_are_over_are_ignored() -> None:
    client, server = plain()
    for machine in (client, server):
        for call in (machine.finish, machine.reset):
            call(9)
        machine.send(9, b"x")
    server.succeed(9)
    server.fail(9, "x")
    server.time_out(9)
    assert client.data_to_send() == server.data_to_send() == []


def test_error_text_is_cut_at_its_limit_and_says_nothing_by_halves() -> None:
    client, server = opened()
    server.send(1, b"a" * 60_000)
    server.send(1, "ü".encode() * 60_000)
    server.send(1, b"more")
    wire = b"".join(server.data_to_send())
    events = feed(client.receive, cut(wire, range(0, len(wire), 1000)))
    assert [type(e) for e in events] == [ErrorText, ErrorText]
    assert [len(e.text) for e in events] == [60_000, 5536 // 2]


def test_a_server_that_opens_streams_breaks_the_protocol() -> None:
    client, server = opened()
    server.open_stream({"streamtype": "data"})
    with pytest.raises(PeerError, match="the node opened a stream"):
        carry(server, client)


def test_goaway_is_told_with_its_status() -> None:
    client, server = opened()
    server.go_away(1)
    assert carry(server, client) == [GoneAway("GOAWAY with status 1", clean=False)]


# Both ends against each other, on the plain wire and in the tunnel.


@both_wires
def test_a_connection_from_its_opening_to_its_end(ends: Callable[[], Ends]) -> None:
    client, server = ends()
    pair = client.open(8000)
    client.send(pair, b"question")
    client.finish(pair)
    assert carry(client, server) == [
        PairAwaited(1),
        PairOpened(1, 8000),
        data(1, b"question"),
        Finished(1),
    ]
    assert carry(server, client) == [Accepted(pair)]
    server.send(1, b"answer")
    server.succeed(1)
    server.send(1, b"nobody")
    assert carry(server, client) == [data(pair, b"answer"), Finished(pair), ErrorEnded(pair)]
    assert carry(client, server) == []
    assert not client._pairs
    assert not server._pairs


@both_wires
@pytest.mark.parametrize(
    ("gone", "events"),
    [
        (False, [Accepted(1), Finished(1), ErrorText(1, REFUSED), ErrorEnded(1)]),
        (True, [Accepted(1), ErrorText(1, REFUSED), PairReset(1), ErrorEnded(1)]),
    ],
)
def test_a_failure_is_told_in_the_nodes_order(
    ends: Callable[[], Ends], gone: bool, events: list[Any]
) -> None:
    client, server = ends()
    client.open(8999)
    carry(client, server)
    server.fail(1, REFUSED, gone=gone)
    assert carry(server, client) == events
    assert carry(client, server) == []


@both_wires
def test_resets_pass_both_ways(ends: Callable[[], Ends]) -> None:
    client, server = ends()
    first, second = client.open(1), client.open(2)
    client.reset(first)
    assert carry(client, server)[-1] == PairReset(1)
    server.succeed(1)
    server.reset(2)
    assert carry(server, client) == [
        Accepted(second),
        ErrorEnded(first),
        PairReset(second),
        ErrorEnded(second),
    ]


@both_wires
def test_both_ends_ping(ends: Callable[[], Ends]) -> None:
    client, server = ends()
    asked = client.ping()
    assert carry(client, server) == []
    answered = server.ping()
    assert carry(server, client) == [Pong(asked)]
    assert carry(client, server) == [Pong(answered)]


@both_wires
def test_a_wire_says_once_that_it_ends(ends: Callable[[], Ends]) -> None:
    client, server = ends()
    client.ping()
    client.close()
    (end,) = carry(client, server)
    assert end == GoneAway("GOAWAY with status 0", clean=True)
    assert joined(server.receive(b"anything")) == []


def test_the_end_of_the_tunnel_is_the_end_of_the_wire() -> None:
    client, tunnel = PortForwardClient(Tunnel(client=True)), Tunnel(client=False)
    tunnel.close()
    (close,) = tunnel.wrap([])
    assert client.receive(close) == [GoneAway("Close 1000", clean=True)]


# The node's end, against clients that are not ours.


def stranger(*streams: dict[str, str]) -> tuple[Connection, bytes]:
    client = Connection(client=True)
    for headers in streams:
        client.open_stream(headers)
    return client, b"".join(client.data_to_send())


def test_data_before_error_is_accepted_and_waits() -> None:
    client, server = Connection(client=True), PortForwardServer()
    pair = {"port": "80", "requestid": "7"}
    stream = client.open_stream({"streamtype": "data", **pair})
    client.send(stream, b"ear")
    client.send(stream, b"ly")
    client.finish(stream)
    assert carry(client, server) == [PairAwaited(1)]
    client.open_stream({"streamtype": "error", **pair})
    assert carry(client, server) == [PairOpened(1, 80), data(1, b"early"), Finished(1)]


def test_too_much_data_before_error_is_broken() -> None:
    client, server = Connection(client=True), PortForwardServer()
    stream = client.open_stream({"streamtype": "data", "port": "80", "requestid": "7"})
    client.send(stream, bytes(EARLY_DATA_LIMIT + 1))
    with pytest.raises(PeerError, match="before the error stream"):
        carry(client, server)


def test_pairs_without_requestid_are_guessed_as_kubernetes_does() -> None:
    _, wire = stranger(
        {"streamtype": "error", "port": "1"},
        {"streamtype": "data", "port": "1"},
        {"streamtype": "error", "port": "2"},
        {"streamtype": "data", "port": "2"},
    )
    assert PortForwardServer().receive(wire) == [
        PairAwaited(1),
        PairOpened(1, 1),
        PairAwaited(2),
        PairOpened(2, 2),
    ]


def test_a_lone_error_stream_is_told_that_it_timed_out() -> None:
    client, wire = stranger({"streamtype": "error", "port": "1", "requestid": "x"})
    server = PortForwardServer()
    server.receive(wire)
    server.time_out(1)
    server.time_out(1)
    said = carry(server, client)
    assert said[1:] == [DataReceived(1, memoryview(b"timed out waiting for streams"), True)]


def test_a_complete_pair_does_not_time_out() -> None:
    client, server = plain()
    client.open(1)
    carry(client, server)
    server.time_out(1)
    assert carry(server, client) == [Accepted(1)]


def test_a_second_stream_of_a_kind_is_refused_and_the_pair_is_told() -> None:
    headers = {"streamtype": "error", "port": "1", "requestid": "x"}
    client, wire = stranger(headers, headers)
    server = PortForwardServer()
    assert server.receive(wire) == [PairAwaited(1)]
    text = b"error processing stream for request x: error stream already assigned"
    assert carry(server, client)[2:] == [
        DataReceived(1, memoryview(text), ends_frame=True),
        StreamReset(3, frames.CANCEL),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"streamtype": "stdin", "port": "1"},
        {"streamtype": "data"},
        {"streamtype": "data", "port": "0"},
        {"streamtype": "data", "port": "65536"},
        {"streamtype": "data", "port": "-1"},
        {"streamtype": "data", "port": "\xb2"},
        {"streamtype": "data", "port": "1" * 5000},
    ],
)
def test_a_stream_of_no_use_is_reset_alone(headers: dict[str, str]) -> None:
    client, wire = stranger(headers, {"streamtype": "error", "port": "1", "requestid": "x"})
    server = PortForwardServer()
    assert server.receive(wire) == [PairAwaited(1)]
    assert carry(server, client)[0] == StreamReset(1, frames.CANCEL)


def test_what_follows_on_a_stream_of_no_use_is_ignored() -> None:
    client, server = Connection(client=True), PortForwardServer()
    stream = client.open_stream({"streamtype": "data", "port": "0"})
    client.send(stream, b"x")
    client.finish(stream)
    assert carry(client, server) == []


def test_a_client_has_nothing_to_say_on_the_error_stream() -> None:
    client, server = Connection(client=True), PortForwardServer()
    for kind in ("error", "data"):
        client.open_stream({"streamtype": kind, "port": "80", "requestid": "7"})
    client.send(1, b"noise")
    client.finish(1)
    client.ping()
    assert carry(client, server) == [PairAwaited(1), PairOpened(1, 80)]
    server.finish(1)
    assert StreamEnded(3) in carry(server, client)
    server.succeed(1)
    assert carry(server, client) == [StreamEnded(1)]


def test_pairs_are_limited_even_if_their_streams_are_reset_at_once() -> None:
    client, server = Connection(client=True), PortForwardServer()
    awaited: list[Any] = []
    for request in range(PAIR_LIMIT + 10):
        headers = {"streamtype": "data", "port": "1", "requestid": str(request)}
        client.reset(client.open_stream(headers))
        awaited += carry(client, server)
        server.data_to_send()
    assert len(awaited) == PAIR_LIMIT


# Any split of the bytes, and bytes that are not what they should be.


def conversation(ends: Callable[[], Ends]) -> tuple[bytes, bytes]:
    """All that a client and a server say in a run with a success, a failure and a reset."""
    client, server = ends()
    up, down = [], []

    def turn() -> None:
        for sent in client.data_to_send():
            up.append(bytes(sent))
            server.receive(sent)
        for sent in server.data_to_send():
            down.append(bytes(sent))
            client.receive(sent)

    for port in (1, 2, 3):
        client.send(client.open(port), b"hello " * port * 50)
    client.ping()
    turn()
    client.finish(1)
    client.reset(3)
    server.send(1, b"answer" * 100)
    turn()
    server.succeed(1)
    server.fail(2, REFUSED)
    server.succeed(3)
    turn()
    client.close()
    turn()
    return b"".join(up), b"".join(down)


def listening(ends: Callable[[], Ends]) -> PortForwardClient:
    """A client that has opened what ``conversation`` did."""
    client, _ = ends()
    for port in (1, 2, 3):
        client.open(port)
    client.ping()
    return client


@both_wires
@settings(max_examples=50)
@given(places=cuts)
def test_any_split_of_the_bytes_tells_the_same(ends: Callable[[], Ends], places: list[int]) -> None:
    up, down = conversation(ends)
    assert feed(ends()[1].receive, cut(up, places)) == feed(ends()[1].receive, [up])
    assert feed(listening(ends).receive, cut(down, places)) == feed(listening(ends).receive, [down])


@both_wires
@settings(max_examples=200)
@given(place=st.integers(min_value=0), wrong=st.binary(min_size=1, max_size=8))
def test_any_damage_is_a_peer_error_or_harmless(
    ends: Callable[[], Ends], place: int, wrong: bytes
) -> None:
    up, down = conversation(ends)
    machines: list[tuple[bytes, Any]] = [(up, ends()[1]), (down, listening(ends))]
    for wire, machine in machines:
        damaged = bytearray(wire)
        at = place % len(wire)
        damaged[at : at + len(wrong)] = wrong
        try:
            machine.receive(damaged)
        except PeerError:
            machine.data_to_send()
