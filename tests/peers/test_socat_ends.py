"""Our ends against socat's own: TLS and UDP both ways, and a terminal."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ferryman.addresses import TcpAddress
from tests.support import peers, tls_ends
from tests.support.plane import Plane, connect, plane, read_all, read_exactly
from tests.support.written import LISTEN, front


@pytest.fixture(name="plane")
def _plane() -> Iterator[Plane]:
    with plane() as one:
        yield one


@contextmanager
def socat(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [peers.require("socat"), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_socats_tls_client_through_our_listener(plane: Plane, tmp_path: Path) -> None:
    both, trusted = tls_ends.files(tmp_path)
    relay = f"OPENSSL-LISTEN:0,bind=127.0.0.1,fork,cert={both},verify=0"
    place = front(plane, relay, 'SYSTEM:"cat; echo done"')
    assert isinstance(place, TcpAddress)
    target = f"OPENSSL:localhost:{place.port},cafile={trusted}"
    with socat("-t", "10", "-", target) as client:
        out, _ = client.communicate(b"x" * 100_000, timeout=20)
    assert out == b"x" * 100_000 + b"done\n"


def test_socats_tls_server_as_our_target(plane: Plane, tmp_path: Path) -> None:
    both, trusted = tls_ends.files(tmp_path)
    port = free_port()
    listener = f"OPENSSL-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,cert={both},verify=0"
    with socat("-t", "10", listener, "SYSTEM:cat; echo done"):
        target = f"OPENSSL:localhost:{port},cafile={trusted},retry=100,interval=0.05"
        with connect(front(plane, f"{LISTEN},fork", target)) as client:
            client.sendall(b"x" * 100_000)
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"x" * 100_000 + b"done\n"


def test_socats_udp_peers_each_have_a_flow(plane: Plane) -> None:
    place = front(
        plane, "UDP-LISTEN:0,bind=127.0.0.1,fork", "SYSTEM:'while read x; do echo got $x; done'"
    )
    assert isinstance(place, TcpAddress)
    with socat("-", f"UDP:{place}") as one, socat("-", f"UDP:{place}") as other:
        for process, word in ((one, b"a"), (other, b"b")):
            assert process.stdin is not None
            process.stdin.write(word + b"\n")
            process.stdin.flush()
        for process, word in ((one, b"a"), (other, b"b")):
            assert process.stdout is not None
            assert process.stdout.readline() == b"got " + word + b"\n"


def test_a_shell_at_a_terminal_as_people_serve_it(plane: Plane) -> None:
    place = front(plane, f"{LISTEN},fork", "EXEC:'sh -i',pty,stderr,setsid,ctty,echo=0")
    assert isinstance(place, TcpAddress)
    with connect(place) as client:
        client.sendall(b"echo $((6*7)); exit\n")
        assert b"42\r\n" in read_all(client)


def test_socats_udp_server_as_our_target(plane: Plane) -> None:
    port = free_port(socket.SOCK_DGRAM)
    with socat("-d", "-d", f"UDP-LISTEN:{port},bind=127.0.0.1,fork", "PIPE") as server:
        assert server.stderr is not None
        while b"listening on" not in server.stderr.readline():
            assert server.poll() is None
        with connect(front(plane, f"{LISTEN},fork", f"UDP:127.0.0.1:{port}")) as client:
            client.sendall(b"echo")
            assert read_exactly(client, 4) == b"echo"
