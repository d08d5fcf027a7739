"""UDP: a flow for each peer, datagrams that stay such, and ends that nobody announces."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ferryman.addresses import Address, TcpAddress
from ferryman.dataplane import udp
from ferryman.dataplane.contract import Closed, Exhausted, Opened
from tests.support.plane import (
    PATIENCE,
    Plane,
    accept,
    address_of,
    connect,
    listen,
    read_all,
    read_exactly,
)
from tests.support.written import LISTEN, front, relay_written

UDP = "UDP-LISTEN:0,bind=127.0.0.1"
ANY = TcpAddress("127.0.0.1", 0)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with datagrams() as one:
        yield one


def datagrams(to: Address | None = None) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    if isinstance(to, TcpAddress):
        sock.connect((to.host, to.port))
    else:
        sock.bind(("127.0.0.1", 0))
    return sock


def place(sock: socket.socket) -> str:
    return "{}:{}".format(*sock.getsockname())


def test_every_peer_has_a_flow_of_its_own(plane: Plane, server: socket.socket) -> None:
    relay = front(plane, f"{UDP},fork", f"UDP:{place(server)}")
    with ExitStack() as stack:
        peers = [stack.enter_context(datagrams(relay)) for _ in range(20)]
        for number, peer in enumerate(peers):
            peer.send(f"from {number}".encode())
        for _ in peers:
            said, whence = server.recvfrom(100)
            server.sendto(said + b" answered", whence)
        for number, peer in enumerate(peers):
            assert peer.recv(100) == f"from {number} answered".encode()
    assert plane.wait_for(Opened, 20)


@pytest.mark.parametrize("size", [1, 1400, 9000, 65507])
def test_a_datagram_stays_one(plane: Plane, server: socket.socket, size: int) -> None:
    relay = front(plane, f"{UDP},fork,rcvbuf=1000000", f"UDP:{place(server)}")
    payloads = [os.urandom(size) for _ in range(3)]
    with datagrams(relay) as peer:
        for payload in payloads:
            peer.send(payload)
        peer.send(b"")  # means nothing
        for payload in payloads:
            said, whence = server.recvfrom(1 << 17)
            assert said == payload
            server.sendto(said, whence)
        assert [peer.recv(1 << 17) for _ in payloads] == payloads


def test_a_stream_is_cut_into_datagrams_and_answers_are_joined(
    plane: Plane, server: socket.socket
) -> None:
    relay = front(plane, f"{LISTEN},fork", f"UDP:{place(server)}")
    with connect(relay) as client:
        client.sendall(b"question")
        said, whence = server.recvfrom(100)
        assert said == b"question"
        for part in (b"an", b"swer"):
            server.sendto(part, whence)
        assert read_exactly(client, 6) == b"answer"


def test_after_a_half_close_answers_are_heard_until_it_is_silent(
    plane: Plane, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "LAST_WORDS", 0.2)
    relay = front(plane, f"{LISTEN},fork", f"UDP:{place(server)}")
    with connect(relay) as client:
        client.sendall(b"last")
        client.shutdown(socket.SHUT_WR)
        _, whence = server.recvfrom(100)
        server.sendto(b"late", whence)
        assert read_all(client) == b"late"
    assert plane.wait_for(Closed).reset == ""


def test_a_silent_peer_is_taken_to_be_gone(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "IDLE", 0.2)
    with listen(ANY) as behind_:
        relay = front(plane, f"{UDP},fork", str(address_of(behind_)))
        with datagrams(relay) as peer:
            peer.send(b"hello")
            with accept(behind_) as behind:
                assert read_all(behind) == b"hello"
                assert plane.wait_for(Closed).up == 5
            peer.send(b"again")
            with accept(behind_) as behind:
                assert read_exactly(behind, 5) == b"again"


def test_when_there_are_too_many_the_most_silent_gives_way(
    plane: Plane, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "MOST_PEERS", 3)
    relay = front(plane, f"{UDP},fork", "PIPE")
    with ExitStack() as stack:
        peers = [stack.enter_context(datagrams(relay)) for _ in range(4)]
        for peer in peers:
            peer.send(b"x")
            assert peer.recv(10) == b"x"
        assert plane.wait_for(Closed).connection == plane.wait_for(Opened).connection


def test_with_max_children_there_is_no_other(plane: Plane) -> None:
    relay = front(plane, f"{UDP},fork,max-children=1", "PIPE")
    with datagrams(relay) as one, datagrams(relay) as other:
        one.send(b"first")
        assert one.recv(10) == b"first"
        other.send(b"unheard")
        one.send(b"still")
        assert one.recv(10) == b"still"
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.recv(10)


def test_without_fork_one_peer_is_served_and_then_no_more(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "IDLE", 0.2)
    relay = front(plane, UDP, "PIPE")
    with datagrams(relay) as one, datagrams(relay) as other:
        one.send(b"first")
        assert one.recv(10) == b"first"
        other.send(b"unheard")
        plane.wait_for(Exhausted)
    assert len([e for e in plane.events if isinstance(e, Opened)]) == 1


def test_a_range_is_kept(plane: Plane) -> None:
    relay = front(plane, f"{UDP},fork,range=10.0.0.0/8", "PIPE")
    allowed = front(plane, f"{UDP},fork,range=127.0.0.1:255.255.255.255", "PIPE")
    with datagrams(relay) as outside, datagrams(allowed) as inside:
        outside.send(b"x")
        inside.send(b"y")
        assert inside.recv(10) == b"y"
        outside.setblocking(False)
        with pytest.raises(BlockingIOError):
            outside.recv(10)


def test_a_server_that_is_not_there_ends_the_flow(plane: Plane) -> None:
    with datagrams() as gone:
        target = place(gone)
    relay = front(plane, f"{LISTEN},fork", f"UDP:{target}")
    with connect(relay) as client:
        client.sendall(b"anybody?")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert "refused" in plane.wait_for(Closed).reset


def test_a_taken_port_is_told(plane: Plane, server: socket.socket) -> None:
    port = server.getsockname()[1]
    found = relay_written(plane, f"UDP-LISTEN:{port},bind=127.0.0.1", "PIPE")
    assert "address already in use" in str(found)
