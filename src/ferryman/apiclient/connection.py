"""One HTTP/1.1 connection to an API server: one request at a time, kept alive between them.

``protocols.http.Client`` knows HTTP; this module owns the socket, applies back-pressure and turns
the kernel's and the peer's failures into ours. ``transport`` keeps the pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import ssl
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar, cast

from ferryman.apiclient.reaching import reach
from ferryman.errors import FerrymanError, PeerError, Unavailable, UserError
from ferryman.protocols.http.client import Body, Client, Ended, Responded
from ferryman.protocols.proxy import Proxy, passage

_HIGH_WATER = 1 << 20
_GONE_AFTER = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""A silent peer (network gone, machine asleep) is noticed after half a minute, in a watch too."""

if TYPE_CHECKING:
    from ferryman.apiclient.passing import Passing

P = TypeVar("P", bound=asyncio.Protocol)


class Stale(Unavailable):
    """A kept-alive connection turned out to be closed before any of the answer came."""


class Connection(asyncio.Protocol):
    """Use ``connect`` to make one. Whoever stops in the middle of an answer has to ``abort``."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._http = Client()
        self._parts: deque[bytes] = deque()
        self._buffered = 0
        self._head: Responded | None = None
        self._ended = True
        self._failure: FerrymanError | None = None
        self._answered = False
        self._used = False
        self._waiter: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._paused = False

    @property
    def reusable(self) -> bool:
        """Whether another request may follow now: alive, and nothing came in meanwhile."""
        return self._ended and self._failure is None and not self._readable()

    async def request(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> Responded:
        """Send a request and wait for the head of its answer.

        Raises UserError if it cannot be said in HTTP, Stale, Unavailable or PeerError.
        """
        assert self._transport is not None
        if self._failure is not None:
            raise self._failure
        said = self._http.request(method, target, headers)
        said += self._http.body(body) + self._http.end() if body else self._http.end()
        self._parts.clear()  # what the last answer's reader did not care for
        self._buffered = 0
        self._head, self._ended, self._answered = None, False, False
        self._resume()
        self._transport.write(said)
        return await self._answer_head()

    async def read(self) -> bytes:
        """The next part of the answer's body, empty at its end. Unavailable, PeerError."""
        while not self._parts:
            if self._ended:
                return b""
            await self._news()
        part = self._parts.popleft()
        self._buffered -= len(part)
        if self._buffered < _HIGH_WATER:
            self._resume()
        return part

    def abort(self) -> None:
        """Close at once, dropping what is under way. Idempotent."""
        self._fail(Unavailable(f"the connection to {self._server} was closed"))
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Wait until the socket is released, after ``abort``."""
        await asyncio.shield(self._closed)

    def when_closed(self, callback: Callable[[Connection], None]) -> None:
        """Call back once the socket is released."""
        self._closed.add_done_callback(lambda _: callback(self))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        plain = cast(socket.socket, transport.get_extra_info("socket"))
        with contextlib.suppress(OSError):
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _GONE_AFTER:
                option = "TCP_KEEPALIVE" if (sys.platform, name) == _DARWIN_IDLE else name
                if hasattr(socket, option):
                    plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            self._fail(PeerError(f"{self._server} spoke without being asked"))
            self.abort()
            return
        self._receive(data)
        if self._buffered > _HIGH_WATER and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._hung_up(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._hung_up(exc)
        if not self._closed.done():
            self._closed.set_result(None)

    def _receive(self, data: bytes) -> None:
        try:
            events = self._http.receive(data)
        except PeerError as error:
            self._fail(PeerError(f"{self._server}: {error.message}"))
            self.abort()
            return
        for event in events:
            self._answered = True
            match event:
                case Responded():
                    self._head = event
                case Body(part):
                    self._parts.append(part)
                    self._buffered += len(part)
                case Ended(reusable):
                    self._ended = self._used = True
                    if not reusable:
                        self._fail(Unavailable(f"{self._server} ended the connection"))

    def _hung_up(self, exc: Exception | None) -> None:
        """The peer has closed: that ends some answers, and cuts others off."""
        if self._failure is None and not self._ended and self._answered and exc is None:
            with contextlib.suppress(PeerError):
                for event in self._http.receive(b""):
                    self._ended = self._ended or isinstance(event, Ended)
        why = f": {_reason(exc)}" if exc is not None else ""
        if not self._answered and self._used:
            self._fail(Stale(f"{self._server} ended an idle connection{why}"))
        else:
            when = "in the middle of an answer" if self._answered else "before it answered"
            self._fail(Unavailable(f"{self._server} ended the connection {when}{why}"))

    def _fail(self, error: FerrymanError) -> None:
        """The first failure stays."""
        if self._failure is None:
            self._failure = error
        self._wake()

    async def _answer_head(self) -> Responded:
        while self._head is None:
            await self._news()
        return self._head

    def _readable(self) -> bool:
        """Whether bytes or an end wait in the kernel that the loop has not told of yet."""
        assert self._transport is not None
        poller = select.poll()
        poller.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poller.poll(0))

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    async def _news(self) -> None:
        """Wait until something changes; raises the failure if there is nothing else to come."""
        if self._failure is not None and not self._ended:
            raise self._failure
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


_DARWIN_IDLE = ("darwin", "TCP_KEEPIDLE")  # macOS calls it TCP_KEEPALIVE (named so since 3.10)


async def connect(
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    server_name: str,
    timeout: float,
    proxy: Proxy | None = None,
    proxy_context: ssl.SSLContext | None = None,
) -> Connection:
    """Connect to whichever of the host's addresses answers first; TLS if there is a context.

    ``server_name`` is the name in the certificate. Through a ``proxy``, it is the proxy that looks
    the host up; ``proxy_context`` is for one that speaks TLS itself. Raises Unavailable; UserError
    if one of them is not to be trusted or the proxy does not let us pass; PeerError if it is no
    proxy. ``timeout`` in seconds covers all of it.
    """
    server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    first = server if proxy is None else f"the proxy {proxy}"
    try:
        async with asyncio.timeout(timeout):
            if proxy is not None:
                passing = await _reach_proxy(proxy, proxy_context, (host, port))
                connection = Connection(server)
                await passing.handed_over(connection, context, server_name or host)
                return connection
            _, connection = await _over(
                await reach(host, port), lambda: Connection(server), context, server_name or host
            )
    except ssl.SSLCertVerificationError as cause:
        raise UserError(
            f"the certificate of {server} is not trusted: {cause.verify_message}",
            "is the kubeconfig's certificate-authority that of this cluster?",
        ) from cause
    except TimeoutError as cause:
        raise Unavailable(f"{first} did not answer within {timeout:g} s") from cause
    except (OSError, UnicodeError) as cause:  # UnicodeError: a host that IDNA cannot say
        raise Unavailable(f"cannot connect to {first}: {_reason(cause)}") from cause
    return connection


async def _reach_proxy(
    proxy: Proxy, context: ssl.SSLContext | None, address: tuple[str, int]
) -> Passing:
    """A proxy that is about to be asked for the way to an address."""
    from ferryman.apiclient.passing import Passing

    way = passage(proxy, *address)
    sock = await reach(proxy.host, proxy.port)
    try:
        _, passing = await _over(sock, lambda: Passing(way), context, proxy.host)
    except ssl.SSLCertVerificationError as cause:
        raise UserError(
            f"the certificate of the proxy {proxy} is not trusted: {cause.verify_message}",
            "neither the kubeconfig's certificate-authority nor this system knows who signed it",
        ) from cause
    return passing


async def _over(
    sock: socket.socket,
    protocol: Callable[[], P],
    context: ssl.SSLContext | None = None,
    server_name: str = "",
) -> tuple[asyncio.BaseTransport, P]:
    """Speak a protocol on a connected socket, with TLS if there is a context."""
    try:
        return await asyncio.get_running_loop().create_connection(
            protocol,
            sock=sock,
            ssl=context,
            server_hostname=server_name if context is not None else None,
        )
    except BaseException:
        sock.close()
        raise


def _reason(cause: Exception) -> str:
    """What the kernel, the resolver or OpenSSL says, without the numbers."""
    if isinstance(cause, ssl.SSLError):
        return (cause.reason or str(cause)).replace("_", " ").lower()
    if isinstance(cause, OSError) and (cause.errno or 0) > 0:
        return os.strerror(cause.errno or 0)  # asyncio puts a text of its own in its place
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
