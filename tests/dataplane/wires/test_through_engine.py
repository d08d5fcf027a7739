"""The engine on wires: real clients on a listener, pods behind an API server."""

from __future__ import annotations

import hashlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from ferryman.addresses import TcpAddress
from ferryman.dataplane.contract import (
    Bind,
    Bound,
    Closed,
    DialFailed,
    Endpoint,
    Opened,
    PodAddress,
)
from tests.support import portforward_server as pods
from tests.support.plane import Plane, plane
from tests.support.portforward_server import ApiServer, pattern


class Forward:
    """A listener that leads to one port of a pod."""

    def __init__(self, plane: Plane, server: ApiServer) -> None:
        self.plane = plane
        self._generation = itertools.count()
        plane.call(lambda: plane.engine.cluster(server.settings()))
        bind = Bind(TcpAddress("127.0.0.1", 0), "forward")
        (bound,) = plane.apply({bind: "forward"}).values()
        assert isinstance(bound, Bound)
        assert isinstance(bound.address, TcpAddress)
        self.address = (bound.address.host, bound.address.port)

    def to(self, port: int, pod: str = "web-1") -> None:
        address = PodAddress("test", "default", pod, f"uid-{pod}", port)
        endpoint = Endpoint(address.uid, address)
        self.plane.call(
            lambda: self.plane.engine.endpoints("forward", [endpoint], next(self._generation))
        )

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=10)


@pytest.fixture
def forward(server: ApiServer) -> Iterator[Forward]:
    with plane() as one:
        yield Forward(one, server)


def everything(client: socket.socket) -> bytes:
    """All that comes until the end."""
    parts = []
    while part := client.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


def test_connections_one_after_the_other_go_through_two_wires(
    forward: Forward, server: ApiServer
) -> None:
    forward.to(pods.LATE)  # pairs whose client has gone stay open behind them
    for number in range(300):
        with forward.connect() as client:
            client.sendall(b"%d" % number)
            assert client.recv(100) == b"%d" % number
    assert server.accepted == 2


def test_many_at_once_all_get_through_within_the_limits(
    forward: Forward, server: ApiServer
) -> None:
    forward.to(pods.ECHO)
    clients = [forward.connect() for _ in range(100)]
    for number, client in enumerate(clients):
        client.sendall(b"%d" % number)
    assert [client.recv(100) for client in clients] == [b"%d" % n for n in range(100)]
    assert server.wires <= 16
    for client in clients:
        client.close()


def test_a_half_closed_upload_is_answered(forward: Forward) -> None:
    forward.to(pods.DIGEST)
    data = pattern(16 << 20)
    with forward.connect() as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        sender.join()
        client.shutdown(socket.SHUT_WR)
        assert everything(client).decode() == f"{len(data)} {hashlib.sha256(data).hexdigest()}"


def test_a_download_arrives_whole(forward: Forward) -> None:
    forward.to(pods.FLOOD)
    with forward.connect() as client:
        client.sendall(b"16000000")
        assert hashlib.sha256(everything(client)).digest() == (
            hashlib.sha256(pattern(16_000_000, 8)).digest()
        )


def test_a_clients_reset_reaches_the_node(forward: Forward, server: ApiServer) -> None:
    forward.to(pods.ECHO)
    client = forward.connect()
    client.sendall(b"x")
    assert client.recv(1) == b"x"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert forward.plane.wait_for(Closed).reset
    while server.resets != 1:
        server.call(lambda: None)


def test_a_truncated_answer_is_a_reset_for_the_client(forward: Forward) -> None:
    forward.to(pods.TEXT)
    with forward.connect() as client:
        client.sendall(b"?")
        with pytest.raises(ConnectionResetError):
            everything(client)


def test_a_refused_port_is_dialled_again_until_the_pod_is_another(forward: Forward) -> None:
    forward.to(pods.REFUSE)
    with forward.connect() as client:
        client.sendall(b"patience")
        forward.plane.wait_for(DialFailed)
        forward.to(pods.ECHO, "web-2")
        assert client.recv(100) == b"patience"
    assert forward.plane.wait_for(Opened).endpoint == "uid-web-2"
