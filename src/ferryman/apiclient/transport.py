"""Requests to one API server: a small pool of connections, credentials, errors.

For each exchange: ask for credentials, take the connection that was used last or open one, send,
and give the answer to the caller; a 401 is tried once more with fresh credentials, a GET once more
if its kept-alive connection turned out to be dead. ``connection`` moves the bytes, ``http_client``
knows what they mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from ferryman.api.codec import from_json
from ferryman.api.status import ApiError, BadRequest, ServiceUnavailable, from_status
from ferryman.apiclient.connection import Connection, Stale, connect
from ferryman.errors import FerrymanError, PeerError, Unavailable, UserError
from ferryman.protocols.http.client import Responded
from ferryman.runtime.tls import TLSSettings, client_context, to_proxy

if TYPE_CHECKING:
    import ssl

    from ferryman.access.credentials import Headers
    from ferryman.access.kubeconfig import Access

_MOST_IDLE = 4
_LARGEST_ANSWER = 256 << 20
_LARGEST_ERROR = 1 << 20


class Timeouts(Struct, frozen=True):
    """In seconds. ``quiet`` is how long an answer may pause, its head included.

    Connections that were idle for longer than ``idle`` are not used again: a middlebox may have
    forgotten them.
    """

    connect: float = 10.0
    quiet: float = 30.0
    idle: float = 45.0


TIMEOUTS = Timeouts()


class Answer:
    """An answer whose head is here and whose body may still be coming."""

    def __init__(self, head: Responded, connection: Connection, quiet: float) -> None:
        self.status = head.status
        self.connection = connection
        self._head = head
        self._quiet = quiet

    def header(self, name: str) -> str:
        """The first header of that (lower-case) name, or empty."""
        return self._head.header(name)

    async def read(self, deadline: float | None = None) -> bytes:
        """The next part of the body, empty at its end.

        Waits as long as an answer may pause, or until ``deadline`` in the loop's time. Raises
        Unavailable, PeerError.
        """
        loop_time = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(
                loop_time + self._quiet if deadline is None else deadline
            ):
                return await self.connection.read()
        except TimeoutError as cause:
            raise Unavailable("the server stopped in the middle of an answer") from cause

    async def read_all(self, limit: int = _LARGEST_ANSWER) -> bytes:
        """The whole body; raises PeerError if it is larger than ``limit`` bytes."""
        parts = []
        while part := await self.read():
            parts.append(part)
            limit -= len(part)
            if limit < 0:
                raise PeerError("the server's answer is larger than any that we expect")
        return b"".join(parts)


class Transport:
    """Speaks to the server that an Access names. Safe to share between tasks; close it."""

    def __init__(self, access: Access, *, timeouts: Timeouts = TIMEOUTS, agent: str = "") -> None:
        try:
            url = urlsplit(access.server)
            host, port = url.hostname, url.port
        except ValueError as cause:
            raise UserError(f"not a server's URL: {access.server}") from cause
        if not host:
            raise UserError(f"not a server's URL: {access.server}")
        self.server = access.server
        self._access = access
        self._host = host
        self._port = port or (443 if url.scheme == "https" else 80)
        self._prefix = url.path.rstrip("/")
        self._timeouts = timeouts
        self._fixed_headers = (("host", url.netloc.rpartition("@")[2]), ("user-agent", agent))
        self._idle: list[tuple[float, Connection]] = []
        self._open: set[Connection] = set()
        """Every connection whose socket is not released yet."""
        self._closed = False
        self.reached: Callable[[], None] = lambda: None
        """Called when the server answers again after it could not be reached."""
        self._trouble = False
        self._tls: TLSSettings | None = None
        self._context: ssl.SSLContext | None = None
        self._proxy_context: ssl.SSLContext | None = None

    def exchange(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Exchange:
        """Ask, and have the answer while the context lasts.

        Leaving it before the body's end, by cancellation too, closes the connection. Entering it
        raises the ApiError that an answer of 400 or more means; UserError, Unavailable, PeerError.
        """
        return Exchange(self, method, target, tuple(headers), body)

    def suspect(self) -> None:
        """The network may have changed: use no connection again that is idle now."""
        for _, connection in self._idle:
            connection.abort()
        self._idle.clear()

    async def close(self) -> None:
        """Close every connection; exchanges under way fail, and so do later ones."""
        self._closed = True
        self._idle.clear()
        connections = list(self._open)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.closed()

    async def ask(
        self, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> Answer:
        """As ``exchange``, any answer; whoever has it has to ``give_back`` its connection."""
        proof = await self._access.credentials.headers()
        try:
            answer = await self._try(method, target, (*headers, *proof), body)
        except Unavailable:
            self._trouble = True
            raise
        if answer.status in _AWAY:
            self._trouble = True
        elif self._trouble:
            self._trouble = False
            self.reached()
        if answer.status != 401:
            return answer
        try:
            renewed = await self._renew(proof)
        except BaseException:
            answer.connection.abort()
            raise
        if renewed is None:
            return answer
        answer.connection.abort()
        return await self._try(method, target, (*headers, *renewed), body)

    async def _renew(self, refused: Headers) -> Headers | None:
        """Headers to try instead of those refused, or None if there are no other credentials."""
        credentials, tls = self._access.credentials, self._tls
        renewed = await credentials.headers()
        if renewed != refused:
            return renewed  # another request was refused before us
        renewed = await credentials.headers(refresh=True)
        same = renewed == refused and await self._access.current_tls() == tls
        return None if same else renewed

    async def _try(
        self, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> Answer:
        try:
            return await self._send(await self._take(), method, target, headers, body)
        except Stale:
            if method != "GET":
                raise
            self.suspect()  # the others are as old
            return await self._send(await self._take(), method, target, headers, body)

    async def _send(
        self,
        connection: Connection,
        method: str,
        target: str,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
    ) -> Answer:
        # h11 needs to know whether a body follows; DELETE, PATCH, POST and PUT may have one.
        length = (("content-length", str(len(body))),) if body or method not in _BODILESS else ()
        all_headers = (*self._fixed_headers, *headers, *length)
        try:
            async with asyncio.timeout(self._timeouts.quiet):
                head = await connection.request(method, self._prefix + target, all_headers, body)
        except TimeoutError as cause:
            connection.abort()
            quiet = self._timeouts.quiet
            raise Unavailable(f"{self.server} did not answer within {quiet:g} s") from cause
        except BaseException:
            connection.abort()
            raise
        return Answer(head, connection, self._timeouts.quiet)

    async def _take(self) -> Connection:
        """The connection that was used last, or a new one."""
        if self._closed:
            raise Unavailable(f"the connection to {self.server} was closed")
        tls = await self._access.current_tls()
        if tls != self._tls:  # a credential plugin gave a new client certificate
            self.suspect()
            self._tls, self._context = tls, None
        oldest = asyncio.get_running_loop().time() - self._timeouts.idle
        while self._idle:
            since, connection = self._idle.pop()
            if connection.reusable and since >= oldest:
                return connection
            connection.abort()
        return await self._connect(tls)

    async def _connect(self, tls: TLSSettings | None) -> Connection:
        if tls is not None and self._context is None:
            self._context = client_context(tls)
        proxy = self._access.proxy
        if proxy is not None and proxy.scheme == "https" and self._proxy_context is None:
            self._proxy_context = client_context(to_proxy(self._access.tls))
        connection = await connect(
            self._host,
            self._port,
            self._context,
            tls.server_name if tls is not None else "",
            self._timeouts.connect,
            proxy,
            self._proxy_context,
        )
        self._open.add(connection)
        connection.when_closed(self._open.discard)
        if self._closed:
            connection.abort()
        return connection

    def give_back(self, connection: Connection) -> None:
        """Nobody reads its answer any more: keep it for the next request, or close it."""
        if connection.reusable and len(self._idle) < _MOST_IDLE:
            self._idle.append((asyncio.get_running_loop().time(), connection))
        else:
            connection.abort()


class Exchange:
    """A request and its answer, as a context manager; ``Transport.exchange`` makes it."""

    def __init__(
        self,
        transport: Transport,
        method: str,
        target: str,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
    ) -> None:
        self._transport = transport
        self._request = (method, target, headers, body)
        self._connection: Connection | None = None

    async def __aenter__(self) -> Answer:
        answer = await self._transport.ask(*self._request)
        self._connection = answer.connection
        if answer.status < 400:
            return answer
        try:
            raise await _error(answer)
        finally:
            self._transport.give_back(answer.connection)

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            self._transport.give_back(self._connection)


_AWAY = (429, 502, 503, 504)
"""The server is too busy, or what stands before it does not reach it."""
_BODILESS = ("GET", "HEAD")


async def _error(answer: Answer) -> FerrymanError:
    """What an answer of 400 or more means; a gateway's page in HTML is only its status."""
    text = await answer.read_all(_LARGEST_ERROR)
    try:
        status = from_json(text)
    except BadRequest:
        status = None
    if not isinstance(status, dict):
        status = {"message": f"the server answered {answer.status}"}
    error = from_status(answer.status, status)
    if type(error) is ApiError and answer.status == 502:
        error = ServiceUnavailable(error.message, details=error.details, causes=error.causes)
    wait = answer.header("retry-after")
    if wait.isascii() and wait.isdecimal() and len(wait) < 6:
        error.details.setdefault("retryAfterSeconds", int(wait))
    return error
