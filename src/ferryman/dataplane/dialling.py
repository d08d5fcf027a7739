"""Connections to TCP and UNIX addresses, made without blocking the loop.

A name is resolved in a short-lived thread (``localhost`` and IP addresses need none) and its
addresses are tried in order. ``wires`` makes the connections into pods.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.addresses import TcpAddress, UnixAddress
from ferryman.dataplane import sockets
from ferryman.dataplane.contract import HANGUP, WRITE, Dial, DialFailure, Dialled
from ferryman.dataplane.loop import Loop
from ferryman.dataplane.sockets import SocketSide, kernel_path

if TYPE_CHECKING:
    from ferryman.addresses.specs import Spec
    from ferryman.dataplane.programs import Children

CONNECT_TIMEOUT = 10.0
Places = list[tuple[int, tuple[str, int] | str]]
_CONNECTED = frozenset({0, errno.EISCONN})
_CONNECTING = frozenset({errno.EINPROGRESS, errno.EALREADY})
_REFUSED = frozenset({errno.ECONNREFUSED, errno.ENOENT})


@dataclass(frozen=True, slots=True)
class How:
    """``timeout`` is for all attempts together, in seconds; ``family`` 0 is any. ``prepare`` gets
    each new socket before it connects and may raise OSError.
    """

    timeout: float = CONNECT_TIMEOUT
    family: int = 0
    prepare: Callable[[socket.socket], None] | None = None


_PLAINLY = How()


class Dialler:
    """Dials on a loop: plain addresses here, those of socat's grammar in ``opening``."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.children: Children | None = None
        """The programs that were started, once there was one."""

    @property
    def busy(self) -> bool:
        """Whether a program that was started has not ended yet though its connection has."""
        return self.children is not None and self.children.ending

    def dial(self, address: TcpAddress | UnixAddress | Spec, done: Dialled) -> Dial:
        """Connect, or open; see ``connect``."""
        if isinstance(address, (TcpAddress, UnixAddress)):
            return self.connect(address, done)
        from ferryman.dataplane import opening  # a plain relay never needs it

        return opening.dial(self, address, done)

    def connect(
        self, address: TcpAddress | UnixAddress, done: Dialled, how: How = _PLAINLY
    ) -> Dial:
        """Connect; tries every address that the name has."""
        attempt = _Attempt(self.loop, address, done, how)
        if isinstance(address, UnixAddress):
            attempt.connect([(socket.AF_UNIX, kernel_path(address.path))])
        elif found := literal(address, how.family):
            attempt.connect(found)
        else:
            resolve(self.loop, address, attempt.resolved, how.family)
        return attempt


def resolve(
    loop: Loop,
    address: TcpAddress,
    done: Callable[[Places | DialFailure], None],
    family: int = 0,
) -> None:
    """Look a name up in a thread of its own and call ``done`` on the loop."""

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(
                address.host, address.port, family=family, type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:  # UnicodeError: no name that DNS could have
            why = error.strerror if isinstance(error, OSError) else "not a host's name"
            failure = DialFailure(
                "unavailable", f"cannot resolve {address.host}: {why}", delivered=False
            )
            loop.call_threadsafe(lambda: done(failure))
            return
        places: Places = [(family, (str(to[0]), int(to[1]))) for family, _, _, _, to in found]
        loop.call_threadsafe(lambda: done(places))

    threading.Thread(target=look_up, name=f"resolve {address.host}", daemon=True).start()


class _Attempt:
    """One dial: the places that are left to try, and the socket that is being connected."""

    __slots__ = ("_address", "_done", "_failure", "_how", "_loop", "_places", "_sock", "_timer")

    def __init__(
        self, loop: Loop, address: TcpAddress | UnixAddress, done: Dialled, how: How
    ) -> None:
        self._loop = loop
        self._address = address
        self._how = how
        self._done: Dialled | None = done
        self._places: Places = []
        self._sock: socket.socket | None = None
        self._timer = (
            None
            if isinstance(address, UnixAddress)
            else loop.call_later(how.timeout, self._timed_out)
        )
        self._failure = DialFailure("unavailable", f"{address} has no address", delivered=False)

    def cancel(self) -> None:
        self._done = None
        self._release()

    def resolved(self, places: Places | DialFailure) -> None:
        if self._done is None:
            return
        if isinstance(places, DialFailure):
            self._finish(places)
        else:
            self.connect(places)

    def connect(self, places: Places) -> None:
        """Try the places in order."""
        self._places = places
        self._next()

    def _next(self) -> None:
        while self._places:
            family, place = self._places.pop(0)
            try:
                sock = self._sock = sockets.non_blocking(family)
                if self._how.prepare is not None:
                    self._how.prepare(sock)
                error = sock.connect_ex(place)
                if error == errno.EINPROGRESS:
                    # On this machine it is connected by now: asking again is one call, waiting for
                    # readiness four and a turn of the loop.
                    error = sock.connect_ex(place)
            except OSError as failed:
                error = failed.errno or errno.EINVAL
            if error in _CONNECTED:
                self._connected()
                return
            if error in _CONNECTING and self._sock is not None:
                self._loop.add(self._sock.fileno(), WRITE, self._ready)
                return
            self._note(error)
        self._finish(self._failure)

    def _ready(self, mask: int) -> None:
        if self._sock is None or not mask & (WRITE | HANGUP):
            return
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._loop.remove(self._sock.fileno())
        if error:
            self._note(error)
            self._next()
        else:
            self._connected()

    def _connected(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            self._finish(SocketSide(self._loop, sock))

    def _note(self, error: int) -> None:
        """Remember why the last place failed: that is what the dial failed of in the end."""
        kind = "refused" if error in _REFUSED else "unavailable"
        text = os.strerror(error).lower()
        self._failure = DialFailure(kind, f"{self._address}: {text}", delivered=False)
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _timed_out(self) -> None:
        if self._done is not None:
            message = f"{self._address}: no answer within {self._how.timeout:g} s"
            self._finish(DialFailure("timeout", message, delivered=False))

    def _finish(self, result: SocketSide | DialFailure) -> None:
        done, self._done = self._done, None
        self._release()
        if done is not None:
            done(result)

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sock is not None:
            self._loop.remove(self._sock.fileno())
            self._sock.close()
            self._sock = None


def literal(address: TcpAddress, family: int = 0) -> Places:
    """The places of an address that needs no look-up; empty if it does."""
    host, port = address.host, address.port
    if host in ("", "localhost"):
        both = [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port))]
        return [place for place in both if family in (0, place[0])]
    for known in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(known, host)
        except (OSError, UnicodeEncodeError):
            continue
        return [(known, (host, port))] if family in (0, known) else []
    return []
