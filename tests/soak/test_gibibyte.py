"""A gibibyte each way, every byte checked: through `ferry relay` in all pairs of families, and
through `ferry forward` over each of the three wires.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support.demo import Demo, running_demo
from tests.support.forwarding import FERRY, ferry_forward, running

GIB = 1 << 30
BLOCK = bytes(i % 251 for i in range(251)) * 4180  # as the demo's programs send it
WIRES = ("tunnel", "spdy", "channels")


@pytest.fixture(scope="module")
def whole() -> str:
    """The SHA-256 of a gibibyte of the pattern."""
    digest, left = hashlib.sha256(), GIB
    while left:
        digest.update(BLOCK[:left])
        left -= min(left, len(BLOCK))
    return digest.hexdigest()


def send(sock: socket.socket) -> None:
    left = GIB
    while left:
        sock.sendall(BLOCK[:left])
        left -= min(left, len(BLOCK))
    sock.shutdown(socket.SHUT_WR)


def receive(sock: socket.socket) -> str:
    digest, buffer = hashlib.sha256(), bytearray(1 << 20)
    while count := sock.recv_into(buffer):
        digest.update(memoryview(buffer)[:count])
    return digest.hexdigest()


@pytest.mark.parametrize("target", ["TCP", "UNIX"])
@pytest.mark.parametrize("listen", ["TCP", "UNIX"])
@pytest.mark.parametrize("portable", [False, True], ids=["epoll-and-splice", "portable"])
def test_a_gibibyte_goes_both_ways_at_once_through_a_relay(
    tmp_path: Path, whole: str, listen: str, target: str, portable: bool
) -> None:
    front = "127.0.0.1:0" if listen == "TCP" else str(tmp_path / "front")
    environment = {"FERRYMAN_PORTABLE": "1"} if portable else {}
    with ExitStack() as stack:
        if target == "TCP":
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            back = f"127.0.0.1:{listener.getsockname()[1]}"
        else:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(back := str(tmp_path / "back"))
            listener.listen()
        relay = stack.enter_context(running([*FERRY, "relay", front, back], **environment))
        place = relay.wait_for(lambda: relay.out and relay.out[0].split()[2])
        client = stack.enter_context(dial(place))
        server, _ = listener.accept()
        stack.enter_context(server)
        senders = [threading.Thread(target=send, args=(sock,)) for sock in (client, server)]
        digests: list[str] = []
        receiver = threading.Thread(target=lambda: digests.append(receive(server)))
        for thread in (*senders, receiver):
            thread.start()
        digests.append(receive(client))
        for thread in (*senders, receiver):
            thread.join()
        assert digests == [whole, whole]
        assert relay.stop() == 0


def dial(place: str) -> socket.socket:
    if "/" in place:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(place)
        return sock
    host, _, port = place.rpartition(":")
    return socket.create_connection((host, int(port)))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as started:
        yield started


@pytest.mark.skipif(sys.platform != "linux", reason="the demo's pods need addresses in 127/8")
@pytest.mark.parametrize("wire", WIRES)
def test_a_gibibyte_goes_each_way_through_a_forward(demo: Demo, whole: str, wire: str) -> None:
    demo.speak(wire)
    try:
        with ferry_forward(demo.kubeconfig, "deploy/example-go", ":8000") as forward:
            port, _ = forward.ports(2)
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                connection.request("GET", f"/bytes/{GIB}")
                answer, digest = connection.getresponse(), hashlib.sha256()
                while part := answer.read(1 << 20):
                    digest.update(part)
                assert digest.hexdigest() == whole
                length = {"Content-Length": str(GIB)}
                connection.request("POST", "/sink", body=blocks(), headers=length)
                assert connection.getresponse().read().decode() == f"{GIB} {whole}\n"
            assert forward.stop() == 0, forward.err
    finally:
        demo.speak(*WIRES)


def blocks() -> Iterator[bytes]:
    left = GIB
    while left:
        yield BLOCK[:left]
        left -= min(left, len(BLOCK))
