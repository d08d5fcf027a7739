"""A connection to a server that is told again what an earlier one was told.

What is said and answered comes out as ``inspection.feed`` records, as a relay would have told
them, so that the same decoders say when an answer is complete. Blocking: one thing after another.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from ferryman.addresses import Address, TcpAddress
from ferryman.dataplane.sockets import kernel_path
from ferryman.errors import Unavailable
from ferryman.inspection import feed
from ferryman.inspection.feed import DOWN, UP

_READ = 64 << 10
_LISTENER = "replay"

Tell = Callable[[feed.Record], None]


class Conversation:
    """One connection; ``open`` it first. ``received`` counts the answer's bytes.

    Methods raise Unavailable if the server cannot be reached; a connection that the server ends is
    no error: it is ``over``.
    """

    def __init__(self, number: int, address: Address, tell: Tell, timeout: float) -> None:
        self.over = False
        self.received = 0
        self._number = number
        self._address = address
        self._tell = tell
        self._timeout = timeout
        self._sent = 0
        self._socket = _connect(address, timeout)
        client = self._socket.getsockname()
        name = str(TcpAddress(client[0], client[1])) if isinstance(client, tuple) else "replay"
        tell(feed.Opened(number, time.time_ns(), _LISTENER, name, str(address)))

    def say(self, data: bytes) -> None:
        """Send it."""
        self._tell(feed.Chunk(self._number, time.time_ns(), UP, data))
        self._sent += len(data)
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(data)
        except OSError:
            pass  # what the server still says to that is worth reading

    def listen(self, enough: Callable[[], bool], timeout: float | None = None) -> bool:
        """Read until it is enough, or the server ends it; False if time is up first."""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        while not (self.over or enough()):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(_READ)
            except TimeoutError:
                return False
            except OSError as error:
                self._end(error.strerror or str(error))
                break
            if not data:
                self._tell(feed.Ended(self._number, time.time_ns(), DOWN))
                self._end("")
                break
            self.received += len(data)
            self._tell(feed.Chunk(self._number, time.time_ns(), DOWN, data))
        return True

    def close(self, patience: float = 0) -> None:
        """Say no more; listen to the last words for so many seconds."""
        if self.over:
            return
        self._tell(feed.Ended(self._number, time.time_ns(), UP))
        if patience:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            self.listen(lambda: False, patience)
        if not self.over:
            self._end("")

    def _end(self, reset: str) -> None:
        self.over = True
        self._socket.close()
        now = time.time_ns()
        self._tell(feed.Closed(self._number, now, self._sent, self.received, reset))


def _connect(address: Address, timeout: float) -> socket.socket:
    try:
        if isinstance(address, TcpAddress):
            place = (address.host or "localhost", address.port)
            return socket.create_connection(place, timeout)
        unix = socket.socket(socket.AF_UNIX)
        try:
            unix.settimeout(timeout)
            unix.connect(kernel_path(address.path))
        except OSError:
            unix.close()
            raise
        return unix
    except OSError as error:
        raise Unavailable(f"cannot connect to {address}: {error.strerror or error}") from error
