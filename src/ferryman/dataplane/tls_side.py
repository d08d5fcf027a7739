"""TLS as one end of a flow, client or server: records in memory, the socket on the loop.

Unlike a wire's (``wires.tls``), this side must be able to half-close without losing what the peer
still says: ``ssl`` sends close_notify and in the same call reads on, and fails on application data
that comes then. With OpenSSL on memory instead of the socket, it can be made sure that there is
none to read. ``opening`` has the sockets, ``tls_settings`` the contexts.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable

from ferryman.dataplane.contract import HANGUP, READ, WRITE, DialFailure
from ferryman.dataplane.emulated import Emulated
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.sockets import FinishingSocket

HANDSHAKE_TIMEOUT = 10.0
FAREWELL = 10.0
"""Seconds that a peer gets to take what was sent before the side was closed."""
_CIPHERTEXT = 64 * 1024
_MOST_PLAIN = 128 * 1024

Secured = Callable[["TlsSide | DialFailure"], None]


class TlsSide(Emulated):
    """A ``Client``. A FIN without close_notify is an end like any other: too many servers end so,
    and what is transferred knows its length or its end.
    """

    fd: int | None = None  # nothing can be spliced

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        context: ssl.SSLContext,
        server_name: str | None,
        finish: Callable[[], None],
    ) -> None:
        """With a server's context this is the server's end; ``finish`` is called once it is closed.

        Raises ValueError for a name that cannot be.
        """
        super().__init__(loop)
        self._raw = FinishingSocket(loop, sock, finish)
        self._raw.attach(self._raw_ready)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.protocol == ssl.PROTOCOL_TLS_SERVER
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server,
            server_hostname=None if server else server_name,
        )
        self._unsent = memoryview(b"")
        self._plain: list[bytes] = []  # read before a half-close
        self._more = False  # there may be something to read in memory
        self._ended = False  # the peer's stream
        self._hung_up = False
        self._closed = False
        self._shaking: Secured | None = None
        self._timer: Timer | None = None

    def secure(self, done: Secured) -> None:
        """Shake hands; ``done`` gets the side, or why not, perhaps before this returns."""
        self._shaking = done
        self._timer = self._loop.call_later(HANDSHAKE_TIMEOUT, self._too_slow)
        self._shake()

    def recv_into(self, buffer: memoryview) -> int:
        if self._plain:
            return self._take(buffer)
        count = 0
        self._more = False
        while not self._ended and count < len(buffer):
            try:
                got = int(self._tls.read(len(buffer) - count, buffer[count:]))  # a number, so
            except ssl.SSLWantReadError:
                if not self._fill():
                    break
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                got = 0
            if not got:
                self._ended = True
                break
            count += got
        else:
            self._more = not self._ended
        self._flush()
        if not count and not self._ended:
            raise BlockingIOError
        return count

    def send(self, data: memoryview) -> int:
        self._flush()
        if self._unsent:
            raise BlockingIOError
        count = self._tls.write(data[:_MOST_PLAIN])
        self._flush()
        return count

    def shutdown(self) -> None:
        """Send close_notify. With TLS 1.2 a peer may take that for the end of both directions."""
        while not self._ended:
            try:
                data = self._tls.read(_CIPHERTEXT)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                data = b""
            if not data:
                self._ended = True
                break
            self._plain.append(data)
        with contextlib.suppress(ssl.SSLError):  # SSLWantRead: the peer has not ended yet
            self._tls.unwrap()
        self._flush()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            self.shutdown()
        except OSError:
            self._unsent = memoryview(b"")  # it is gone: nobody takes it
        if self._unsent:
            self._timer = self._loop.call_later(FAREWELL, self._raw.close)
            self._update_raw()
        else:
            self._raw.close()

    def abort(self, why: str) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._raw.abort(why)

    def cancel(self) -> None:
        """Give the handshake up: ``done`` is not called any more."""
        if self._shaking is not None:
            self._shaking = None
            self.abort("nobody waits for it any more")

    def half_closed(self) -> bool:
        return self._raw.half_closed()

    def departed(self) -> bool:
        return self._raw.departed()

    # -- readiness --

    def want(self, mask: int) -> None:
        super().want(mask)
        self._update_raw()

    def _possible(self) -> int:
        if self._closed or self._shaking is not None:
            return 0
        return (
            (READ if self._plain or self._more or self._ended or self._hung_up else 0)
            | (0 if self._unsent else WRITE)
            | (HANGUP if self._hung_up else 0)
        )

    def _update_raw(self) -> None:
        if self._raw.fd is None:
            return
        reads = self._shaking is not None or (self._wanted & READ and not self._ended)
        self._raw.want((READ if reads and not self._closed else 0) | (WRITE if self._unsent else 0))

    def _raw_ready(self, mask: int) -> None:
        try:
            if mask & WRITE:
                self._flush()
            if self._shaking is not None:
                self._shake()
                return
        except OSError:
            self._unsent = memoryview(b"")  # whoever reads or writes next meets the error
        if self._closed:
            if not self._unsent:
                self._release()
            return
        self._hung_up = self._hung_up or bool(mask & HANGUP)
        self._update_raw()
        told = mask & self._wanted & READ
        if told and self._on_ready is not None:
            self._on_ready(READ | (mask & HANGUP))
        self._news()

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._raw.close()

    # -- records --

    def _take(self, buffer: memoryview) -> int:
        data = self._plain.pop(0)
        count = min(len(data), len(buffer))
        buffer[:count] = data[:count]
        if count < len(data):
            self._plain.insert(0, data[count:])
        return count

    def _fill(self) -> bool:
        """Take ciphertext from the socket; False if there is none now."""
        try:
            data = self._raw.sock.recv(_CIPHERTEXT)
        except BlockingIOError:
            return False
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return True

    def _flush(self) -> None:
        """Send ciphertext while the socket takes it; raises OSError."""
        while self._unsent or self._outgoing.pending:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
            try:
                self._unsent = self._unsent[self._raw.sock.send(self._unsent) :]
            except BlockingIOError:
                self._update_raw()
                return
        self._update_raw()

    # -- the handshake --

    def _shake(self) -> None:
        try:
            while True:
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._flush()
                    if not self._fill():
                        self._update_raw()
                        return
            self._flush()
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError):
                self._flush()  # the alert that says why
            self._shaken(error)
            return
        self._shaken(None)

    def _too_slow(self) -> None:
        self._shaken(TimeoutError("no answer in time"))

    def _shaken(self, error: Exception | None) -> None:
        done, self._shaking = self._shaking, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if done is None:
            return
        if error is not None:
            self._closed = True
            self._raw.close()
            done(_failure(error))
        else:
            self._more = True  # application data may have come along
            self._raw.want(0)
            done(self)


def _failure(error: Exception) -> DialFailure:
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"the certificate is not trusted: {error.verify_message}"
    elif isinstance(error, ssl.SSLError):
        text = f"TLS failed: {error.reason or error}"
    else:
        text = f"TLS failed: {error}"
    return DialFailure("unavailable", text, delivered=False)
