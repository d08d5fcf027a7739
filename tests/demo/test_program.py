"""The pods' programs as real processes."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ferryman.demo.kubelet.process import PROGRAM


class Running:
    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def http(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)


@contextmanager
def program(name: str, **environment: str) -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-S", "-E", str(PROGRAM), name, f"8000=127.0.0.1:{port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"POD_NAME": "pod-1", "PATH": os.defpath, **environment},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if "REFUSE" not in environment:
            assert b"listens on port 8000" in process.stdout.readline()
        drain = threading.Thread(target=process.stdout.read)
        drain.start()
        yield Running(process, port)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        drain.join()
        process.stdout.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, **more: Any) -> bytes:
    connection.request(method, path, **more)
    return connection.getresponse().read()


def test_it_answers_with_its_pods_name_and_keeps_alive() -> None:
    with program("example-go") as running:
        connection = running.http()
        for _ in range(3):
            assert ask(connection, "GET", "/anything?x=1") == b"pod-1\n"
            assert connection.sock is not None  # still the first one
        connection.request("HEAD", "/")
        answer = connection.getresponse()
        assert (answer.headers["content-length"], answer.read()) == ("6", b"")
        connection.close()


def test_requests_may_be_pipelined() -> None:
    with program("web") as running, running.connect() as connection:
        connection.sendall(b"GET /a HTTP/1.1\r\n\r\n" * 5 + b"GET /b HTTP/1.0\r\n\r\n")
        answers = b""
        while data := connection.recv(65536):
            answers += data
        assert answers.count(b"HTTP/1.1 200 OK") == 6
        assert answers.count(b"Connection: close") == 1


def test_downloads_have_a_pattern_and_uploads_a_checksum() -> None:
    size = 3_000_001
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    with program("example-go") as running:
        connection = running.http()
        assert ask(connection, "GET", f"/bytes/{size}") == body
        digest = hashlib.sha256(body).hexdigest()
        assert ask(connection, "POST", "/sink", body=body) == f"{size} {digest}\n".encode()
        chunks = iter([body[:100], body[100:]])
        answer = ask(connection, "POST", "/sink", body=chunks, encode_chunked=True,
                     headers={"Transfer-Encoding": "chunked"})  # fmt: skip
        assert answer == f"{size} {digest}\n".encode()
        assert ask(connection, "PUT", "/sink?hash=no", body=body) == f"{size} -\n".encode()
        connection.close()


def test_slow_answers_late() -> None:
    with program("web") as running:
        connection, before = running.http(), time.monotonic()
        assert ask(connection, "GET", "/slow?seconds=0.2") == b"pod-1\n"
        assert time.monotonic() - before >= 0.2
        connection.close()


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"x" * 70000],
)
def test_garbage_ends_its_own_connection(garbage: bytes) -> None:
    with program("web") as running, running.connect() as bad:
        bad.sendall(garbage)
        bad.shutdown(socket.SHUT_WR)
        try:
            while bad.recv(65536):
                pass
        except ConnectionResetError:
            pass
        connection = running.http()
        assert ask(connection, "GET", "/") == b"pod-1\n"
        connection.close()


def test_the_cache_echoes_and_half_closes() -> None:
    with program("cache") as running, running.connect() as connection:
        connection.sendall(b"abc")
        assert connection.recv(3) == b"abc"
        connection.sendall(b"the rest")
        connection.shutdown(socket.SHUT_WR)
        rest = b""
        while data := connection.recv(100):
            rest += data
        assert rest == b"the rest"


def test_it_serves_on_for_a_moment_after_sigterm() -> None:
    with program("example-go") as running:
        connection = running.http()
        ask(connection, "GET", "/")
        before = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        while time.monotonic() - before < 0.7:
            assert ask(connection, "GET", "/") == b"pod-1\n"
            fresh = running.http()
            assert ask(fresh, "GET", "/") == b"pod-1\n"
            fresh.close()
        assert running.process.wait(10) == 0
        assert 0.9 < time.monotonic() - before < 5
        with pytest.raises(OSError):
            running.connect()
        connection.close()


def test_others_end_at_once_and_linger_can_be_asked_for() -> None:
    with program("web") as running:
        running.process.terminate()
        assert running.process.wait(10) == 0
    with program("web", LINGER="60") as running:
        running.process.terminate()
        connection = running.http()
        assert ask(connection, "GET", "/") == b"pod-1\n"
        connection.close()


def test_it_goes_when_its_standard_input_ends() -> None:
    with program("web") as running:
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert running.process.wait(10) == 0


def test_a_pod_that_refuses_listens_on_nothing() -> None:
    with program("web", REFUSE="1") as running, pytest.raises(ConnectionRefusedError):
        running.connect()


def test_it_may_take_long_to_start_and_still_ends_when_told() -> None:
    with program("web", START_DELAY="60", REFUSE="1") as running:
        time.sleep(0.2)  # until it has its signal handler; before that SIGTERM ends it as well
        running.process.terminate()
        running.process.wait(10)
