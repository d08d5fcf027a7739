"""The network below a wire: a connected socket, plain here, TLS in ``tls``; never blocks.

``connecting`` makes them, ``handshake`` and ``wire`` read and write. Only ``tls`` imports ssl, and
only the first TLS wire imports ``tls``.
"""

from __future__ import annotations

import socket
from typing import Protocol

from ferryman.dataplane.contract import READ, WRITE

_STUCK_AFTER = 3
"""Retransmissions or window probes in a row without an answer (about two seconds)."""


class Transport(Protocol):
    """A byte stream. After None from a call, wait for readiness and repeat it."""

    fd: int
    read_waits: int
    """READ, or (TLS may turn it round) WRITE: what ``recv_into`` waits for."""
    write_waits: int

    def recv_into(self, buffer: memoryview) -> int | None:
        """Bytes read, 0 at the end, None if there are none yet; raises OSError.

        There may be more although the descriptor is not readable: see ``pending``.
        """
        ...

    def send(self, data: memoryview | bytes | bytearray) -> int | None:
        """Bytes taken; None: repeat the call with the same bytes later. Raises OSError."""
        ...

    def pending(self) -> bool:
        """Whether bytes wait in here, of which the descriptor's readiness does not tell."""
        ...

    def stuck(self) -> bool:
        """Whether the kernel has had no answer from the peer's for a while; False if unknown."""
        ...

    def close(self) -> None:
        """Release the descriptor, which the loop must have forgotten. Idempotent."""
        ...


class PlainTransport:
    """TCP as it is."""

    __slots__ = ("_sock", "fd", "read_waits", "write_waits")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.fd = sock.fileno()
        self.read_waits = READ
        self.write_waits = WRITE

    def detach(self) -> socket.socket:
        """The socket, which is the caller's from now on."""
        return self._sock

    def recv_into(self, buffer: memoryview) -> int | None:
        try:
            return self._sock.recv_into(buffer)
        except BlockingIOError:
            return None

    def send(self, data: memoryview | bytes | bytearray) -> int | None:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return None

    def pending(self) -> bool:
        return False

    def stuck(self) -> bool:
        return stuck(self._sock)

    def close(self) -> None:
        self._sock.close()


def stuck(sock: socket.socket) -> bool:
    """What ``Transport.stuck`` says, of a TCP socket."""
    option = getattr(socket, "TCP_INFO", None)  # Linux
    if option is None:
        return False
    # struct tcp_info: tcpi_state, tcpi_ca_state, tcpi_retransmits, tcpi_probes, …, a byte each.
    info = sock.getsockopt(socket.IPPROTO_TCP, option, 8)
    return info[2] >= _STUCK_AFTER or info[3] >= _STUCK_AFTER
