"""Connections without a target: they wait, go through, or are reset; none is forgotten."""

from __future__ import annotations

import socket
import time

import pytest

from ferryman.addresses import Address, TcpAddress, UnixAddress
from ferryman.dataplane.contract import DialFailed, Endpoint, Opened, Policy
from tests.support.plane import Plane, accept, address_of, connect, listen, read_exactly

ANY = TcpAddress("127.0.0.1", 0)


def held(plane: Plane, number: int) -> None:
    """Return once so many connections wait."""
    deadline = time.monotonic() + 10
    while plane.call(lambda: plane.engine.counters()["r"].held) != number:
        assert time.monotonic() < deadline


def is_reset(front: Address) -> None:
    """A new connection ends with an RST, which may be there before connect returns."""
    with pytest.raises(ConnectionResetError), connect(front) as client:
        client.recv(1)


def free_address() -> TcpAddress:
    """A port on which nobody listens now, but a test will."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return TcpAddress("127.0.0.1", server.getsockname()[1])


def test_a_connection_waits_for_an_endpoint_and_goes_through(plane: Plane) -> None:
    front = plane.relay(ANY, policy=Policy(hold=30))
    with connect(front) as client, listen(ANY) as listener:
        client.sendall(b"early")
        held(plane, 1)
        plane.endpoints("r", address_of(listener))
        with accept(listener) as server:
            assert read_exactly(server, 5) == b"early"
        assert plane.wait_for(Opened).replays == 0


def test_without_hold_it_is_reset_at_once(plane: Plane) -> None:
    front = plane.relay(ANY, policy=Policy(hold=0))
    is_reset(front)
    assert plane.wait_for(DialFailed).final


def test_it_is_reset_when_nothing_came_in_time(plane: Plane) -> None:
    front = plane.relay(ANY, policy=Policy(hold=0.2))
    is_reset(front)
    failed = plane.wait_for(DialFailed)
    assert (failed.kind, failed.message) == ("held", "no endpoint within 0.2 s")


def test_only_so_many_may_wait(plane: Plane) -> None:
    front = plane.relay(ANY, policy=Policy(hold=30, hold_connections=2))
    waiting = [connect(front), connect(front)]
    held(plane, 2)
    is_reset(front)
    assert plane.wait_for(DialFailed).kind == "full"
    for sock in waiting:
        sock.close()


def test_a_client_that_leaves_frees_its_place(plane: Plane) -> None:
    front = plane.relay(ANY, policy=Policy(hold=30, hold_connections=1))
    connect(front).close()
    held(plane, 0)


@pytest.mark.skipif(not hasattr(__import__("select"), "POLLRDHUP"), reason="poll cannot tell")
def test_one_that_spoke_and_left_gives_way_when_all_places_are_taken(plane: Plane) -> None:
    front = plane.relay(ANY, policy=Policy(hold=30, hold_connections=1))
    with connect(front) as gone:
        gone.sendall(b"request")
    held(plane, 1)  # it may have half-closed only, and wait for an answer
    with connect(front) as client, listen(ANY) as listener:
        client.sendall(b"me")
        deadline = time.monotonic() + 10
        while plane.call(lambda: plane.engine.counters()["r"].failed) != 1:
            assert time.monotonic() < deadline
        plane.endpoints("r", address_of(listener))
        with accept(listener) as server:
            assert read_exactly(server, 2) == b"me"


def test_a_half_closed_client_may_wait_too(plane: Plane) -> None:
    front = plane.relay(ANY, policy=Policy(hold=30))
    with connect(front) as client, listen(ANY) as listener:
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        held(plane, 1)
        plane.endpoints("r", address_of(listener))
        with accept(listener) as server:
            assert read_exactly(server, 7) == b"request"
            server.sendall(b"answer")
            assert read_exactly(client, 6) == b"answer"


def test_a_target_that_refuses_is_tried_again_until_it_listens(plane: Plane) -> None:
    target = free_address()
    front = plane.relay(ANY, target, policy=Policy(hold=30))
    with connect(front) as client:
        client.sendall(b"patience")
        failed = plane.wait_for(DialFailed, 2)
        assert (failed.kind, failed.final) == ("refused", False)
        with listen(target) as listener, accept(listener) as server:
            assert read_exactly(server, 8) == b"patience"


def test_the_next_endpoint_is_tried_before_waiting(plane: Plane) -> None:
    with listen(ANY) as listener:
        front = plane.relay(ANY, free_address(), address_of(listener), policy=Policy(hold=0))
        with connect(front) as client:
            client.sendall(b"x")
            with accept(listener) as server:
                assert read_exactly(server, 1) == b"x"


def test_news_of_endpoints_ends_the_wait_between_dials(plane: Plane) -> None:
    front = plane.relay(ANY, free_address(), policy=Policy(hold=60))
    with connect(front) as client, listen(ANY) as listener:
        plane.wait_for(DialFailed, 3)
        plane.endpoints("r", address_of(listener))
        client.sendall(b"x")
        with accept(listener) as server:
            assert read_exactly(server, 1) == b"x"


def test_a_stale_generation_is_ignored(plane: Plane) -> None:
    with listen(ANY) as listener:
        front = plane.relay(ANY, address_of(listener))
        plane.call(lambda: plane.engine.endpoints("r", [], -1))
        with connect(front) as client, accept(listener) as server:
            client.sendall(b"x")
            assert read_exactly(server, 1) == b"x"


def test_a_draining_endpoint_keeps_what_it_has_and_gets_nothing_new(plane: Plane) -> None:
    with listen(ANY) as old, listen(ANY) as new:
        front = plane.relay(ANY, address_of(old))
        with connect(front) as first, accept(old) as first_server:
            draining = Endpoint(str(address_of(old)), address_of(old), "Draining")
            plane.endpoints("r", draining, address_of(new))
            with connect(front) as second, accept(new) as second_server:
                second.sendall(b"new")
                assert read_exactly(second_server, 3) == b"new"
            first.sendall(b"old")
            assert read_exactly(first_server, 3) == b"old"


def test_the_drain_timeout_ends_what_is_left(plane: Plane) -> None:
    with listen(ANY) as old:
        front = plane.relay(ANY, address_of(old), policy=Policy(hold=0, drain=0.1))
        with connect(front) as client, accept(old):
            plane.endpoints("r")
            with pytest.raises(ConnectionResetError):
                client.recv(1)


@pytest.mark.parametrize(
    ("balance", "expected"),
    [("Newest", {"a": 6, "b": 0}), ("RoundRobin", {"a": 3, "b": 3}),
     ("LeastConnections", {"a": 3, "b": 3})],
)  # fmt: skip
def test_balance(plane: Plane, balance: str, expected: dict[str, int]) -> None:
    with listen(ANY) as a, listen(ANY) as b:
        policy = {
            "Newest": Policy(balance="Newest"),
            "RoundRobin": Policy(balance="RoundRobin"),
            "LeastConnections": Policy(balance="LeastConnections"),
        }[balance]
        front = plane.relay(ANY, policy=policy)
        plane.endpoints("r", Endpoint("a", address_of(a)), Endpoint("b", address_of(b)))
        clients = [connect(front) for _ in range(6)]
        plane.wait_for(Opened, 6)
        endpoints = [e.endpoint for e in plane.events if isinstance(e, Opened)]
        assert {n: endpoints.count(n) for n in "ab"} == expected
        for client in clients:
            client.close()


def test_localhost_falls_back_to_the_other_family(plane: Plane) -> None:
    """Where socat is refused: TCP:localhost with a server on ::1 only."""
    with listen(TcpAddress("::1", 0)) as listener:
        port = listener.getsockname()[1]
        front = plane.relay(ANY, TcpAddress("localhost", port))
        with connect(front) as client, accept(listener) as server:
            client.sendall(b"x")
            assert read_exactly(server, 1) == b"x"


def test_a_name_that_does_not_resolve_says_so(plane: Plane) -> None:
    front = plane.relay(ANY, TcpAddress("no-such-host.invalid", 80))
    is_reset(front)
    assert "no-such-host.invalid" in plane.wait_for(DialFailed).message


def test_a_unix_target_that_is_gone_is_refused(plane: Plane) -> None:
    front = plane.relay(ANY, UnixAddress("/nonexistent/x.sock"))
    is_reset(front)
    failed = plane.wait_for(DialFailed)
    assert failed.kind == "refused"
    assert "/nonexistent/x.sock" in failed.message
