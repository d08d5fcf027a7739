"""TLS inside a TLS connection to a proxy, for a wire: an SSLObject between two transports.

OpenSSL cannot drive a socket that it drives already, so here alone the bytes go through memory:
what the outer connection decrypts is the inner one's ciphertext. ``tls`` has the usual case,
``connecting`` makes both.
"""

from __future__ import annotations

import ssl
from typing import cast

from ferryman.dataplane.contract import READ, WRITE
from ferryman.dataplane.wires.transport import Transport

_CHUNK = 65536
_AT_ONCE = 65536
"""Bytes that are encrypted before the network has to have taken them."""


class NestedTLS:
    """``Secured``, over another transport."""

    __slots__ = (
        "_buffer", "_incoming", "_inner", "_more", "_outer", "_outgoing", "_taken", "_unsent",
        "fd", "read_waits", "write_waits",
    )  # fmt: skip

    def __init__(
        self,
        outer: Transport,
        context: ssl.SSLContext,
        server_name: str,
        session: ssl.SSLSession | None,
    ) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_name, session=session
        )
        self._buffer = memoryview(bytearray(_CHUNK))
        self._unsent = memoryview(b"")
        self._taken = 0  # bytes of the caller's that are encrypted and not all sent
        self._more = False
        self.fd = outer.fd
        self.read_waits = READ
        self.write_waits = WRITE

    def handshake(self) -> int:
        while True:
            try:
                self._inner.do_handshake()
            except ssl.SSLWantReadError:
                if not self._flush():
                    return self._outer.write_waits
                if not self._fill():
                    return self._outer.read_waits
            else:
                return 0 if self._flush() else self._outer.write_waits

    @property
    def session(self) -> ssl.SSLSession | None:
        return self._inner.session

    def recv_into(self, buffer: memoryview) -> int | None:
        while True:
            try:
                count = cast(int, self._inner.read(len(buffer), buffer))  # typeshed says bytes
            except ssl.SSLWantReadError:
                if not self._fill():
                    self._more = False
                    self.read_waits = self._outer.read_waits
                    return None
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return 0
            else:
                self._more = True
                return count

    def send(self, data: memoryview | bytes | bytearray) -> int | None:
        if not self._taken:
            self._taken = self._inner.write(memoryview(data)[:_AT_ONCE])
        if not self._flush():
            self.write_waits = self._outer.write_waits
            return None
        taken, self._taken = self._taken, 0
        return taken

    def pending(self) -> bool:
        """What is left of a record that is not whole yet is nothing to be read."""
        whole = self._inner.pending() or (self._more and self._incoming.pending)
        return bool(whole) or self._outer.pending()

    def stuck(self) -> bool:
        return self._outer.stuck()

    def close(self) -> None:
        self._outer.close()

    def _fill(self) -> bool:
        """Whether there was anything (or the end) for the inner connection to read."""
        count = self._outer.recv_into(self._buffer)
        if count is None:
            return False
        if count:
            self._incoming.write(self._buffer[:count])
        else:
            self._incoming.write_eof()
        return True

    def _flush(self) -> bool:
        """Whether all that the inner connection has to say is out."""
        while True:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
                if not self._unsent:
                    return True
            sent = self._outer.send(self._unsent)
            if sent is None:
                return False
            self._unsent = self._unsent[sent:]
