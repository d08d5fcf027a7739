"""Listeners as socat writes them: once or often, whom, how many, by which name and mode."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from ferryman.addresses import TcpAddress, UnixAddress
from ferryman.dataplane.contract import Bound, Closed, DialFailed, Exhausted, Opened
from tests.support.plane import Plane, accept, address_of, connect, listen, read_all, read_exactly
from tests.support.written import LISTEN, front, relay_written

ANY = TcpAddress("127.0.0.1", 0)


def echoes(client: socket.socket) -> bool:
    client.sendall(b"hello")
    return read_exactly(client, 5) == b"hello"


def test_without_fork_one_client_is_served_and_the_next_is_refused(plane: Plane) -> None:
    place = front(plane, LISTEN, "PIPE")
    with connect(place) as client:
        assert echoes(client)
        with pytest.raises(ConnectionRefusedError):
            connect(place)
        assert echoes(client)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    plane.wait_for(Exhausted)
    assert isinstance(plane.events[-1], Exhausted), "it is told after the connection's own end"


def test_a_listener_by_default_is_socats_wildcard_and_ipv6_is_asked_for(plane: Plane) -> None:
    bound = relay_written(plane, "TCP-LISTEN:0,fork", "PIPE")
    assert isinstance(bound, Bound)
    assert isinstance(bound.address, TcpAddress)
    assert bound.address.host == "0.0.0.0"
    with connect(TcpAddress("127.0.0.1", bound.address.port)) as client:
        assert echoes(client)
    six = front(plane, "TCP6-LISTEN:0,bind=[::1],fork,ipv6only", "PIPE")
    with connect(six) as client:
        assert echoes(client)


def test_max_children_makes_the_next_one_wait(plane: Plane) -> None:
    place = front(plane, f"{LISTEN},fork,max-children=1", "PIPE")
    with connect(place) as first, connect(place) as second:
        assert echoes(first)
        second.sendall(b"wait")
        first.shutdown(socket.SHUT_WR)
        assert read_all(first) == b""
        assert read_exactly(second, 4) == b"wait"
    opened = [e for e in plane.events if isinstance(e, (Opened, Closed))]
    assert [type(e) for e in opened[:3]] == [Opened, Closed, Opened]


def test_a_range_turns_others_away_and_they_count_for_nothing(plane: Plane) -> None:
    place = front(plane, f"{LISTEN},range=127.0.0.2/32", "PIPE")
    assert isinstance(place, TcpAddress)
    with connect(place) as stranger:
        assert read_all(stranger) == b""
    source = ("127.0.0.2", 0)
    with socket.create_connection((place.host, place.port), 10, source) as client:
        assert echoes(client)


def test_nobody_in_time_is_told(plane: Plane) -> None:
    relay_written(plane, f"{LISTEN},accept-timeout=0.05", "PIPE")
    assert "nobody connected to 127.0.0.1:" in plane.wait_for(DialFailed).message
    plane.wait_for(Exhausted)


def test_a_path_has_its_mode_before_anybody_can_connect_and_goes(
    plane: Plane, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    listen_ = f"UNIX-LISTEN:{path},fork,mode=0620,user={os.getuid()},group={os.getgid()}"
    place = front(plane, listen_, "PIPE")
    assert stat.S_IMODE(path.stat().st_mode) == 0o620
    with connect(place) as client:
        assert echoes(client)
    plane.close()
    assert not path.exists()


def test_umask_and_unlink_options_are_honoured(plane: Plane, tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"in the way")
    taken = relay_written(plane, f"UNIX-LISTEN:{path},fork", "PIPE")
    assert "address already in use" in str(taken)
    front(plane, f"UNIX-LISTEN:{path},fork,unlink-early,umask=0117,unlink-close=0", "PIPE")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    plane.close()
    assert path.exists()


def test_an_abstract_name(plane: Plane) -> None:
    name = f"ferryman-test-{os.getpid()}-{id(plane)}"
    front(plane, f"ABSTRACT-LISTEN:{name},fork", "PIPE")
    place = front(plane, f"{LISTEN},fork", f"ABSTRACT:{name}")
    with connect(place) as client:
        assert echoes(client)


@pytest.mark.parametrize(
    ("listen_", "words"),
    [
        ("TCP-LISTEN:0,bind=127.0.0.1:80", "a listener's port is not bind's"),
        ("TCP-LISTEN:no-such-service", "no such service: no-such-service"),
        ("TCP-LISTEN:0,bind=127.0.0.1,range=nonsense", "not a range: 'nonsense'"),
        ("UNIX-LISTEN:{}/s,user=no-such-user", "no such user: no-such-user"),
        ("UNIX-LISTEN:{}/none/s", "no such file or directory"),
    ],
)
def test_why_it_cannot_listen(plane: Plane, tmp_path: Path, listen_: str, words: str) -> None:
    assert words in str(relay_written(plane, listen_.format(tmp_path), "PIPE"))


def test_a_taken_port_is_told_with_its_holder(plane: Plane) -> None:
    with listen(ANY) as taken:
        address = address_of(taken)
        assert isinstance(address, TcpAddress)
        found = relay_written(plane, f"TCP-LISTEN:{address.port},bind=127.0.0.1", "PIPE")
    assert f"address already in use on {address}" in str(found)
    if os.path.exists("/proc/net/tcp"):
        assert f"(pid {os.getpid()})" in str(found)


def test_socket_options_reach_the_sockets(plane: Plane) -> None:
    place = front(plane, f"{LISTEN},fork,so-keepalive,keepidle=7,nodelay=0,rcvbuf=8192", "PIPE")
    with connect(place) as client:
        assert echoes(client)
        ours = plane.call(lambda: _accepted_sockets(plane))
        assert [o for o in ours if o == (1, 7, 0)]


def _accepted_sockets(plane: Plane) -> list[tuple[int, int, int]]:
    """Keepalive, its idle time and nodelay of the connections that the plane has accepted."""
    found = []
    for route in plane.engine._routes.values():
        for connection in route._connections:
            sock = getattr(connection.client, "sock", None)
            assert isinstance(sock, socket.socket)
            found.append((
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
            ))  # fmt: skip
    return found


def test_an_address_without_listener_is_opened_as_the_one_client(plane: Plane) -> None:
    with listen(ANY) as left, listen(ANY) as right:
        relay_written(plane, f"TCP:{address_of(left)}", f"TCP:{address_of(right)}")
        with accept(left) as one, accept(right) as other:
            one.sendall(b"over")
            assert read_exactly(other, 4) == b"over"
            other.close()
            assert read_all(one) == b""
    plane.wait_for(Exhausted)


def test_a_listener_as_a_target_waits_for_its_one_client(plane: Plane, tmp_path: Path) -> None:
    path = UnixAddress(f"{tmp_path}/back")
    place = front(plane, f"{LISTEN},fork", f"UNIX-LISTEN:{path}")
    for number in (1, 2):
        with connect(place) as client:
            client.sendall(b"anybody?")
            plane.call(lambda: None)  # by then it listens
            with connect(path) as back:
                assert read_exactly(back, 8) == b"anybody?"
                back.sendall(b"me")
                assert read_exactly(client, 2) == b"me"
        plane.wait_for(Closed, number)
