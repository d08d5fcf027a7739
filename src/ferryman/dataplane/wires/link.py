"""The way to a cluster's API server: connections to it, its credential, what transport it speaks.

One ``Link`` a cluster. ``handshake`` upgrades what it connects. TCP is ``dialling``'s, a proxy on
the way ``passing``'s.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ferryman.addresses import TcpAddress
from ferryman.dataplane.contract import (
    ClusterSettings,
    Dial,
    DialFailure,
    Event,
    NeedCredentials,
    Side,
)
from ferryman.dataplane.dialling import Dialler
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.sockets import SocketSide
from ferryman.dataplane.wires.transport import PlainTransport, Transport
from ferryman.errors import FerrymanError

if TYPE_CHECKING:
    from ferryman.dataplane.wires.passing import Passing
    from ferryman.dataplane.wires.tls import TLSClient, TLSTransport
    from ferryman.protocols.proxy import Proxy

SPOKEN = 300.0
"""Seconds after which all transports are tried in order again."""
Connected = Callable[[Transport | DialFailure], None]

CREDENTIALS_TIMEOUT = 30.0
"""Seconds that a handshake waits for a fresh credential: an exec plugin may ask somebody."""


class Link:
    """``wall`` gives seconds since the epoch, in which credentials expire."""

    def __init__(
        self,
        loop: Loop,
        settings: ClusterSettings,
        emit: Callable[[Event], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.loop = loop
        self.settings = settings
        self.generation = 0
        """Which credential: it grows with every new one."""
        self.spoken = ""
        """The transport that worked last, a name of ``handshake.TRANSPORTS``."""
        self._spoken_since = 0.0
        self._emit = emit
        self._wall = wall
        self._dialler = Dialler(loop)
        self._tls: TLSClient | None = None
        self._asked = -1  # for which generation NeedCredentials was said
        self._waiting: dict[CredentialWait, None] = {}

    @property
    def authority(self) -> str:
        """Host and port, as HTTP's Host header has them."""
        return str(TcpAddress(self.settings.host, self.settings.port))

    def connect(self, done: Connected) -> Dial:
        """TCP, then TLS if the settings say so; ``done`` may be called before this returns."""
        return _Connecting(self, done).start(self._dialler)

    def tls_client(self) -> TLSClient | DialFailure | None:
        """What to wrap connections with; None if the API server speaks plain HTTP."""
        if self.settings.tls is not None and self._tls is None:
            from ferryman.dataplane.wires import tls  # ssl: only who forwards needs it

            made = tls.client(self.settings.tls, self.settings.host)
            if isinstance(made, DialFailure):
                return made
            self._tls = made
        return self._tls

    def preferred(self) -> str:
        """The transport to begin with. One that was fallen back to is not relied on for ever: it
        may have been a gateway's bad minute that kept the better ones away.
        """
        if self.loop.now() - self._spoken_since >= SPOKEN:
            self.spoken, self._spoken_since = "", self.loop.now()
        return self.spoken

    def remember(self, spoken: str, transport: Transport) -> None:
        """An upgrade worked: the next one begins where this one ended."""
        if spoken != self.spoken:
            self.spoken, self._spoken_since = spoken, self.loop.now()
        if self._tls is not None:
            self._tls.remember(_as_tls(transport))

    # -- credentials --

    @property
    def expires(self) -> float:
        """When the credential does, on the loop's clock; infinite if it does not."""
        if self.settings.expires is None:
            return float("inf")
        return self.loop.now() + self.settings.expires - self._wall()

    def renew(self, headers: tuple[tuple[str, str], ...], expires: float | None) -> None:
        """A new credential: those who wait for one go on."""
        self.settings = replace(self.settings, headers=headers, expires=expires)
        self.generation += 1
        waiting, self._waiting = self._waiting, {}
        for wait in waiting:
            wait.over(renewed=True)

    def need_credentials(
        self, generation: int, why: str, then: Callable[[bool], None]
    ) -> CredentialWait:
        """Ask for a credential newer than ``generation``, once however many need it.

        ``then`` is called later: with True when there is one, with False if none came in time.
        """
        wait = CredentialWait(self.loop, then)
        if self.generation > generation:
            self.loop.call_soon(lambda: wait.over(renewed=True))
            return wait
        self._waiting[wait] = None
        wait.timer = self.loop.call_later(CREDENTIALS_TIMEOUT, lambda: self._no_answer(wait))
        if self._asked < self.generation:
            self._asked = self.generation
            self._emit(NeedCredentials(self.settings.key, why))
        return wait

    def forget(self, wait: CredentialWait) -> None:
        """It is no longer of interest."""
        self._waiting.pop(wait, None)
        wait.cancel()

    def _no_answer(self, wait: CredentialWait) -> None:
        self._waiting.pop(wait, None)
        self._asked = -1  # whoever needs it next may ask again
        wait.over(renewed=False)


class CredentialWait:
    """Somebody who waits for a credential."""

    def __init__(self, loop: Loop, then: Callable[[bool], None]) -> None:
        self.timer: Timer | None = None
        self._loop = loop
        self._then: Callable[[bool], None] | None = then

    def over(self, *, renewed: bool) -> None:
        """There is one, or there will not be one."""
        then = self._then
        self.cancel()
        if then is not None:
            then(renewed)

    def cancel(self) -> None:
        """Call nobody any more."""
        self._then = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class _Connecting:
    """A connection under way: TCP, through the proxy if there is one, then TLS."""

    def __init__(self, link: Link, done: Connected) -> None:
        self._link = link
        self._done: Connected | None = done
        self._dial: Dial | None = None
        self._passing: tuple[Passing, socket.socket] | None = None
        self._securing: TLSTransport | None = None

    def start(self, dialler: Dialler) -> _Connecting:
        at = self._link.settings.proxy or self._link.settings
        address = TcpAddress(at.host, at.port)
        self._dial = dialler.dial(address, self._connected)
        return self

    def cancel(self) -> None:
        self._done = None
        if self._dial is not None:
            self._dial.cancel()
        if self._passing is not None:
            passing, sock = self._passing
            passing.cancel()
            sock.close()
            self._passing = None
        if self._securing is not None:
            self._link.loop.remove(self._securing.fd)
            self._securing.close()
            self._securing = None

    def _connected(self, result: Side | DialFailure) -> None:
        if isinstance(result, DialFailure):
            # "refused" is what a pod does; this is the way to it.
            kind = "timeout" if result.kind == "timeout" else "unavailable"
            what = "API server" if self._link.settings.proxy is None else "proxy"
            self._finish(DialFailure(kind, f"{what} {result.message}", delivered=False))
            return
        if not isinstance(result, SocketSide):
            raise TypeError("plain addresses are reached by sockets")
        if self._link.settings.proxy is None:
            self._reached(result.sock)
        else:
            self._pass(self._link.settings.proxy, result.sock)

    def _pass(self, proxy: Proxy, sock: socket.socket) -> None:
        from ferryman.dataplane.wires.passing import Passing
        from ferryman.protocols.proxy import passage

        try:
            way = passage(proxy, self._link.settings.host, self._link.settings.port)
        except FerrymanError as error:
            self._passed(sock, error)
            return
        passing = Passing(self._link.loop, sock, way, lambda error: self._passed(sock, error))
        self._passing = (passing, sock)
        passing.start()

    def _passed(self, sock: socket.socket, error: FerrymanError | None) -> None:
        self._passing = None
        if error is None:
            self._reached(sock)
        else:
            sock.close()
            self._finish(DialFailure("unavailable", str(error), delivered=False))

    def _reached(self, sock: socket.socket) -> None:
        client = self._link.tls_client()
        if client is None:
            self._finish(PlainTransport(sock))
        elif isinstance(client, DialFailure):
            sock.close()
            self._finish(client)
        else:
            self._secure(client, sock)

    def _secure(self, client: TLSClient, sock: socket.socket) -> None:
        try:
            self._securing = client.wrap(sock)
        except (OSError, ValueError) as error:
            sock.close()
            self._failed(error)
            return
        self._link.loop.add(self._securing.fd, 0, lambda _: self._step())
        self._step()

    def _step(self) -> None:
        transport, loop = self._securing, self._link.loop
        if transport is None:
            return
        try:
            waits = transport.handshake()
        except (OSError, ValueError) as error:
            loop.remove(transport.fd)
            transport.close()
            self._securing = None
            self._failed(error)
            return
        if waits:
            loop.modify(transport.fd, waits)
        else:
            loop.remove(transport.fd)
            self._securing = None
            self._finish(transport)

    def _failed(self, error: Exception) -> None:
        from ferryman.dataplane.wires import tls

        self._finish(tls.failure(f"API server {self._link.authority}", error))

    def _finish(self, result: Transport | DialFailure) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(result)
        elif not isinstance(result, DialFailure):
            result.close()


def _as_tls(transport: Transport) -> TLSTransport:
    from ferryman.dataplane.wires.tls import TLSTransport

    if not isinstance(transport, TLSTransport):
        raise TypeError("a TLS link makes TLS transports")
    return transport
