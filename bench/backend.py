"""The far end of every relay's measurement: one cheap loop that sinks, sends or echoes.

A connection opens with nine bytes: what to do and a size (``REQUEST``). ``U`` takes that many bytes
and answers with one; ``D`` sends that many; ``E`` echoes whatever comes. ``GET /`` is HTTP, which
is answered as long as it lasts. Nothing here depends on a half-close. Linux only, as all of the
bench: it uses epoll itself, because what this loop costs is taken from the cores that the
contenders share with it.

``python backend.py HOST:PORT`` or ``… /run/x.sock`` serves until it is killed.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
from collections.abc import Callable

REQUEST = struct.Struct(">cQ")
CHUNK = 1 << 20
BODY = b'{"users": [%s]}' % b", ".join(b'{"id": %d, "name": "user %d"}' % (n, n) for n in range(8))
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)

_incoming = bytearray(CHUNK)
_outgoing = memoryview(bytes(CHUNK))


class Connection:
    """One connection: first its request, then what the request asks for."""

    def __init__(self, sock: socket.socket, epoll: select.epoll) -> None:
        self._sock = sock
        self._epoll = epoll
        self._early = b""
        self._left = 0
        self.turn: Callable[[], bool] = self._read_request
        epoll.register(sock.fileno(), select.EPOLLIN)

    def close(self) -> None:
        """Close the socket; that takes it from the epoll, too."""
        self._sock.close()

    def _read_request(self) -> bool:
        """Every turn says whether the connection goes on."""
        data = self._sock.recv(65536)
        self._early += data
        if not data or len(self._early) < REQUEST.size:
            return bool(data)
        if self._early.startswith(b"GET /"):
            self.turn = self._answer
            self._say(self._early)
            return True
        what, self._left = REQUEST.unpack_from(self._early)
        early = self._early[REQUEST.size :]
        if what == b"E":
            self.turn = self._echo
            if early:
                self._sock.sendall(early)
        elif what == b"U":
            self.turn = self._sink
            self._took(len(early))
        else:
            self.turn = self._send
            self._epoll.modify(self._sock.fileno(), select.EPOLLOUT)
        return True

    def _sink(self) -> bool:
        received = self._sock.recv_into(_incoming)
        self._took(received)
        return bool(received)

    def _took(self, count: int) -> None:
        self._left -= count
        if self._left <= 0:
            self._sock.send(b".")
            self._left = sys.maxsize  # only the end is still to come

    def _send(self) -> bool:
        self._left -= self._sock.send(_outgoing[: min(CHUNK, self._left)])
        if not self._left:
            self._left = sys.maxsize
            self.turn = self._sink
            self._epoll.modify(self._sock.fileno(), select.EPOLLIN)
        return True

    def _answer(self) -> bool:
        data = self._sock.recv(65536)
        self._say(data)
        return bool(data)

    def _say(self, data: bytes) -> None:
        """Answer; requests come one at a time, and each ends with its head."""
        if data.endswith(b"\r\n\r\n"):
            self._sock.sendall(ANSWER)

    def _echo(self) -> bool:
        data = self._sock.recv(65536)
        if data:
            self._sock.sendall(data)
        return bool(data)


def listen(address: str) -> socket.socket:
    """A listener at HOST:PORT or, with a slash in it, at a UNIX socket's path."""
    if "/" in address:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen(4096)
    else:
        host, _, port = address.rpartition(":")
        listener = socket.create_server((host, int(port)), backlog=4096)
        # Inherited by what it accepts (Linux).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    return listener


def serve(listener: socket.socket) -> None:
    """Serve until killed."""
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    connections: dict[int, Connection] = {}
    while True:
        for number, _ in epoll.poll():
            if number == listener.fileno():
                _accept(listener, epoll, connections)
            elif not _turn(connections[number]):
                connections.pop(number).close()


def _turn(connection: Connection) -> bool:
    try:
        return connection.turn()
    except BlockingIOError:
        return True
    except OSError:
        return False


def _accept(
    listener: socket.socket, epoll: select.epoll, connections: dict[int, Connection]
) -> None:
    with contextlib.suppress(BlockingIOError):
        for _ in range(64):
            accepted, _address = listener.accept()
            accepted.setblocking(False)
            connections[accepted.fileno()] = Connection(accepted, epoll)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve(listen(sys.argv[1]))
