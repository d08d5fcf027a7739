"""Listeners of socat's grammar: whom they admit, how many, how often, and in which disguise.

``Admitting`` is a ``Listener`` with ``fork``, ``max-children``, ``range``, ``accept-timeout`` and
TLS; ``OneClient`` stands for an address that does not listen but is there at once: a program, our
own stdin. ``opening`` makes the sockets, ``udp`` has the listener for datagrams.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.addresses import Address
from ferryman.addresses.specs import ListenOptions, Spec
from ferryman.dataplane.contract import Bind, Client, Dial, DialFailure
from ferryman.dataplane.listeners import Accept, Listener, Told
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.sockets import FinishingSocket
from ferryman.dataplane.tuning import is_served

if TYPE_CHECKING:
    import ssl

    from ferryman.dataplane.tls_side import TlsSide

Opened = Callable[[Client | DialFailure], None]
"""As ``Dialled``, for a side that may also be a client."""
_MOST_HANDSHAKES = 256


@dataclass(frozen=True, slots=True)
class Terms:
    """On which clients are taken. ``tune`` is done to each new socket and may raise OSError."""

    listen: ListenOptions
    served: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    tune: Callable[[socket.socket], None]
    tls: ssl.SSLContext | None
    keep_path: bool = False


class Admitting(Listener):
    """Without ``fork`` it listens until one client has come, and is over when that has gone."""

    def __init__(
        self,
        loop: Loop,
        bind: Bind,
        sock: socket.socket,
        address: Address,
        terms: Terms,
        told: Told,
    ) -> None:
        super().__init__(loop, bind, sock, address=address)
        self._terms = terms
        self._told: Told | None = told
        self._leads: Accept | None = None
        self._open = 0
        self._shaking = 0
        self._spent = False
        self._patience: Timer | None = None
        if terms.keep_path:
            self._inode = None

    def lead_to(self, accept: Accept | None) -> None:
        self._leads = accept
        timeout = self._terms.listen.accept_timeout
        if accept is not None and timeout and self._patience is None:
            self._patience = self._loop.call_later(timeout, self._nobody)
        super().lead_to(accept if self._has_room() else None)

    def close(self) -> None:
        self._told = None
        if self._patience is not None:
            self._patience.cancel()
        super().close()

    def _has_room(self) -> bool:
        most = self._terms.listen.max_children
        full = (most and self._open >= most) or self._shaking >= _MOST_HANDSHAKES
        return not self._spent and not full

    def _came(self, client: socket.socket, label: str) -> None:
        try:
            if not is_served(self._terms.served, client.getpeername()):
                client.close()
                return
            self._terms.tune(client)
        except OSError:
            client.close()  # it has gone already
            return
        if self._patience is not None:
            self._patience.cancel()
        self._open += 1
        self._spent = not self._terms.listen.fork
        accept = self._leads
        if self._terms.tls is None:
            side = FinishingSocket(self._loop, client, self._left)
            if accept is not None:
                accept(side, label)
        else:
            self._secure(client, label, self._terms.tls)
        if self._spent:
            super().lead_to(None)
            self._sock.close()  # whoever comes now is refused; the path goes in the end
        elif not self._has_room():
            super().lead_to(None)

    def _secure(self, client: socket.socket, label: str, context: ssl.SSLContext) -> None:
        from ferryman.dataplane.tls_side import TlsSide

        self._shaking += 1

        def done(result: TlsSide | DialFailure) -> None:
            self._shaking -= 1
            if isinstance(result, DialFailure):
                why = DialFailure(result.kind, f"{label}: {result.message}", delivered=False)
                if self._told is not None:
                    self._told(why, over=False)
            elif self._leads is not None:
                self._leads(result, label)
            else:
                result.abort("nobody takes it any more")
            self.lead_to(self._leads)

        TlsSide(self._loop, client, context, None, self._left).secure(done)

    def _left(self) -> None:
        """A client has gone."""
        self._open -= 1
        if self._spent:
            self._loop.call_soon(lambda: self._say(None))
        elif self._leads is not None:
            self.lead_to(self._leads)

    def _nobody(self) -> None:
        self._spent = True
        super().lead_to(None)
        self._sock.close()
        self._say(DialFailure("timeout", f"nobody connected to {self.address}", delivered=False))

    def _say(self, why: DialFailure | None) -> None:
        told, self._told = self._told, None
        if told is not None:
            told(why, over=True)


class OneClient:
    """An address that is opened as soon as it leads somewhere, as the one client there is."""

    def __init__(
        self, loop: Loop, bind: Bind, address: Spec, begin: Callable[[Opened], Dial], told: Told
    ) -> None:
        self.bind = bind
        self.address = address
        self.linger: Timer | None = None
        self._loop = loop
        self._begin = begin
        self._told: Told | None = told
        self._accept: Accept | None = None
        self._dial: Dial | None = None
        self._begun = False

    def lead_to(self, accept: Accept | None) -> None:
        self._accept = accept
        if accept is not None and not self._begun:
            self._begun = True
            self._loop.call_soon(self._open)

    def close(self) -> None:
        self._told = None
        self._accept = None
        if self.linger is not None:
            self.linger.cancel()
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None

    def _open(self) -> None:
        if self._accept is not None:
            self._dial = self._begin(self._opened)

    def _opened(self, result: Client | DialFailure) -> None:
        if isinstance(result, DialFailure):
            self._say(result)
        elif self._accept is None:
            result.abort("nobody takes it")
        else:
            self._accept(_Finishing(result, self._gone), str(self.address))

    def _gone(self) -> None:
        self._loop.call_soon(lambda: self._say(None))

    def _say(self, why: DialFailure | None) -> None:
        told, self._told = self._told, None
        if told is not None:
            told(why, over=True)


class _Finishing:
    """A client that says when it is closed. It is copied, not spliced: there is but one."""

    fd: int | None = None

    def __init__(self, side: Client, finish: Callable[[], None]) -> None:
        self._side = side
        self._finish: Callable[[], None] | None = finish
        self.attach = side.attach
        self.want = side.want
        self.recv_into = side.recv_into
        self.send = side.send
        self.shutdown = side.shutdown
        self.half_closed = side.half_closed
        self.departed = side.departed

    def close(self) -> None:
        self._side.close()
        self._finished()

    def abort(self, why: str) -> None:
        self._side.abort(why)
        self._finished()

    def _finished(self) -> None:
        finish, self._finish = self._finish, None
        if finish is not None:
            finish()
