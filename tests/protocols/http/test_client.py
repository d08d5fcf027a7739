"""The client's end of HTTP/1.1: requests, streamed bodies, reuse, broken answers."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import PeerError, UserError
from ferryman.protocols.http.client import Body, Client, Ended, Event, Responded
from tests.support.split import cut, cuts

HOST = ("host", "node:6443")


def asked(**headers: str) -> Client:
    client = Client()
    client.request("GET", "/", [HOST, *headers.items()])
    client.end()
    return client


def told(client: Client, *pieces: bytes) -> list[Event]:
    """Events, with neighbouring Body joined."""
    out: list[Event] = []
    for event in (event for piece in pieces for event in client.receive(piece)):
        last = out[-1] if out else None
        if isinstance(event, Body) and isinstance(last, Body):
            out[-1] = Body(last.data + event.data)
        else:
            out.append(event)
    return out


def test_a_body_is_streamed_out_as_it_was_announced() -> None:
    client, server = Client(), h11.Connection(h11.SERVER)
    headers = [HOST, ("transfer-encoding", "chunked")]
    server.receive_data(client.request("PATCH", "/x", headers))
    server.receive_data(client.body(b"one") + client.body(b"two") + client.end())
    events = [server.next_event() for _ in range(4)]
    assert [type(e) for e in events] == [h11.Request, h11.Data, h11.Data, h11.EndOfMessage]
    assert [bytes(e.data) for e in events if isinstance(e, h11.Data)] == [b"one", b"two"]


ANSWERS = [
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"hello", True),
    (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"hello",
        True,
    ),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n", b"", True),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", b"", False),
]


@pytest.mark.parametrize(("wire", "body", "reusable"), ANSWERS)
@given(places=cuts)
def test_an_answer_is_the_same_however_it_is_split(
    wire: bytes, body: bytes, reusable: bool, places: list[int]
) -> None:
    head, *rest = told(asked(), *cut(wire, places))
    assert isinstance(head, Responded)
    assert rest == [*([Body(body)] if body else []), Ended(reusable)]


def test_requests_follow_one_another() -> None:
    client = Client()
    for number in range(3):
        request = client.request("GET", f"/{number}", [HOST]) + client.end()
        assert request.startswith(f"GET /{number} HTTP/1.1\r\n".encode())
        assert told(client, b"HTTP/1.1 204 No Content\r\n\r\n")[-1] == Ended(True)


def test_an_answer_that_the_connection_ends_is_whole_at_its_end() -> None:
    client = asked()
    wire = b"HTTP/1.1 200 OK\r\nX-Case: Kept\r\n\r\nhalf"
    head = Responded(200, (("x-case", "Kept"),))
    assert told(client, wire) == [head, Body(b"half")]
    assert (head.header("x-case"), head.header("x-none")) == ("Kept", "")
    assert told(client, b"") == [Ended(False)]


def test_an_answer_before_the_request_is_whole_does_not_allow_another() -> None:
    client = Client()
    client.request("PUT", "/", [HOST, ("content-length", "10")])
    assert told(client, ANSWERS[0][0])[-1] == Ended(False)


@pytest.mark.parametrize(
    "wire",
    [
        (b"",),
        (b"220 smtp.example.org\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000,),
    ],
)
def test_a_broken_answer_is_a_peer_error(wire: tuple[bytes, ...]) -> None:
    with pytest.raises(PeerError, match="not an answer in HTTP"):
        told(asked(), *wire)


@pytest.mark.parametrize("target", ["/a b", "/\r\nx: y", "/\x00"])
def test_a_request_that_cannot_be_said_is_a_user_error(target: str) -> None:
    with pytest.raises(UserError, match="cannot be said in HTTP"):
        Client().request("GET", target, [HOST])


@given(st.binary(max_size=200))
def test_garbage_is_a_peer_error_or_nothing(garbage: bytes) -> None:
    try:
        told(asked(), garbage, b"")
    except PeerError:
        return
