"""What socat's options do to a dial: trying again, the local end, families, time."""

from __future__ import annotations

import socket

import pytest

from ferryman.addresses import TcpAddress
from ferryman.dataplane.contract import DialFailed
from tests.support.plane import Plane, accept, address_of, connect, listen, read_exactly
from tests.support.written import LISTEN, front

FORK = f"{LISTEN},fork"
ANY = TcpAddress("127.0.0.1", 0)


def test_retry_tries_again_until_there_is_a_server(plane: Plane) -> None:
    with listen(ANY) as server:
        target = address_of(server)
    place = front(plane, FORK, f"TCP:{target},forever,interval=0.01")
    with connect(place) as client:
        client.sendall(b"patience")
        with listen(target) as server, accept(server) as behind:
            assert read_exactly(behind, 8) == b"patience"


def test_retry_gives_up_after_so_many(plane: Plane) -> None:
    with listen(ANY) as server:
        target = address_of(server)
    place = front(plane, FORK, f"TCP:{target},retry=2,interval=0.01")
    with pytest.raises(ConnectionResetError), connect(place) as client:
        client.recv(1)
    assert plane.wait_for(DialFailed).message == f"{target}: connection refused"


def test_a_client_that_leaves_ends_the_trying(plane: Plane) -> None:
    with listen(ANY) as server:
        target = address_of(server)
    place = front(plane, FORK, f"TCP:{target},forever,interval=0.01")
    connect(place).close()
    plane.call(lambda: plane.engine.close(next(iter(plane.listening.values())), "Reset"))
    name = next(iter(plane.listening.values()))
    assert plane.call(lambda: plane.engine.counters()[name].open) == 0


@pytest.mark.parametrize("option", ["bind=127.0.0.3", "bind=127.0.0.3:{port}"])
def test_the_local_end_is_bound(plane: Plane, option: str) -> None:
    with socket.create_server(("127.0.0.3", 0)) as free:
        port = free.getsockname()[1]
    with listen(ANY) as server:
        place = front(plane, FORK, f"TCP:{address_of(server)},{option.format(port=port)}")
        with connect(place), accept(server) as behind:
            host, from_port = behind.getpeername()
    assert host == "127.0.0.3"
    assert "{port}" not in option or from_port == port


def test_the_source_port_is_bound(plane: Plane) -> None:
    with socket.create_server(("0.0.0.0", 0)) as free:
        port = free.getsockname()[1]
    with listen(ANY) as server:
        place = front(plane, FORK, f"TCP:{address_of(server)},sourceport={port},reuseaddr")
        with connect(place), accept(server) as behind:
            assert behind.getpeername()[1] == port


def test_localhost_falls_back_to_the_other_family_unless_one_is_asked_for(plane: Plane) -> None:
    with listen(TcpAddress("::1", 0)) as server:
        port = server.getsockname()[1]
        for target in (f"TCP:localhost:{port}", f"TCP6:localhost:{port}", f"TCP6:[::1]:{port}"):
            with connect(front(plane, FORK, target)), accept(server):
                pass
        place = front(plane, FORK, f"TCP4:localhost:{port}")
        with pytest.raises(ConnectionResetError), connect(place) as client:
            client.recv(1)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("TCP4:[::1]:80", "cannot resolve ::1"),
        ("TCP:a..b:80", "cannot resolve a..b: not a host's name"),
        ("TCP:localhost:no-such-service", "no such service: no-such-service"),
        ("TCP:127.0.0.1:1,bind=:99999", "not a port: '99999'"),
        ("TCP:127.0.0.1:1,bind=192.0.2.1", "cannot assign requested address"),
        ("UDP:127.0.0.1:no-such-service", "no such service"),
        ("UDP:127.0.0.1:1,bind=192.0.2.1", "cannot assign requested address"),
        ("UNIX:/n/o/socket", "no such file or directory"),
        ("TCP-LISTEN:0,bind=192.0.2.1", "cannot assign requested address"),
    ],
)
def test_why_it_was_not_reached(plane: Plane, target: str, words: str) -> None:
    place = front(plane, FORK, target)
    with pytest.raises(ConnectionResetError), connect(place) as client:
        client.recv(1)
    assert words in plane.wait_for(DialFailed).message


def test_a_name_is_given_so_long_and_no_longer(plane: Plane) -> None:
    """A server whose backlog is full does not answer a SYN."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        place_ = "{}:{}".format(*server.getsockname())
        fillers = [socket.socket() for _ in range(3)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(server.getsockname())
            place = front(plane, FORK, f"TCP:{place_},connect-timeout=0.1")
            with pytest.raises(ConnectionResetError), connect(place) as client:
                client.recv(1)
            assert plane.wait_for(DialFailed).message == f"{place_}: no answer within 0.1 s"
        finally:
            for filler in fillers:
                filler.close()
