"""Bytes through plain sockets, in all family pairs, with splice and without."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ferryman.addresses import Address, TcpAddress
from ferryman.dataplane.contract import Closed
from tests.support.plane import (
    Plane,
    accept,
    address_of,
    connect,
    listen,
    read_all,
    read_exactly,
    reset,
)

FAMILIES = ["tcp4", "tcp6", "unix"]
ANY = TcpAddress("127.0.0.1", 0)


def send_until_stuck(sock: socket.socket) -> int:
    """Send until nothing is taken for as long as the socket's timeout."""
    sent = 0
    while sent < 256 << 20:
        try:
            sent += sock.send(b"x" * (1 << 20))
        except TimeoutError:
            break
    return sent


class Pair:
    """A client and the server's end of its connection, with the plane between them."""

    def __init__(self, plane: Plane, front: Address, behind: Address) -> None:
        self.listener = listen(behind)
        self.front = plane.relay(front, address_of(self.listener))
        self.client = connect(self.front)
        self.server = accept(self.listener)

    def another(self) -> tuple[socket.socket, socket.socket]:
        return connect(self.front), accept(self.listener)

    def close(self) -> None:
        for sock in (self.client, self.server, self.listener):
            sock.close()


@pytest.fixture
def pair(plane: Plane) -> Iterator[Pair]:
    one = Pair(plane, ANY, ANY)
    yield one
    one.close()


@pytest.mark.parametrize("front", FAMILIES)
@pytest.mark.parametrize("behind", FAMILIES)
def test_both_ways_arrive_unchanged(
    plane: Plane, places: dict[str, Address], front: str, behind: str
) -> None:
    pair = Pair(plane, places[front], places.get(f"{behind} behind", places[behind]))
    payloads = [os.urandom(8 << 20), os.urandom(8 << 20)]
    ends = [pair.client, pair.server]

    def send(end: socket.socket, data: bytes) -> None:
        end.sendall(data)
        end.shutdown(socket.SHUT_WR)

    senders = [threading.Thread(target=send, args=a) for a in zip(ends, payloads, strict=True)]
    heard: list[bytes] = [b"", b""]

    def hear(index: int) -> None:
        heard[index] = read_all(ends[index])

    readers = [threading.Thread(target=hear, args=(i,)) for i in (0, 1)]
    for thread in senders + readers:
        thread.start()
    for thread in senders + readers:
        thread.join(30)
    digests = [hashlib.sha256(h).hexdigest() for h in heard]
    assert digests == [hashlib.sha256(p).hexdigest() for p in reversed(payloads)]
    closed = plane.wait_for(Closed)
    assert (closed.up, closed.down, closed.reset) == (8 << 20, 8 << 20, "")
    pair.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_client_that_half_closes_gets_an_answer_however_late(
    plane: Plane, places: dict[str, Address], family: str
) -> None:
    pair = Pair(plane, places[family], places.get(f"{family} behind", places[family]))
    pair.client.sendall(b"question")
    pair.client.shutdown(socket.SHUT_WR)
    assert read_all(pair.server) == b"question"
    pair.server.sendall(b"answer, after the end of the question")
    assert read_exactly(pair.client, 5) == b"answe"
    pair.server.close()
    assert read_all(pair.client) == b"r, after the end of the question"
    pair.close()


def test_a_server_that_half_closes_goes_on_listening(pair: Pair) -> None:
    pair.server.sendall(b"banner")
    pair.server.shutdown(socket.SHUT_WR)
    assert read_all(pair.client) == b"banner"
    pair.client.sendall(b"a long story")
    assert read_exactly(pair.server, 12) == b"a long story"
    pair.client.close()
    assert read_all(pair.server) == b""


def test_a_reset_of_the_client_is_a_reset_for_the_server(pair: Pair) -> None:
    pair.client.sendall(b"x")
    assert read_exactly(pair.server, 1) == b"x"
    reset(pair.client)
    with pytest.raises(ConnectionResetError):
        pair.server.recv(1)


def test_a_reset_of_the_server_is_a_reset_for_the_client(plane: Plane, pair: Pair) -> None:
    pair.client.sendall(b"x")
    assert read_exactly(pair.server, 1) == b"x"
    reset(pair.server)
    with pytest.raises(ConnectionResetError):
        pair.client.recv(1)
    assert "reset" in plane.wait_for(Closed).reset


def test_an_answer_given_before_closing_unread_input_arrives(pair: Pair) -> None:
    """A server refuses a big upload: it answers, and closes without reading the rest."""
    pair.client.sendall(b"POST " + b"x" * 100_000)
    read_exactly(pair.server, 5)
    pair.server.sendall(b"413 too large")
    pair.server.close()  # with unread input: the kernel sends an RST behind the answer
    assert read_exactly(pair.client, 13) == b"413 too large"


def test_a_stalled_reader_stops_its_sender_and_nobody_else(plane: Plane, pair: Pair) -> None:
    pair.server.settimeout(0.5)
    sent = send_until_stuck(pair.server)
    assert sent < 64 << 20  # socket buffers and one pipe, not our memory
    client, server = pair.another()
    with client, server:
        server.sendall(b"fast")
        assert read_exactly(client, 4) == b"fast"
    pair.server.shutdown(socket.SHUT_WR)
    assert len(read_all(pair.client)) == sent


def test_what_was_sent_before_leaving_altogether_arrives(
    plane: Plane, places: dict[str, Address]
) -> None:
    """A UNIX client that writes and closes both directions at once: HUP comes with the data."""
    pair = Pair(plane, places["unix"], places["tcp4"])
    payload = os.urandom(3 << 20)

    def send_and_leave() -> None:
        pair.client.sendall(payload)
        pair.client.close()

    sender = threading.Thread(target=send_and_leave)
    sender.start()
    assert read_all(pair.server) == payload
    sender.join(10)
    pair.close()


def test_bulk_then_small_then_bulk_changes_the_way_and_loses_nothing(pair: Pair) -> None:
    """Copying and splicing take turns within one connection."""
    for size in (1, 4 << 20, 1, 7, 4 << 20, 3):
        payload = os.urandom(size)
        sender = threading.Thread(target=pair.client.sendall, args=(payload,))
        sender.start()
        assert read_exactly(pair.server, size) == payload
        sender.join(10)
        pair.server.sendall(b"ok")
        assert read_exactly(pair.client, 2) == b"ok"


def test_a_thousand_in_sequence_and_two_hundred_at_once(plane: Plane, pair: Pair) -> None:
    for _ in range(1000):
        client, server = pair.another()
        with client, server:
            client.sendall(b"ping")
            assert read_exactly(server, 4) == b"ping"
            server.sendall(b"pong")
            assert read_exactly(client, 4) == b"pong"
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(pair.front)) for _ in range(200)]
        for number, client in enumerate(clients):
            client.sendall(number.to_bytes(2))
        servers = [stack.enter_context(accept(pair.listener)) for _ in clients]
        for server in servers:
            server.sendall(read_exactly(server, 2))
        assert [int.from_bytes(read_exactly(c, 2)) for c in clients] == list(range(200))
    plane.wait(lambda _: plane.engine.counters()["r"].open == 1 or None)


def test_counters_count_live(plane: Plane, pair: Pair) -> None:
    pair.client.sendall(b"12345")
    assert read_exactly(pair.server, 5) == b"12345"
    counters = plane.engine.counters()["r"]
    assert (counters.open, counters.total, counters.up, counters.down) == (1, 1, 5, 0)
