"""The way to a cluster's API server: connections to it, its credential, what transport it speaks.

One ``Link`` a cluster. ``connecting`` connects, ``handshake`` upgrades what comes of it.
"""

from __future__ import annotations

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
)
from ferryman.dataplane.dialling import Dialler
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.wires.connecting import Connected, Connecting
from ferryman.dataplane.wires.transport import Transport
from ferryman.runtime.tls import to_proxy

if TYPE_CHECKING:
    from ferryman.dataplane.wires.tls import TLSClient

SPOKEN = 300.0
"""Seconds after which all transports are tried in order again."""
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
        self._proxy_tls: TLSClient | None = None
        self._asked = -1  # for which generation NeedCredentials was said
        self._waiting: dict[CredentialWait, None] = {}

    @property
    def authority(self) -> str:
        """Host and port, as HTTP's Host header has them."""
        return str(TcpAddress(self.settings.host, self.settings.port))

    def connect(self, done: Connected) -> Dial:
        """TCP, and TLS if the settings say so; ``done`` may be called before this returns."""
        return Connecting(self, done).start(self._dialler)

    def tls_client(self) -> TLSClient | DialFailure | None:
        """What to wrap connections with; None if the API server speaks plain HTTP."""
        if self.settings.tls is not None and self._tls is None:
            from ferryman.dataplane.wires import tls  # ssl: only who forwards needs it

            made = tls.client(self.settings.tls, self.settings.host)
            if isinstance(made, DialFailure):
                return made
            self._tls = made
        return self._tls

    def proxy_client(self) -> TLSClient | DialFailure:
        """What to wrap connections with to a proxy that speaks TLS."""
        proxy = self.settings.proxy
        assert proxy is not None
        if self._proxy_tls is None:
            from ferryman.dataplane.wires import tls

            made = tls.client(to_proxy(self.settings.tls), proxy.host)
            if isinstance(made, DialFailure):
                return made
            self._proxy_tls = made
        return self._proxy_tls

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
            self._tls.remember(transport)

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
