"""v4 channels: messages as a 1.36 node sends them, and both ends in memory."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import PeerError
from ferryman.protocols.channels import (
    ERROR_TEXT_LIMIT,
    MESSAGE_LIMIT,
    SEND_LIMIT,
    ChannelsClient,
    ChannelsServer,
)
from ferryman.protocols.multiplex import (
    Accepted,
    Data,
    ErrorEnded,
    ErrorText,
    Finished,
    GoneAway,
    PairOpened,
    Pong,
)
from ferryman.protocols.websocket import Piece, WebSocket
from tests.support.split import cut, cuts, feed, frozen, joined

ANNOUNCED = (b"\x00@\x1f", b"\x01@\x1f")  # as a 1.36 node sends them for port 8000
CLOSED = [Finished(1), ErrorEnded(1), GoneAway("Close 1000")]


def data(pair: int, text: bytes) -> Data:
    return Data(pair, memoryview(text))


def said(*messages: bytes, client: bool = False, text: bool = False, close: bool = False) -> bytes:
    """The bytes of these messages, as the other end sends them."""
    websocket = WebSocket(client=client)
    for message in messages:
        websocket.send((message,), text=text)
    if close:
        websocket.close()
    return b"".join(websocket.data_to_send())


def carry(source: Any, target: Any) -> list[Any]:
    return joined(e for data in source.data_to_send() for e in frozen(target.receive(data)))


def messages(machine: Any, *, client: bool = False) -> list[bytes]:
    """The messages that a machine has to send."""
    websocket, out = WebSocket(client=client), [b""]
    for sent in machine.data_to_send():
        for event in websocket.receive(sent):
            if isinstance(event, Piece):
                out[-1] += event.data
                if event.ends:
                    out.append(b"")
    return out[:-1]


def test_a_port_is_accepted_when_both_its_channels_are_announced() -> None:
    wire = ChannelsClient(8000)
    assert wire.open(8000) == 1
    assert wire.receive(said(ANNOUNCED[0])) == []
    assert wire.receive(said(ANNOUNCED[1])) == [Accepted(1)]
    assert wire.receive(said(b"\x00hello")) == [data(1, b"hello")]
    wire.send(1, b"ho")
    assert messages(wire) == [b"\x00ho"]


def test_an_error_is_plain_text_and_then_the_wire_ends() -> None:
    wire = ChannelsClient(8000)
    answer = said(*ANNOUNCED, b"\x01error forwarding port 8000", close=True)
    assert wire.receive(answer) == [
        Accepted(1),
        ErrorText(1, "error forwarding port 8000"),
        *CLOSED,
    ]


def test_data_is_passed_on_before_its_message_is_whole() -> None:
    wire = ChannelsClient(8000)
    wire.receive(said(*ANNOUNCED))
    whole = said(b"\x00" + bytes(100_000))
    assert [len(e.data) for e in wire.receive(whole[:60_000]) if isinstance(e, Data)] == [
        60_000 - 10 - 1
    ]
    assert len(feed(wire.receive, [whole[60_000:]])) == 1


def test_there_is_no_half_close_and_a_reset_closes_the_wire() -> None:
    client, server = ChannelsClient(8000), ChannelsServer([8000])
    assert not client.half_closes
    client.finish(1)
    client.send(1, b"still open")
    assert carry(client, server) == [PairOpened(1, 8000), data(1, b"still open")]
    client.reset(1)
    client.send(1, b"nobody")
    assert carry(client, server) == [Finished(1), GoneAway("Close 1000")]


def test_a_pair_that_was_given_up_gets_no_more_data() -> None:
    client = ChannelsClient(8000)
    client.receive(said(*ANNOUNCED))
    client.reset(1)
    assert client.receive(said(b"\x00crossed", close=True)) == [
        ErrorEnded(1),
        GoneAway("Close 1000"),
    ]


def test_a_wire_is_for_one_connection_to_its_port() -> None:
    wire = ChannelsClient(8000)
    with pytest.raises(ValueError, match="to port 8000"):
        wire.open(9000)
    wire.open(8000)
    with pytest.raises(ValueError, match="for one connection"):
        wire.open(8000)


def test_pings_are_numbered_and_strange_pongs_ignored() -> None:
    client, server = ChannelsClient(8000), ChannelsServer([8000])
    assert (client.ping(), client.ping()) == (1, 2)
    carry(client, server)
    assert carry(server, client) == [Accepted(1), Pong(1), Pong(2)]
    assert client.receive(b"\x8a\x01x" + b"\x8a\x08" + bytes(8)) == []


def test_error_text_is_cut_at_its_limit() -> None:
    wire = ChannelsClient(8000)
    texts = said(*ANNOUNCED, b"\x01" + b"a" * 60_000, b"\x01" + b"b" * 60_000, b"\x01more")
    events = wire.receive(texts)[1:]
    assert [len(e.text) for e in events if isinstance(e, ErrorText)] == [
        60_000,
        ERROR_TEXT_LIMIT - 60_000,
    ]


@pytest.mark.parametrize(
    "message", [b"", b"\x02@\x1f", b"\x00", b"\x00@", b"\x00A\x1f", b"\x00@\x1f!"]
)
def test_a_broken_announcement_ends_the_wire(message: bytes) -> None:
    with pytest.raises(PeerError, match=r"announces|channel of no port"):
        ChannelsClient(8000).receive(said(message))


def test_a_message_without_end_ends_the_wire() -> None:
    with pytest.raises(PeerError, match=f"more than {MESSAGE_LIMIT} bytes"):
        ChannelsClient(8000).receive(said(b"\x01" + bytes(MESSAGE_LIMIT + 1)))


def test_the_server_announces_every_port_first() -> None:
    server = ChannelsServer([8000, 9000])
    assert server.receive(b"") == [PairOpened(1, 8000), PairOpened(2, 9000)]
    assert messages(server, client=True) == [*ANNOUNCED, b"\x02(#", b"\x03(#"]


def test_each_port_ends_by_itself_and_the_wire_with_the_last() -> None:
    server = ChannelsServer([8000, 8999])
    server.receive(b"")
    messages(server, client=True)
    server.fail(2, "connection refused")
    server.fail(2, "again")
    server.send(2, b"nobody")
    server.send(1, b"alive")
    assert messages(server, client=True) == [b"\x03connection refused", b"\x00alive"]
    assert server.receive(said(b"\x02late", b"\x01no meaning", b"\x00up", client=True)) == [
        data(1, b"up")
    ]
    server.succeed(1)
    (close,) = server.data_to_send()
    assert close == b"\x88\x02\x03\xe8"


def test_v4_knows_no_half_close_of_the_pod_and_no_time_out() -> None:
    server = ChannelsServer([8000])
    server.data_to_send()
    server.finish(1)
    server.time_out(1)
    assert server.data_to_send() == []
    server.reset(1)
    assert server.data_to_send() == [b"\x88\x02\x03\xe8"]


def test_large_payloads_are_cut_into_messages() -> None:
    client = ChannelsClient(8000)
    client.send(1, bytes(SEND_LIMIT + 1))
    assert [len(message) for message in messages(client)] == [SEND_LIMIT + 1, 2]


def test_the_base64_form_is_text_with_a_digit() -> None:
    server = ChannelsServer([8000], base64=True)
    assert server.receive(said(b"0aGVsbG8=", client=True, text=True)) == [
        PairOpened(1, 8000),
        data(1, b"hello"),
    ]
    server.send(1, b"ho")
    server.fail(1, "no")
    assert messages(server, client=True) == [b"0QB8=", b"1QB8=", b"0aG8=", b"1bm8="]


@pytest.mark.parametrize(
    ("encoded", "text", "message", "why"),
    [
        (False, False, b"", "channel of no port"),
        (False, False, b"\x02x", "channel of no port"),
        (False, True, b"\x00x", "wrong kind"),
        (True, False, b"0eA==", "wrong kind"),
        (True, True, b"2eA==", "channel of no port"),
        (True, True, b"", "channel of no port"),
        (True, True, b"0e", "not base64"),
        (True, True, b"0e!==", "not base64"),
    ],
)
def test_a_broken_message_of_a_client_names_what_is_wrong(
    encoded: bool, text: bool, message: bytes, why: str
) -> None:
    with pytest.raises(PeerError, match=why):
        ChannelsServer([8000], base64=encoded).receive(said(message, client=True, text=text))


@given(st.lists(st.binary(max_size=200), max_size=5), cuts, st.booleans())
def test_any_split_of_the_bytes_tells_the_same(
    payloads: list[bytes], places: list[int], encoded: bool
) -> None:
    down = said(*ANNOUNCED, *(b"\x00" + p for p in payloads), b"\x01why", close=True)
    whole = b"".join(payloads)
    expected = [data(1, whole)] if whole else []
    told = feed(ChannelsClient(8000).receive, cut(down, places))
    assert told == [Accepted(1), *expected, ErrorText(1, "why"), *CLOSED]
    ups = [b"0" + base64.b64encode(p) if encoded else b"\x00" + p for p in payloads]
    up = said(*ups, client=True, text=encoded)
    server = ChannelsServer([8000], base64=encoded)
    assert feed(server.receive, [b"", *cut(up, places)]) == [PairOpened(1, 8000), *expected]


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_a_peer_error_or_nothing(garbage: bytes, framed: bool) -> None:
    for machine, client in ((ChannelsClient(8000), False), (ChannelsServer([8000]), True)):
        try:
            machine.receive(said(garbage, client=client) if framed else garbage)
        except PeerError:
            continue
