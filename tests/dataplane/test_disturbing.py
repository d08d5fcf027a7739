"""Faults on real sockets. When exactly, ``test_faults`` says; here, that flows obey.

The plane's clock is the machine's; so tests ask that nothing comes too early, and that it comes.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pytest

from ferryman.addresses import Address, TcpAddress
from ferryman.dataplane.contract import Closed, DialFailed, Event, Opened, Policy
from ferryman.dataplane.loop import portable
from ferryman.faults import parse_all
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

ANY = TcpAddress("127.0.0.1", 0)
MUCH = 8 << 20


@dataclass
class Relay:
    """A relay whose faults are changed as a test goes on."""

    plane: Plane
    listener: socket.socket
    front: Address

    def has(self, *texts: str) -> None:
        self.plane.policy("r", Policy(hold=0, faults=parse_all(texts)))

    def open(self) -> tuple[socket.socket, socket.socket]:
        return connect(self.front), accept(self.listener)


@pytest.fixture
def relay(plane: Plane) -> Iterator[Relay]:
    with listen(ANY) as listener:
        yield Relay(plane, listener, plane.relay(ANY, address_of(listener)))


def carry(source: socket.socket, sink: socket.socket, data: bytes) -> None:
    """Send all of it and the end, and check that it came."""

    def send() -> None:
        source.sendall(data)
        source.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    came = read_all(sink)
    sender.join()
    assert len(came) == len(data)
    assert hashlib.sha256(came).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    "faults",
    [
        ["latency=20ms±10"],
        ["rate=200MB"],
        ["stall=50ms@3MB"],
        ["slice=50k"],
        ["latency=5ms", "rate=500MB", "stall=20ms@1MiB", "slice=200k"],
    ],
)
def test_much_is_held_up_and_comes_unchanged_with_its_end(relay: Relay, faults: list[str]) -> None:
    relay.has(*faults)
    client, server = relay.open()
    with client, server:
        carry(client, server, os.urandom(MUCH))
        carry(server, client, os.urandom(MUCH))
    closed = relay.plane.wait_for(Closed)
    assert (closed.up, closed.down, closed.reset) == (MUCH, MUCH, "")


def test_latency_delays_the_first_byte_and_the_end(relay: Relay) -> None:
    relay.has("latency=100ms,up")
    client, server = relay.open()
    with client, server:
        began = time.monotonic()
        client.sendall(b"x")
        assert read_exactly(server, 1) == b"x"
        heard = time.monotonic()
        assert heard - began >= 0.1
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        assert time.monotonic() - heard >= 0.09


def test_a_reset_comes_after_its_bytes_to_both_ends(relay: Relay) -> None:
    relay.has("reset@1KB,up")
    client, server = relay.open()
    with client, server:
        client.sendall(bytes(1000))
        assert read_exactly(server, 1000) == bytes(1000)
        for end in (client, server):
            with pytest.raises(ConnectionResetError):
                end.recv(1)
    assert relay.plane.wait_for(Closed).reset == "a fault: reset@1000,up"


def test_a_reset_amid_bulk_lets_no_byte_more_pass(relay: Relay) -> None:
    relay.has("reset@3MB,down")
    client, server = relay.open()
    with client, server:
        sender = threading.Thread(target=_send_what_is_taken, args=(server,))
        sender.start()
        with pytest.raises(ConnectionResetError):
            read_all(client)
        sender.join()
    assert relay.plane.wait_for(Closed).down == 3_000_000


def _send_what_is_taken(sock: socket.socket) -> None:
    try:
        sock.sendall(bytes(MUCH))
    except OSError:
        pass


def test_a_dropped_connection_is_reset_before_anybody_is_dialled(relay: Relay) -> None:
    relay.has("drop=100%")
    with pytest.raises(ConnectionResetError), connect(relay.front) as client:
        client.recv(1)
    failed = relay.plane.wait_for(DialFailed)
    assert (failed.kind, failed.message, failed.final) == ("fault", "a fault: drop=100%", True)
    relay.has()
    client, server = relay.open()
    with client, server:
        client.sendall(b"x")
        assert read_exactly(server, 1) == b"x"


def test_a_black_hole_swallows_one_direction_until_it_is_closed(relay: Relay) -> None:
    relay.has("blackhole@1,up")
    client, server = relay.open()
    with client, server:
        client.sendall(b"xyz")
        assert read_exactly(server, 1) == b"x"
        server.sendall(b"answer")
        assert read_exactly(client, 6) == b"answer"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(1)
        server.setblocking(True)
        relay.has()
        assert read_exactly(server, 2) == b"yz"


def test_who_is_reset_in_a_black_hole_is_let_go(relay: Relay) -> None:
    if portable():
        pytest.skip("selectors tell no hang-up where nothing is wanted")
    relay.has("blackhole")
    client, server = relay.open()
    with server:
        client.sendall(b"x")
        reset(client)
        relay.plane.wait_for(Closed)
        with pytest.raises(ConnectionResetError):
            server.recv(1)


def test_faults_befall_open_connections_and_leave_them(relay: Relay) -> None:
    client, server = relay.open()
    with client, server:
        client.sendall(b"x")
        assert read_exactly(server, 1) == b"x"
        relay.has("stall=1m,down")
        server.sendall(b"late")
        client.sendall(b"y")
        assert read_exactly(server, 1) == b"y"
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        client.setblocking(True)
        relay.has()
        assert read_exactly(client, 4) == b"late"


def test_bytes_count_from_when_a_fault_began(relay: Relay) -> None:
    client, server = relay.open()
    with client, server:
        client.sendall(bytes(5000))
        read_exactly(server, 5000)
        relay.has("reset@10,up")
        client.sendall(bytes(20))
        assert read_exactly(server, 10) == bytes(10)
        with pytest.raises(ConnectionResetError):
            server.recv(1)


def test_a_share_of_the_connections_is_dropped(relay: Relay) -> None:
    relay.has("drop=50%")
    many = 40  # all alike: once in 2 ** 39
    for number in range(1, many + 1):
        try:
            connect(relay.front).close()
        except ConnectionResetError:
            pass
        relay.plane.wait(partial(_as_many, number))
    fates = _fates(relay.plane.events)
    assert len(fates) == many
    assert set(fates) == {"Opened", "DialFailed"}


def _as_many(number: int, events: Sequence[Event]) -> bool:
    return len(_fates(events)) >= number


def _fates(events: Sequence[Event]) -> list[str]:
    return [type(e).__name__ for e in events if isinstance(e, Opened | DialFailed)]
