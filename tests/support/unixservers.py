"""Servers on UNIX sockets, and clients of theirs, for tests of `ferry tap`."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30


class Echo:
    """Echoes what it hears, a thread a connection; keeps the credentials of who connected."""

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        self.path = path
        self.users: list[int] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(mode)
        self._listener.listen(512)
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, name="echo accepts")]
        self._threads[0].start()

    def stop(self, *, unlink: bool = True) -> None:
        """As a daemon stops: it removes what now has its path. ``unlink=False``: as if killed."""
        if unlink:
            self.path.unlink(missing_ok=True)
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), name="echo serves")
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)
        self._open.discard(connection)


@contextmanager
def echo(path: Path, mode: int = 0o600) -> Iterator[Echo]:
    server = Echo(path, mode)
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            server.stop()


def connect(path: Path | str) -> socket.socket:
    """A connected client with a timeout."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(PATIENCE)
    try:
        client.connect(str(path))
    except BaseException:
        client.close()
        raise
    return client


def says_back(path: Path | str, text: bytes = b"hello") -> bool:
    """Whether a new connection echoes."""
    with connect(path) as client:
        client.sendall(text)
        heard = b""
        while len(heard) < len(text) and (more := client.recv(4096)):
            heard += more
        return heard == text


def inode(path: Path | str) -> int | None:
    """Which file has this name."""
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


class Load:
    """Clients that connect, say something and hear an answer, over and over, until ``end``.

    ``refused`` are connects that failed; ``cut`` are exchanges that did not come to their end.
    """

    def __init__(
        self, path: Path, clients: int, say: bytes = b"x" * 100, hear: bytes = b"x" * 100
    ) -> None:
        self.done = self.cut = 0
        self.refused: list[OSError] = []
        self._path = path
        self._say, self._hear = say, hear
        self._ending = threading.Event()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._run, name="load") for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def more(self, count: int) -> None:
        """Return once so many further exchanges have come to their end."""
        with self._changed:
            goal = self.done + count
            assert self._changed.wait_for(lambda: self.done >= goal or self.refused, PATIENCE)

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                client = connect(self._path)
            except OSError as error:
                self.refused.append(error)
                return
            try:
                with client:
                    client.sendall(self._say)
                    whole = client.recv(len(self._hear), socket.MSG_WAITALL) == self._hear
            except OSError:
                whole = False
            with self._changed:
                self.done += whole
                self.cut += not whole
                self._changed.notify_all()
