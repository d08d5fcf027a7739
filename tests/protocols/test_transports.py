"""How wires begin: requests, answers, refusals; ``transports`` against ``answering`` and h11."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Request
from wsproto.utilities import LocalProtocolError

from ferryman.errors import PeerError, UserError
from ferryman.protocols import transports
from ferryman.protocols.answering import Refused, Switching, answer
from ferryman.protocols.multiplex import (
    Accepted,
    Data,
    Established,
    Event,
    Opening,
    PairOpened,
    Rejected,
)
from tests.support.split import cut, cuts, frozen, joined

PATH = "/api/v1/namespaces/default/pods/web-1/portforward"
TOKEN = (("authorization", "Bearer secret"),)

Begin = Callable[[], Opening]
BEGINS: list[tuple[str, Begin]] = [
    ("SPDY/3.1+portforward.k8s.io", lambda: transports.tunnel("node:6443", PATH, TOKEN)),
    ("SPDY/3.1", lambda: transports.spdy("node:6443", PATH, TOKEN)),
    ("v4.channel.k8s.io", lambda: transports.channels("node:6443", PATH, 8000, TOKEN)),
]
every_transport = pytest.mark.parametrize(("protocol", "begin"), BEGINS)


def asked(opening: Opening) -> h11.Request:
    """The request, as h11's server reads it."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(opening.request)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert isinstance(server.next_event(), h11.EndOfMessage)
    return request


def answered(opening: Opening) -> Switching:
    request = asked(opening)
    query = request.target.decode().partition("?")[2]
    switching = answer(request.method.decode(), query, request.headers.raw_items())
    assert isinstance(switching, Switching)
    return switching


def refusal(status: int, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} No", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def status(code: int, reason: str, message: str) -> bytes:
    return refusal(
        code, json.dumps({"kind": "Status", "reason": reason, "message": message}).encode()
    )


@pytest.mark.parametrize(
    ("begin", "method", "target", "headers"),
    [
        (
            BEGINS[0][1],
            b"GET",
            PATH,
            {b"upgrade": b"websocket", b"sec-websocket-protocol": b"SPDY/3.1+portforward.k8s.io"},
        ),
        (
            BEGINS[1][1],
            b"POST",
            PATH,
            {b"upgrade": b"SPDY/3.1", b"x-stream-protocol-version": b"portforward.k8s.io"},
        ),
        (
            BEGINS[2][1],
            b"GET",
            f"{PATH}?ports=8000",
            {b"upgrade": b"websocket", b"sec-websocket-protocol": b"v4.channel.k8s.io"},
        ),
    ],
)
def test_each_transport_asks_as_client_go_does(
    begin: Begin, method: bytes, target: str, headers: dict[bytes, bytes]
) -> None:
    request = asked(begin())
    common = {b"host": b"node:6443", b"authorization": b"Bearer secret", b"connection": b"Upgrade"}
    assert (request.method, request.target) == (method, target.encode())
    assert (headers | common).items() <= dict(request.headers).items()


@every_transport
@given(places=cuts)
def test_a_wire_begins_and_early_bytes_are_its_first(
    protocol: str, begin: Begin, places: list[int]
) -> None:
    opening = begin()
    switching = answered(opening)
    assert switching.protocol == protocol
    peer = answered(transports.channels("h", PATH, 8000)) if protocol[0] == "v" else None
    early = b"".join(peer.wire.data_to_send()) if peer else b""
    established, events = None, list[Event]()
    for piece in cut(switching.response + early, places):
        if established is None:
            result = opening.receive(piece)
            if result is not None:
                assert isinstance(result, Established)
                established = result
                events += result.events
        else:
            events += established.wire.receive(piece)
    assert established is not None
    assert events == ([Accepted(1)] if peer else [])


@every_transport
def test_both_ends_of_a_wire_understand_each_other(protocol: str, begin: Begin) -> None:
    opening = begin()
    switching = answered(opening)
    established = opening.receive(switching.response)
    assert isinstance(established, Established)
    client, server = established.wire, switching.wire
    pair = client.open(8000)
    client.send(pair, b"up")
    up: list[Any] = [e for piece in client.data_to_send() for e in frozen(server.receive(piece))]
    assert up[-2:] == [PairOpened(1, 8000), Data(1, memoryview(b"up"))]
    server.send(1, b"down")
    down = joined(e for piece in server.data_to_send() for e in frozen(client.receive(piece)))
    assert down == [Accepted(pair), Data(pair, memoryview(b"down"))]


def test_the_tunnels_handshake_is_one_that_wsproto_accepts() -> None:
    opening = transports.tunnel("node", PATH)
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(opening.request)
    (request,) = server.events()
    assert isinstance(request, Request)
    assert request.subprotocols == [transports.TUNNEL]
    established = opening.receive(server.send(AcceptConnection(subprotocol=transports.TUNNEL)))
    assert isinstance(established, Established)
    established.wire.ping()
    for data in established.wire.data_to_send():
        server.receive_data(bytes(data))
    (message,) = server.events()
    assert isinstance(message, BytesMessage)
    assert bytes(message.data) == bytes.fromhex("80030006 00000004 00000001")


def test_wsprotos_client_accepts_our_answer() -> None:
    client = WSConnection(ConnectionType.CLIENT)
    request = client.send(Request(host="node", target=PATH, subprotocols=[transports.TUNNEL]))
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(request)
    head = parser.next_event()
    assert isinstance(head, h11.Request)
    switching = answer("GET", "", head.headers.raw_items())
    assert isinstance(switching, Switching)
    client.receive_data(switching.response)
    (accepted,) = client.events()
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == transports.TUNNEL
    with pytest.raises(LocalProtocolError):
        client.send(AcceptConnection())


FORBIDDEN = 'pods "web-1" is forbidden: User "dev" cannot get resource "pods/portforward"'
PENDING = "pod web-1 does not have a host assigned"


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (status(403, "Forbidden", FORBIDDEN), Rejected(403, FORBIDDEN, None, fall_back=True)),
        (refusal(403), Rejected(403, "HTTP status 403", None, fall_back=True)),
        (refusal(400, b"what?\n"), Rejected(400, "what?", None, fall_back=True)),
        (refusal(200, b"<html>"), Rejected(200, "<html>", None, fall_back=True)),
        (refusal(502), Rejected(502, "HTTP status 502", None, fall_back=True)),
        (status(401, "Unauthorized", "Unauthorized"), Rejected(401, "Unauthorized")),
        (status(404, "NotFound", "pods not found"), Rejected(404, "pods not found")),
        (refusal(404, b"404"), Rejected(404, "404", None, fall_back=True)),
        (status(400, "BadRequest", PENDING), Rejected(400, PENDING)),
        (refusal(429, b"slow", "retry-after: 3"), Rejected(429, "slow", 3.0)),
        (refusal(503, b"busy", "retry-after: 1"), Rejected(503, "busy", 1.0)),
        (refusal(503, b"busy"), Rejected(503, "busy", None, fall_back=True)),
        (refusal(429, b"", "retry-after: ²"), Rejected(429, "HTTP status 429")),
        (refusal(500, b"[1, 2]"), Rejected(500, "[1, 2]", None, fall_back=True)),
        (refusal(500, b'{"kind": "Status"}'), Rejected(500, '{"kind": "Status"}', None, True)),
    ],
)
@given(places=cuts)
def test_a_refusal_is_judged_however_it_is_split(
    wire: bytes, expected: Rejected, places: list[int]
) -> None:
    for _, begin in BEGINS:
        opening = begin()
        results = [opening.receive(piece) for piece in cut(wire, places)]
        assert results[-1] == expected
        assert set(results[:-1]) <= {None}


def test_a_refusal_that_breaks_off_still_says_what_it_said() -> None:
    opening = transports.spdy("node", PATH)
    assert opening.receive(b"HTTP/1.1 500 No\r\ncontent-length: 100\r\n\r\nhal") is None
    assert opening.receive(b"") == Rejected(500, "hal", None, fall_back=True)


def test_a_refusal_of_unknown_length_ends_with_the_connection() -> None:
    opening = transports.spdy("node", PATH)
    assert opening.receive(b"HTTP/1.1 500 No\r\nconnection: close\r\n\r\nwhole") is None
    assert opening.receive(b"") == Rejected(500, "whole", None, fall_back=True)


def test_an_endless_refusal_is_cut() -> None:
    opening = transports.spdy("node", PATH)
    head = b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n"
    assert opening.receive(head) is None
    results = [opening.receive(b"10000\r\n" + b"x" * 65536 + b"\r\n")]
    assert results == [Rejected(500, "x" * 256, None, fall_back=True)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"SPDY/3.1+portforward.k8s.io", b"v4.channel.k8s.io", "the server chose 'v4.channel"),
        (b"sec-websocket-protocol: ", b"x-other: ", "the server chose ''"),
    ],
)
def test_another_sub_protocol_means_to_fall_back(old: bytes, new: bytes, message: str) -> None:
    opening = transports.tunnel("node", PATH)
    rejected = opening.receive(answered(opening).response.replace(old, new))
    assert isinstance(rejected, Rejected)
    assert (rejected.status, rejected.fall_back) == (101, True)
    assert rejected.message.startswith(message)


def test_another_stream_protocol_means_to_fall_back() -> None:
    opening = transports.spdy("node", PATH)
    other = answered(opening).response.replace(b"portforward.k8s.io", b"other")
    rejected = opening.receive(other)
    assert isinstance(rejected, Rejected)
    assert rejected.fall_back


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not an answer in HTTP"),
        (b"", "not an answer in HTTP"),
        (b"HTTP/1.1 101 Hi\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", "Accept"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000, "not an answer in HTTP"),
    ],
)
def test_an_answer_that_is_none_is_a_peer_error(wire: bytes, why: str) -> None:
    with pytest.raises(PeerError, match=why):
        transports.tunnel("node", PATH).receive(wire)


def test_an_extension_that_was_not_offered_is_a_peer_error() -> None:
    opening = transports.tunnel("node", PATH)
    more = b"sec-websocket-extensions: permessage-deflate\r\n\r\n"
    with pytest.raises(PeerError, match="permessage-deflate"):
        opening.receive(answered(opening).response.removesuffix(b"\r\n") + more)


def test_a_credential_that_is_no_header_is_a_user_error_that_keeps_it_secret() -> None:
    with pytest.raises(UserError) as caught:
        transports.spdy("node", PATH, (("authorization", "Bearer sec\nret"),))
    assert "sec" not in str(caught.value)
    assert "cannot be said in HTTP" in str(caught.value)


@given(st.binary(max_size=100))
def test_garbage_is_a_peer_error_or_nothing(garbage: bytes) -> None:
    for _, begin in BEGINS:
        try:
            begin().receive(b"HTTP/1.1 " + garbage)
        except PeerError:
            continue


# What the server's end refuses.

UPGRADE = [(b"Connection", b"keep-alive, Upgrade")]
SPDY_UPGRADE = [*UPGRADE, (b"Upgrade", b"SPDY/3.1")]
WEBSOCKET = [
    *UPGRADE,
    (b"Upgrade", b"WebSocket"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]
V4 = [*WEBSOCKET, (b"Sec-WebSocket-Protocol", b"other, v4.channel.k8s.io")]


@pytest.mark.parametrize(
    ("method", "query", "headers", "code", "text"),
    [
        ("POST", "", [], 400, b"Upgrade request required"),
        ("POST", "", SPDY_UPGRADE[1:], 400, b"Upgrade request required"),
        ("DELETE", "", SPDY_UPGRADE, 400, b"Upgrade request required"),
        ("POST", "", SPDY_UPGRADE, 400, b"X-Stream-Protocol-Version"),
        (
            "POST",
            "",
            [*SPDY_UPGRADE, (b"X-Stream-Protocol-Version", b"v9")],
            403,
            b"x-accepted-stream-protocol-versions: portforward.k8s.io",
        ),
        ("POST", "ports=1", V4, 400, b"Upgrade request required"),
        ("GET", "", WEBSOCKET[:-1], 400, b"version 13"),
        ("GET", "", [*WEBSOCKET[:2], (b"Sec-WebSocket-Version", b"8")], 400, b"version 13"),
        ("GET", "", [*WEBSOCKET[:3], (b"Sec-WebSocket-Key", b"short")], 400, b"version 13"),
        ("GET", "ports=1", [*WEBSOCKET, (b"Sec-WebSocket-Protocol", b"x")], 403, b"length: 0"),
        ("GET", "", V4, 400, b'query parameter \\"port\\" is required'),
        ("GET", "ports=", V4, 400, b'query parameter \\"port\\" is required'),
        ("GET", "ports=80&ports=x", V4, 400, b"unable to parse"),
        ("GET", "ports=65536", V4, 400, b"unable to parse"),
        ("GET", "ports=" + ",".join(["1"] * 65), V4, 400, b"more than 64"),
    ],
)
def test_a_request_that_cannot_be_upgraded_is_told_why(
    method: str, query: str, headers: list[tuple[bytes, bytes]], code: int, text: bytes
) -> None:
    refused = answer(method, query, headers)
    assert isinstance(refused, Refused)
    assert refused.status == code
    assert refused.response.startswith(f"HTTP/1.1 {code} ".encode())
    assert text in refused.response


def test_the_answer_to_the_key_is_that_of_the_rfc() -> None:
    switching = answer("GET", "ports=80", WEBSOCKET)
    assert isinstance(switching, Switching)
    assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in switching.response
    assert b"sec-websocket-protocol" not in switching.response


@pytest.mark.parametrize("query", ["ports=80&ports=81", "ports=80,81", "x=1&ports=80%2C81"])
def test_v4_takes_ports_in_every_form(query: str) -> None:
    base64_form = [*WEBSOCKET, (b"Sec-WebSocket-Protocol", b"v4.base64.channel.k8s.io")]
    for headers in (V4, WEBSOCKET, base64_form):
        switching = answer("GET", query, headers)
        assert isinstance(switching, Switching)
        assert switching.wire.receive(b"") == [PairOpened(1, 80), PairOpened(2, 81)]
