"""The programs that the demo's pods run; the kubelet starts one process a pod with this file.

    python -S -E program.py NAME PORT=HOST:PORT…

It imports nothing of ferryman and little of the library, so it serves some 20 ms after its start.
HTTP has a thread for each connection and blocking calls on big buffers; ``cache``, which under load
has a thousand short ones that linger, serves all of them in one thread. ``PORT`` is the container's
port, ``HOST:PORT`` where that is on this machine. Its standard input is a pipe that nobody writes:
its end means that the demo is gone, and then so is this.

Programs
- ``example-go`` and ``web`` speak HTTP/1.1 (``Http``); ``example-go`` serves on for 1 s after
  SIGTERM, ``web`` ends at once.
- ``cache`` sends back what it gets, and its end too (half-close).

Environment: ``POD_NAME``; ``START_DELAY`` (seconds before it listens), ``LINGER`` (seconds that it
serves on after SIGTERM), ``REFUSE`` (listens on nothing).
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

POD_NAME = os.environ.get("POD_NAME", "")
PATTERN_PERIOD = 251  # a prime: bytes that are shifted or lost never look right
BLOCK = bytes(i % PATTERN_PERIOD for i in range(PATTERN_PERIOD)) * 4180  # about 1 MiB
MAX_HEAD = 65536
BACKLOG = 1024


def log(line: str) -> None:
    """One line for ``kubectl logs``, written at once and whole."""
    os.write(1, f"{line}\n".encode(errors="replace"))


class Echo:
    """A connection whose bytes go back. While some of them are unsent, no more are read."""

    def __init__(self, connection: socket.socket, ready: selectors.BaseSelector) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready.register(connection, selectors.EVENT_READ, self)
        self._connection = connection
        self._ready = ready
        self._rest = memoryview(b"")

    def carry(self, buffer: memoryview) -> None:
        """It can be read, or take what is left over: go on; at the end, end."""
        try:
            if self._rest:
                self._send(self._rest)
            elif count := self._connection.recv_into(buffer):
                self._send(buffer[:count])
            else:
                self._close()
        except OSError as error:
            log(f"connection ended: {error!r}")
            self._close()

    def _send(self, data: memoryview) -> None:
        try:
            sent = self._connection.send(data)
        except BlockingIOError:
            sent = 0
        before, self._rest = self._rest, memoryview(bytes(data[sent:]))
        if bool(before) != bool(self._rest):
            wanted = selectors.EVENT_WRITE if self._rest else selectors.EVENT_READ
            self._ready.modify(self._connection, wanted, self)

    def _close(self) -> None:
        self._ready.unregister(self._connection)
        self._connection.close()


def echo(listener: socket.socket) -> None:
    """Send everything back, then the end."""
    buffer = memoryview(bytearray(262144))
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    listener.setblocking(False)
    while True:
        for key, _ in ready.select():
            if key.data is not None:
                key.data.carry(buffer)
                continue
            try:
                Echo(listener.accept()[0], ready)
            except OSError as error:  # that one is gone already
                log(f"no connection: {error!r}")


class Http:
    """One HTTP/1.1 connection, kept alive. Paths:

    - ``/`` and any other: the pod's name;
    - ``/bytes/N``: N bytes, where byte i is i % 251;
    - ``/sink``: takes any body, answers with its length and SHA-256 (``?hash=no`` leaves it out);
    - ``/slow?seconds=S``: answers after S seconds.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()

    def serve(self) -> None:
        """Answer requests until the client or an error ends the connection."""
        while (head := self._read_head()) is not None:
            lines = head.split("\r\n")
            method, target, version = [*lines[0].split(" "), "", ""][:3]
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:])
            }
            wanted = headers.get("connection", "").lower()
            alive = wanted != "close" if version == "HTTP/1.1" else wanted == "keep-alive"
            log(f"{method} {target}")
            self._answer(method, target, headers, alive)
            if not alive:
                return

    def _answer(self, method: str, target: str, headers: dict[str, str], alive: bool) -> None:
        path, _, query = target.partition("?")
        arguments = dict(part.partition("=")[::2] for part in query.split("&"))
        if headers.get("expect", "").lower() == "100-continue":
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length, digest = 0, "-"
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            length, digest = self._read_body(headers, hashed=arguments.get("hash") != "no")
        if path.startswith("/bytes/") and path[7:].isdigit():
            self._respond(b"application/octet-stream", int(path[7:]), alive)
            if method != "HEAD":
                self._send_pattern(int(path[7:]))
            return
        if path == "/slow":
            time.sleep(min(float(arguments.get("seconds") or 1), 3600))
        body = f"{length} {digest}\n" if path == "/sink" else f"{POD_NAME}\n"
        content = b"" if method == "HEAD" else body.encode()
        self._respond(b"text/plain; charset=utf-8", len(body), alive, content)

    def _respond(self, kind: bytes, length: int, alive: bool, body: bytes = b"") -> None:
        self._connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\nX-Pod: %b\r\n%b\r\n%b"
            % (kind, length, POD_NAME.encode(), b"" if alive else b"Connection: close\r\n", body)
        )

    def _send_pattern(self, count: int) -> None:
        block = memoryview(BLOCK)
        while count > 0:  # every block starts with byte 0 of the pattern
            self._connection.sendall(block[:count])
            count -= len(block)

    def _read_head(self) -> str | None:
        """The next request's head, or None when the client has no more to ask."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD or not self._fill():
                return None
        head = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 4]
        return head

    def _fill(self) -> bool:
        data = self._connection.recv(65536)
        self._buffer += data
        return bool(data)

    def _read_body(self, headers: dict[str, str], *, hashed: bool) -> tuple[int, str]:
        import hashlib  # it takes as long to import as all the rest

        digest = hashlib.sha256()
        total = 0
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self._read_line().partition(b";")[0], 16):
                total += self._consume(size, digest.update if hashed else None)
                self._read_line()
            while self._read_line():
                pass
        else:
            wanted = int(headers.get("content-length") or 0)
            total = self._consume(wanted, digest.update if hashed else None)
        return total, digest.hexdigest() if hashed else "-"

    def _read_line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD or not self._fill():
                raise ConnectionAbortedError
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _consume(self, size: int, update: Callable[[memoryview], None] | None) -> int:
        early = bytes(self._buffer[:size])
        del self._buffer[: len(early)]
        if update:
            update(memoryview(early))
        left = size - len(early)
        view = memoryview(bytearray(min(left, 1048576)))
        while left:
            count = self._connection.recv_into(view[: min(left, len(view))])
            if not count:
                raise ConnectionAbortedError
            if update:
                update(view[:count])
            left -= count
        return size


def http(listener: socket.socket) -> None:
    """Serve HTTP, each connection in a thread."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve_http, args=(connection,), daemon=True).start()


def _serve_http(connection: socket.socket) -> None:
    with connection:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Http(connection).serve()
        except (OSError, ValueError) as error:
            log(f"connection ended: {error!r}")


PROGRAMS: dict[str, tuple[Callable[[socket.socket], None], float]] = {
    "example-go": (http, 1.0),
    "web": (http, 0.0),
    "cache": (echo, 0.0),
}
"""What serves a listener, and how long it serves on after SIGTERM, in seconds."""


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


def _listen(name: str, addresses: list[str]) -> None:
    time.sleep(float(os.environ.get("START_DELAY") or 0))
    serve, _ = PROGRAMS[name]
    for address in addresses:
        port, _, where = address.partition("=")
        host, _, number = where.rpartition(":")
        try:
            listener = socket.create_server((host, int(number)), backlog=BACKLOG)
        except OSError as error:
            log(f"cannot listen on port {port}: {error}")
            os._exit(1)
        log(f"{name} listens on port {port}")
        threading.Thread(target=serve, args=(listener,), daemon=True).start()


def main(name: str, addresses: list[str]) -> None:
    """Serve until SIGTERM (and a little longer), or the end of standard input."""
    # A handler could meet its own thread inside a lock; a blocked signal is simply waited for.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the demo's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if not os.environ.get("REFUSE"):
        threading.Thread(target=_listen, args=(name, addresses), daemon=True).start()
    signal.sigwait({signal.SIGTERM})
    linger = float(os.environ.get("LINGER") or PROGRAMS[name][1])
    log("SIGTERM: serving on for a moment" if linger else "SIGTERM")
    time.sleep(linger)
    os._exit(0)  # whatever is still open breaks off, as in any program that ends


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
