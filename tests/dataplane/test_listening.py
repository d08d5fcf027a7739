"""Listeners belong to their addresses: they outlive targets, names and hand-overs."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ferryman.addresses import TcpAddress, UnixAddress
from ferryman.dataplane.contract import Bind, Bound, NotBound
from tests.support.plane import Plane, accept, address_of, connect, listen, read_exactly

ANY = TcpAddress("127.0.0.1", 0)
BOTH = [Bind(ANY, "tag"), Bind(TcpAddress("::1", 0), "tag")]


def port_of(bound: Bound | NotBound) -> int:
    assert isinstance(bound, Bound), bound
    assert isinstance(bound.address, TcpAddress)
    return bound.address.port


def test_a_random_port_is_one_for_both_families_and_kept(plane: Plane) -> None:
    first = plane.apply(dict.fromkeys(BOTH, "r"))
    ports = {port_of(b) for b in first.values()}
    assert len(ports) == 1
    assert plane.apply(dict.fromkeys(BOTH, "r")) == first
    again = plane.apply({BOTH[1]: "r"})
    assert {port_of(b) for b in again.values()} == ports
    back = plane.apply(dict.fromkeys(BOTH, "r"))
    assert {port_of(b) for b in back.values()} == ports


def test_tags_tell_random_ports_apart(plane: Plane) -> None:
    applied = plane.apply({Bind(ANY, "a"): "a", Bind(ANY, "b"): "b"})
    assert len({port_of(b) for b in applied.values()}) == 2


def test_a_taken_address_is_an_error_of_its_own_and_names_the_holder(plane: Plane) -> None:
    with listen(ANY) as taken:
        bind, free = Bind(address_of(taken)), Bind(ANY, "free")
        applied = plane.apply({bind: "r", free: "r"})
        failure = applied[bind]
        assert isinstance(failure, NotBound)
        assert "address already in use" in failure.message
        if os.path.exists("/proc/net/tcp"):
            assert f"(pid {os.getpid()})" in failure.holder
        assert isinstance(applied[free], Bound)
    assert isinstance(plane.apply({bind: "r", free: "r"})[bind], Bound)


def test_a_hand_over_does_not_rebind_and_loses_nobody(plane: Plane) -> None:
    with listen(ANY) as a, listen(ANY) as b:
        bind = Bind(ANY, "tag")
        port = port_of(plane.apply({bind: "old"})[bind])
        plane.endpoints("old", address_of(a))
        front = TcpAddress("127.0.0.1", port)
        with connect(front) as before, accept(a) as kept:
            plane.apply({})  # the old one is deleted …
            between = connect(front)  # … and for a moment nobody listens, it seems
            plane.apply({bind: "new"})
            plane.endpoints("new", address_of(b))
            with between, accept(b) as server:
                between.sendall(b"x")
                assert read_exactly(server, 1) == b"x"
            before.sendall(b"y")
            assert read_exactly(kept, 1) == b"y"


def test_an_address_nobody_wants_is_closed_after_the_linger(plane: Plane) -> None:
    bind = Bind(ANY, "tag")
    front = TcpAddress("127.0.0.1", port_of(plane.apply({bind: "r"})[bind]))
    plane.apply({})
    waiting = connect(front)
    with waiting, pytest.raises(ConnectionResetError):
        waiting.recv(1)  # until the listener is closed, with us in its backlog
    with pytest.raises(ConnectionRefusedError):
        connect(front)


def test_an_ipv6_listener_leaves_ipv4_alone(plane: Plane) -> None:
    bind = Bind(TcpAddress("::", 0), "tag")
    port = port_of(plane.apply({bind: "r"})[bind])
    with pytest.raises(ConnectionRefusedError):
        connect(TcpAddress("127.0.0.1", port))


def test_a_dead_socket_file_is_replaced_a_living_one_is_not(plane: Plane, tmp_path: Path) -> None:
    dead = UnixAddress(str(tmp_path / "dead.sock"))
    socket_file = socket.socket(socket.AF_UNIX)
    socket_file.bind(dead.path)
    socket_file.close()
    assert isinstance(plane.apply({Bind(dead): "r"})[Bind(dead)], Bound)
    with listen(UnixAddress(str(tmp_path / "alive.sock"))) as alive:
        failure = plane.apply({Bind(address_of(alive)): "r"})[Bind(address_of(alive))]
        assert isinstance(failure, NotBound)
        connect(address_of(alive)).close()


def test_a_file_that_is_no_socket_is_never_touched(plane: Plane, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("data")
    bind = Bind(UnixAddress(str(precious)))
    assert isinstance(plane.apply({bind: "r"})[bind], NotBound)
    assert precious.read_text() == "data"


def test_a_unix_path_goes_with_its_listener_unless_it_is_another_s(tmp_path: Path) -> None:
    from tests.support.plane import plane

    ours, theirs = tmp_path / "ours.sock", tmp_path / "theirs.sock"
    with plane() as one:
        one.apply({Bind(UnixAddress(str(p))): "r" for p in (ours, theirs)})
        theirs.unlink()
        theirs.write_text("somebody else's now")
    assert not ours.exists()
    assert theirs.exists()
