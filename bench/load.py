"""The clients of every measurement: cheap, because they share two cores with what they measure.

Blocking sockets and big buffers. Where several clients are needed they are processes of a pool
that lives as long as the run; they wait for a common start, so that no start-up is measured.

A connection is closed by its client in the ordinary way (FIN, not RST), as most programs do.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from typing import Any

from bench.backend import BODY, REQUEST

Address = tuple[str, int] | str
"""A TCP host and port, or a UNIX socket's path."""

CLIENTS = 16
LEAD = 0.1  # seconds from the order to the common start
TIMEOUT = 20  # seconds, of any single send or receive
SEND_SIZE = 256 * 1024
RECEIVE_SIZE = 1024 * 1024

_TIMEVAL = struct.pack("ll", TIMEOUT, 0)
_zeros = memoryview(bytes(SEND_SIZE))


class Backend:
    """What to say first to ``backend``, and what it says before it sends."""

    echo = REQUEST.pack(b"E", 0)

    @staticmethod
    def upload(size: int) -> bytes:
        return REQUEST.pack(b"U", size)

    @staticmethod
    def download(size: int) -> bytes:
        return REQUEST.pack(b"D", size)

    @staticmethod
    def skip_head(sock: socket.socket) -> None:
        """Read what comes before the bytes that were asked for: here nothing."""


class Http(Backend):
    """The demo's example-go."""

    @staticmethod
    def upload(size: int) -> bytes:
        return b"PUT /sink?hash=no HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size

    @staticmethod
    def download(size: int) -> bytes:
        return b"GET /bytes/%d HTTP/1.1\r\nHost: x\r\n\r\n" % size

    @staticmethod
    def skip_head(sock: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _receive(sock, 1)


class Echo(Backend):
    """The demo's cache: it echoes unasked."""

    echo = b""


def connect(address: Address) -> socket.socket:
    """A blocking connection without Nagle's delay."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(family)
    try:
        # The kernel's timeouts: Python's own would cost a poll for every call.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL)
        sock.connect(address)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        sock.close()
        raise
    return sock


class Clients:
    """Up to CLIENTS client processes that do the same thing at the same time."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def bulk(
        self,
        address: Address,
        up: bool,
        size: int,
        connections: int = 1,
        backend: type[Backend] = Backend,
    ) -> float:
        """Move size bytes, shared out over the connections; returns bytes per second."""
        share = size // connections
        what = _upload if up else _download
        ends: list[float] = self._together(what, connections, address, share, backend)
        return share * connections / max(ends)

    def rate(
        self, address: Address, clients: int, seconds: float, backend: type[Backend] = Backend
    ) -> float:
        """New connections per second: each sends a byte, gets it back and closes."""
        done: list[int] = self._together(_connections, clients, address, seconds, backend)
        return sum(done) / seconds

    def requests(self, address: Address, clients: int, seconds: float) -> float:
        """HTTP requests per second, each client's on one connection."""
        done: list[int] = self._together(_requests, clients, address, seconds)
        return sum(done) / seconds

    def exchange(
        self, address: Address, size: int, times: int, backend: type[Backend] = Backend
    ) -> list[float]:
        """Seconds of each exchange of size bytes on one connection, sorted."""
        (seconds,) = self._together(_exchanges, 1, address, size, times, backend)
        return sorted(seconds)

    def _together(self, what: Callable[..., Any], clients: int, *args: Any) -> list[Any]:
        start = time.monotonic() + LEAD
        pending = [self._pool.submit(what, start, *args) for _ in range(clients)]
        # All of them, also after one failed: the next measurement is to find quiet.
        wait(pending, timeout=3 * TIMEOUT)
        return [each.result(timeout=0) for each in pending]


@contextlib.contextmanager
def clients() -> Iterator[Clients]:
    """The pool, warmed up, for the length of a run."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(CLIENTS, mp_context=context) as pool:
        for ready in [pool.submit(time.sleep, 0.2) for _ in range(CLIENTS)]:
            ready.result()
        yield Clients(pool)


def hold(address: Address, count: int) -> list[socket.socket]:
    """Open connections that have each carried a byte both ways and are now idle."""
    held = []
    for _ in range(count):
        sock = connect(address)
        sock.sendall(Backend.echo + b"!")
        _receive(sock, 1)
        held.append(sock)
    return held


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return ordered[math.ceil(len(ordered) * share) - 1]


def _upload(start: float, address: Address, size: int, backend: type[Backend]) -> float:
    with connect(address) as sock:
        _wait_until(start)
        sock.sendall(backend.upload(size))
        left = size
        while left:
            left -= sock.send(_zeros[: min(left, SEND_SIZE)])
        if not sock.recv(65536):  # the whole answer: closing with bytes unread would be an RST
            raise ConnectionError("no answer to an upload")
        return time.monotonic() - start


def _download(start: float, address: Address, size: int, backend: type[Backend]) -> float:
    buffer = bytearray(RECEIVE_SIZE)
    with connect(address) as sock:
        _wait_until(start)
        sock.sendall(backend.download(size))
        backend.skip_head(sock)
        left = size
        while left:
            received = sock.recv_into(buffer)
            if not received:
                raise ConnectionError(f"ended {left} bytes early")
            left -= received
        return time.monotonic() - start


def _connections(start: float, address: Address, seconds: float, backend: type[Backend]) -> int:
    request = backend.echo + b"!"
    done = 0
    _wait_until(start)
    while time.monotonic() < start + seconds:
        with connect(address) as sock:
            sock.send(request)
            _receive(sock, 1)
        done += 1
    return done


def _requests(start: float, address: Address, seconds: float) -> int:
    request = b"GET /v1/users?page=3 HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n\r\n"
    done = 0
    with connect(address) as sock:
        _wait_until(start)
        while time.monotonic() < start + seconds:
            sock.send(request)
            answer = b""
            while not answer.endswith(BODY):
                received = sock.recv(65536)
                if not received:
                    raise ConnectionError("ended amid an answer")
                answer += received
            done += 1
    return done


def _exchanges(
    start: float, address: Address, size: int, times: int, backend: type[Backend]
) -> list[float]:
    payload = bytes(size)
    seconds = []
    with connect(address) as sock:
        sock.sendall(backend.echo)
        _wait_until(start)
        for _ in range(times):
            before = time.perf_counter()
            sock.send(payload)
            _receive(sock, size)
            seconds.append(time.perf_counter() - before)
    return seconds


def _receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        received = sock.recv(size - len(data))
        if not received:
            raise ConnectionError(f"ended {size - len(data)} bytes early")
        data += received
    return data


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
