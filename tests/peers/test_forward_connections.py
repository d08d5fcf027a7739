"""Connections through a real `ferry forward`, over each of the three wires into a pod.

The demo speaks one wire at a time, so that the forward finds it by falling back, as it would with
an older cluster.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.demo import Demo, running_demo
from tests.support.forwarding import Program, ferry_forward, get
from tests.support.plane import read_all, read_exactly, reset

MIB = 1 << 20
BULK = 64 * MIB
PATTERN = bytes(i % 251 for i in range(251)) * 4180  # as the demo's programs send it
WIRES = ("tunnel", "spdy", "channels")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="module", params=WIRES)
def wire(request: pytest.FixtureRequest, demo: Demo) -> Iterator[str]:
    name = str(request.param)
    demo.speak(name)
    yield name
    demo.speak(*WIRES)


@pytest.fixture(scope="module")
def forward(demo: Demo, wire: str) -> Iterator[Program]:
    with ferry_forward(demo.kubeconfig, "deploy/example-go", ":8000", ":8999") as program:
        program.ports(4)
        yield program
        assert program.stop() == 0, program.err


@pytest.fixture
def port(forward: Program) -> int:
    """Leads to example-go."""
    return forward.ports(4)[0]


@pytest.fixture
def refused(forward: Program) -> int:
    """Leads to a port on which example-go does not listen."""
    return forward.ports(4)[2]


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def expected(count: int) -> str:
    """The SHA-256 of so many bytes of the pattern."""
    digest = hashlib.sha256()
    whole, rest = divmod(count, len(PATTERN))
    for _ in range(whole):
        digest.update(PATTERN)
    digest.update(PATTERN[:rest])
    return digest.hexdigest()


def test_64_mib_come_down_whole(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", f"/bytes/{BULK}")
    answer, digest = connection.getresponse(), hashlib.sha256()
    while part := answer.read(MIB):
        digest.update(part)
    connection.close()
    assert digest.hexdigest() == expected(BULK)


def test_64_mib_go_up_whole(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = (PATTERN * (BULK // len(PATTERN) + 1))[:BULK]
    connection.request("POST", "/sink", body=body)
    said = connection.getresponse().read().decode()
    connection.close()
    assert str(BULK) in said
    assert expected(BULK) in said


def test_connections_come_one_after_the_other(port: int, wire: str) -> None:
    # A wire of v4 channels carries one connection, and 20 wires a second may be opened.
    answers = {get(port) for _ in range(100 if wire == "channels" else 1000)}
    assert len(answers) == 1


def test_connections_come_at_once(port: int, wire: str) -> None:
    count = 100 if wire == "channels" else 200
    together = threading.Barrier(count)

    def one(_: int) -> str:
        together.wait()
        return get(port)

    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(one, range(count)))
    assert len(answers) == count
    assert len(set(answers)) == 1


def test_a_reset_ends_its_own_connection_only(port: int) -> None:
    with connect(port) as neighbour:
        neighbour.sendall(b"GET /slow?seconds=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for _ in range(20):
            client = connect(port)
            client.sendall(b"GET /bytes/100000000 HTTP/1.1\r\nHost: x\r\n\r\n")
            read_exactly(client, 1000)
            reset(client)
        assert read_all(neighbour).startswith(b"HTTP/1.1 200")
    assert get(port)


def test_a_reader_that_stalls_holds_up_nobody(port: int) -> None:
    with connect(port) as stalled:
        stalled.sendall(b"GET /bytes/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        read_exactly(stalled, 1000)
        began = time.monotonic()
        for _ in range(10):
            assert get(port)
        assert time.monotonic() - began < 5
        read_exactly(stalled, 8 * MIB)  # it has only waited
        reset(stalled)


def test_a_refused_port_does_not_disturb_its_neighbour(
    port: int, refused: int, forward: Program
) -> None:
    with connect(refused) as client:
        client.sendall(b"hello?")
        for _ in range(20):
            assert get(port)
        forward.said("8999")  # what goes on is said
    assert get(port)


@pytest.fixture(scope="module")
def faithful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A cluster that carries half-closes, which containerd does not."""
    with running_demo(tmp_path_factory.mktemp("faithful"), "--half-close") as running:
        yield running


@pytest.mark.parametrize("speaks", ["tunnel", "spdy"])
def test_each_side_may_end_first_and_hear_the_other_out(faithful: Demo, speaks: str) -> None:
    faithful.speak(speaks)
    with ferry_forward(faithful.kubeconfig, "pod/cache-0", ":6379") as program:
        port = program.ports(2)[0]
        with connect(port) as client:
            client.sendall(PATTERN)
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == PATTERN
        with connect(port) as idle:
            idle.shutdown(socket.SHUT_WR)
            assert read_all(idle) == b""
        assert program.stop() == 0
