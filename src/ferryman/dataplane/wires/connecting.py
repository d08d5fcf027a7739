"""A connection to a cluster's API server in the making: TCP, a proxy if there is one, TLS.

``link`` has the settings and TLS clients; ``dialling`` connects, ``passing`` asks the proxy.
``handshake`` upgrades what comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ferryman.addresses import TcpAddress
from ferryman.dataplane.contract import Dial, DialFailure, Side
from ferryman.dataplane.sockets import SocketSide
from ferryman.dataplane.wires.transport import PlainTransport, Transport
from ferryman.errors import FerrymanError

if TYPE_CHECKING:
    from ferryman.dataplane.dialling import Dialler
    from ferryman.dataplane.wires.link import Link
    from ferryman.dataplane.wires.passing import Passing
    from ferryman.dataplane.wires.tls import Secured, TLSClient
    from ferryman.protocols.proxy import Proxy

Connected = Callable[[Transport | DialFailure], None]


class Connecting:
    """One attempt; a ``Dial``. ``done`` is called once, with what is connected or why it is not."""

    def __init__(self, link: Link, done: Connected) -> None:
        self._link = link
        self._done: Connected | None = done
        self._dial: Dial | None = None
        self._passing: Passing | None = None
        self._securing: Secured | None = None
        self._transport: Transport | None = None
        """What there is of the connection so far."""

    def start(self, dialler: Dialler) -> Connecting:
        at = self._link.settings.proxy or self._link.settings
        self._dial = dialler.dial(TcpAddress(at.host, at.port), self._connected)
        return self

    def cancel(self) -> None:
        self._done = None
        if self._dial is not None:
            self._dial.cancel()
        self._drop()

    def _connected(self, result: Side | DialFailure) -> None:
        proxy = self._link.settings.proxy
        if isinstance(result, DialFailure):
            # "refused" is what a pod does; this is the way to it.
            kind = "timeout" if result.kind == "timeout" else "unavailable"
            what = "API server" if proxy is None else "proxy"
            self._finish(DialFailure(kind, f"{what} {result.message}", delivered=False))
            return
        if not isinstance(result, SocketSide):
            raise TypeError("plain addresses are reached by sockets")
        self._transport = PlainTransport(result.sock)
        if proxy is None:
            self._reached()
        elif proxy.scheme == "https":
            where = f"the proxy {proxy}"
            self._secure(self._link.proxy_client(), where, lambda: self._pass(proxy))
        else:
            self._pass(proxy)

    def _pass(self, proxy: Proxy) -> None:
        from ferryman.dataplane.wires.passing import Passing
        from ferryman.protocols.proxy import passage

        assert self._transport is not None
        try:
            way = passage(proxy, self._link.settings.host, self._link.settings.port)
        except FerrymanError as error:
            self._passed(error)
            return
        self._passing = Passing(self._link.loop, self._transport, way, self._passed)
        self._passing.start()

    def _passed(self, error: FerrymanError | None) -> None:
        self._passing = None
        if error is None:
            self._reached()
        else:
            self._fail(DialFailure("unavailable", str(error), delivered=False))

    def _reached(self) -> None:
        client = self._link.tls_client()
        if client is None:
            self._succeed()
        else:
            self._secure(client, f"API server {self._link.authority}", self._succeed)

    def _secure(
        self, client: TLSClient | DialFailure, where: str, then: Callable[[], None]
    ) -> None:
        """TLS on what there is."""
        assert self._transport is not None
        if isinstance(client, DialFailure):
            self._fail(client)
            return
        try:
            self._securing = client.over(self._transport)
        except (OSError, ValueError) as error:
            self._insecure(where, error)
            return
        self._transport = self._securing
        self._link.loop.add(self._securing.fd, 0, lambda _: self._step(where, then))
        self._step(where, then)

    def _step(self, where: str, then: Callable[[], None]) -> None:
        transport, loop = self._securing, self._link.loop
        if transport is None:
            return
        try:
            waits = transport.handshake()
        except (OSError, ValueError) as error:
            self._insecure(where, error)
            return
        if waits:
            loop.modify(transport.fd, waits)
        else:
            loop.remove(transport.fd)
            self._securing = None
            then()

    def _insecure(self, where: str, error: Exception) -> None:
        from ferryman.dataplane.wires import tls

        self._fail(tls.failure(where, error))

    def _succeed(self) -> None:
        transport, self._transport = self._transport, None
        assert transport is not None
        self._finish(transport)

    def _fail(self, failure: DialFailure) -> None:
        self._drop()
        self._finish(failure)

    def _drop(self) -> None:
        """Leave nothing behind."""
        if self._passing is not None:
            self._passing.cancel()
            self._passing = None
        if self._securing is not None:
            self._link.loop.remove(self._securing.fd)
            self._securing = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _finish(self, result: Transport | DialFailure) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(result)
        elif not isinstance(result, DialFailure):
            result.close()
