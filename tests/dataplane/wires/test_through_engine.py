"""The engine on wires: real clients on a listener, pods behind an API server."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time

import pytest

from ferryman.dataplane.contract import Closed, DialFailed, Opened
from ferryman.dataplane.retry import MOST_REPLAYS
from tests.support import portforward_server as pods
from tests.support.plane import Forward, read_all
from tests.support.portforward_server import ApiServer, pattern


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
        assert read_all(client).decode() == f"{len(data)} {hashlib.sha256(data).hexdigest()}"


def test_a_download_arrives_whole(forward: Forward) -> None:
    forward.to(pods.FLOOD)
    with forward.connect() as client:
        client.sendall(b"16000000")
        assert hashlib.sha256(read_all(client)).digest() == (
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
            read_all(client)


def test_a_refused_port_is_dialled_again_until_the_pod_is_another(forward: Forward) -> None:
    forward.to(pods.REFUSE)
    with forward.connect() as client:
        client.sendall(b"patience")
        forward.plane.wait_for(DialFailed)
        forward.to(pods.ECHO, "web-2")
        assert client.recv(100) == b"patience"
    assert forward.plane.wait_for(Opened).endpoint == "uid-web-2"


def test_a_kept_alive_connection_outlives_any_number_of_wires(
    forward: Forward, server: ApiServer
) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    forward.to(pods.SILENT)
    with forward.connect() as client:
        for number in range(MOST_REPLAYS + 2):
            client.sendall(request)
            heard(server, pairs=1 + number, bytes_=len(request) * (2 if number else 1))
            server.cut_wires()
            heard(server, pairs=2 + number, bytes_=len(request))
            server.answer(answer)
            assert client.recv(1000) == answer


def heard(server: ApiServer, pairs: int, bytes_: int) -> None:
    """Return once so many pairs were opened, and what is there has heard so many bytes."""

    def now() -> tuple[int, int]:
        apps = [app for connection in server._connections for app in connection.apps.values()]
        return len(server.opened), sum(app.count for app in apps)

    deadline = time.monotonic() + 10
    while (seen := server.call(now)) != (pairs, bytes_):
        assert time.monotonic() < deadline, seen
