"""A proxy asked to connect us, on the data plane's loop; ``protocols.proxy`` speaks.

``link`` dials the proxy, and goes on with TLS on the same socket once the way is open.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from ferryman.dataplane.contract import READ, WRITE
from ferryman.dataplane.loop import Loop
from ferryman.errors import FerrymanError, Unavailable
from ferryman.protocols.proxy import Passage

_CHUNK = 4096


class Passing:
    """One connection through a proxy in the making; the socket stays its caller's.

    ``done`` is called once, perhaps before ``start`` returns, with what went wrong or None; by then
    the loop has forgotten the socket.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        passage: Passage,
        done: Callable[[FerrymanError | None], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._passage = passage
        self._done: Callable[[FerrymanError | None], None] | None = done
        self._unsent = b""

    def start(self) -> None:
        """Say the first word."""
        self._loop.add(self._sock.fileno(), READ, lambda _: self._move())
        self._unsent = self._passage.data_to_send()
        self._move()

    def cancel(self) -> None:
        """Give up; ``done`` is not called any more. Idempotent."""
        if self._done is not None:
            self._done = None
            self._loop.remove(self._sock.fileno())

    def _move(self) -> None:
        if self._done is None:
            return
        try:
            through = self._write() and self._read()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            self._finish(Unavailable(f"the proxy broke off: {why}"))
        except FerrymanError as error:
            self._finish(error)
        else:
            if through:
                self._finish(None)
            else:
                self._loop.modify(self._sock.fileno(), WRITE if self._unsent else READ)

    def _write(self) -> bool:
        """Whether all is out."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except BlockingIOError:
            return False
        return True

    def _read(self) -> bool:
        """Whether the way is open; answers what there is to answer."""
        try:
            while not self._passage.receive(self._sock.recv(_CHUNK)):
                self._unsent = self._passage.data_to_send()
                if not self._write():
                    return False
        except BlockingIOError:
            return False
        return True

    def _finish(self, error: FerrymanError | None) -> None:
        done = self._done
        self.cancel()
        if done is not None:
            done(error)
