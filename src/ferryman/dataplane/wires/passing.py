"""A proxy asked to connect us, on the data plane's loop; ``protocols.proxy`` speaks.

``connecting`` dials the proxy, and goes on with TLS inside once the way is open.
"""

from __future__ import annotations

from collections.abc import Callable

from ferryman.dataplane.loop import Loop
from ferryman.dataplane.wires.transport import Transport
from ferryman.errors import FerrymanError, Unavailable
from ferryman.protocols.proxy import Passage

_CHUNK = 4096


class Passing:
    """One connection through a proxy in the making; the transport stays its caller's.

    ``done`` is called once, perhaps before ``start`` returns, with what went wrong or None; by then
    the loop has forgotten the descriptor.
    """

    def __init__(
        self,
        loop: Loop,
        transport: Transport,
        passage: Passage,
        done: Callable[[FerrymanError | None], None],
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._passage = passage
        self._done: Callable[[FerrymanError | None], None] | None = done
        self._unsent = b""

    def start(self) -> None:
        """Say the first word."""
        self._loop.add(self._transport.fd, 0, lambda _: self._move())
        self._unsent = self._passage.data_to_send()
        self._move()

    def cancel(self) -> None:
        """Give up; ``done`` is not called any more. Idempotent."""
        if self._done is not None:
            self._done = None
            self._loop.remove(self._transport.fd)

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
                waits = self._transport
                mask = waits.write_waits if self._unsent else waits.read_waits
                self._loop.modify(self._transport.fd, mask)

    def _write(self) -> bool:
        """Whether all is out."""
        while self._unsent:
            sent = self._transport.send(self._unsent)
            if sent is None:
                return False
            self._unsent = self._unsent[sent:]
        return True

    def _read(self) -> bool:
        """Whether the way is open; answers what there is to answer."""
        buffer = memoryview(bytearray(_CHUNK))
        while (count := self._transport.recv_into(buffer)) is not None:
            if self._passage.receive(bytes(buffer[:count])):
                return True
            self._unsent = self._passage.data_to_send()
            if not self._write():
                return False
        return False

    def _finish(self, error: FerrymanError | None) -> None:
        done = self._done
        self.cancel()
        if done is not None:
            done(error)
