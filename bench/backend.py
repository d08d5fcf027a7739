"""The far end of every measurement: one cheap loop that sinks, sends or echoes.

A connection opens with nine bytes: what to do and a size (``REQUEST``). ``U`` takes that many bytes
and answers with one; ``D`` sends that many; ``E`` echoes whatever comes. Nothing here depends on a
half-close, because a node's port-forward does not carry one.

Standard library only and in one file: ``forward`` also runs it inside a pod, as
``python backend.py HOST:PORT…``. Prints ``listening`` once it does.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import sys
from collections.abc import Callable

REQUEST = struct.Struct(">cQ")
CHUNK = 1 << 20

_incoming = bytearray(CHUNK)
_outgoing = memoryview(bytes(CHUNK))


class Connection:
    """One connection: first its request, then what the request asks for."""

    def __init__(self, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        self._sock = sock
        self._selector = selector
        self._request = b""
        self._left = 0
        self._next = self._read_request
        selector.register(sock, selectors.EVENT_READ, self)

    def _read_request(self) -> None:
        data = self._sock.recv(REQUEST.size - len(self._request))
        self._request += data
        if not data:
            self._close()
        elif len(self._request) == REQUEST.size:
            what, self._left = REQUEST.unpack(self._request)
            if what == b"D":
                self._when(selectors.EVENT_WRITE, self._send)
            else:
                self._when(selectors.EVENT_READ, self._echo if what == b"E" else self._sink)

    def _sink(self) -> None:
        received = self._sock.recv_into(_incoming)
        self._left -= received
        if not received:
            self._close()
        elif self._left <= 0:
            self._sock.send(b".")
            self._left = sys.maxsize  # only the end is still to come

    def _send(self) -> None:
        self._left -= self._sock.send(_outgoing[: min(CHUNK, self._left)])
        if not self._left:
            self._left = sys.maxsize
            self._when(selectors.EVENT_READ, self._sink)

    def _echo(self) -> None:
        data = self._sock.recv(65536)
        if data:
            self._sock.sendall(data)
        else:
            self._close()

    def turn(self) -> None:
        """Do what the socket is ready for."""
        try:
            self._next()
        except BlockingIOError:
            pass
        except OSError:
            self._close()

    def _when(self, events: int, then: Callable[[], None]) -> None:
        self._next = then
        self._selector.modify(self._sock, events, self)

    def _close(self) -> None:
        self._selector.unregister(self._sock)
        self._sock.close()


def listen(address: str) -> socket.socket:
    """A listener at HOST:PORT or, with a slash in it, at a UNIX socket's path."""
    if "/" in address:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen(4096)
        return listener
    host, _, port = address.rpartition(":")
    listener = socket.create_server((host, int(port)), backlog=4096)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by what it accepts
    return listener


def serve(addresses: list[str]) -> None:
    """Serve until killed."""
    selector = selectors.DefaultSelector()
    for address in addresses:
        listener = listen(address)
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, listener)
    os.write(1, b"listening\n")
    while True:
        for key, _ in selector.select():
            if isinstance(key.data, Connection):
                key.data.turn()
            else:
                _accept(key.data, selector)


def _accept(listener: socket.socket, selector: selectors.BaseSelector) -> None:
    with contextlib.suppress(BlockingIOError):
        for _ in range(64):
            accepted, _address = listener.accept()
            accepted.setblocking(False)
            Connection(accepted, selector)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve(sys.argv[1:])
