"""Owns a listener on loopback and every connection that came through it.

uvicorn's HTTP protocol runs here without uvicorn's own server, which takes the process' signals,
ticks ten times a second and cannot let go of its listener. ``app`` makes what is served,
``certificates`` what it is served with, ``upgrade`` the protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from functools import partial
from ipaddress import ip_address
from typing import Self

from starlette.types import ASGIApp
from uvicorn.config import Config

from ferryman.apiserver.upgrade import Connections, HttpProtocol
from ferryman.errors import UserError

_BACKLOG = 512
_MOST_CONNECTIONS = 2048
_HANDSHAKE_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = 75
_GOODBYE_SECONDS = 0.5
"""How long a TLS client may take to answer our close_notify."""
_ROUNDS = 4
"""Rounds of the loop until an aborted TLS connection has told its protocol."""
_HEAD_BYTES = 64 * 1024


class Server:
    """Serves an application from ``start`` to ``stop``, in the running event loop.

    ``host`` is an IP address; ``tls`` None means plain HTTP. Prints nothing and handles no signal.
    As a context manager it starts and stops.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if not ip_address(host).is_loopback:
            raise UserError(f"not a loopback address: {host}", "this server is for this machine")
        self._tls = tls
        self._host = host
        self._port = port
        self._config = Config(
            app,
            http=HttpProtocol,
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
        self._connections = Connections()
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, since ``start``."""
        return self._port

    @property
    def url(self) -> str:
        """Where clients find it, such as ``https://127.0.0.1:40123``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'s' if self._tls else ''}://{host}:{self._port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises OSError if the address is taken."""
        if not self._config.loaded:
            self._config.load()
        await self._listen()

    def outage(self) -> None:
        """Close the listener and cut all connections, as if the machine were gone.

        Handlers that run go on and find that nobody listens. ``restore`` ends it.
        """
        self._close_listener()
        self._connections.cut()

    async def restore(self) -> None:
        """Listen again, on the same port."""
        if self._listener is None:
            await self._listen()

    async def stop(self, timeout: float = 2.0) -> None:
        """Let requests finish for so many seconds, end watches at once, then cut the rest.

        Cancellation cuts at once.
        """
        self._close_listener()
        everything, state = self._connections, self._connections.state
        everything.closing.set()
        for transport in list(everything.taken):
            transport.close()
        for connection in list(state.connections):
            connection.shutdown()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._quiet()
        finally:
            everything.cut()
            tasks = list(state.tasks)
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)

    async def _quiet(self) -> None:
        """Wait until every HTTP connection has ended by itself."""
        connections = self._connections
        while connections.state.connections:
            connections.lost.clear()
            await connections.lost.wait()
        if tasks := list(connections.state.tasks):  # they see it a moment later
            await asyncio.wait(tasks)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            partial(HttpProtocol, self._config, self._connections),
            self._host,
            self._port,
            ssl=self._tls,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls else None,
            ssl_shutdown_timeout=_GOODBYE_SECONDS if self._tls else None,
            backlog=_BACKLOG,
            reuse_address=True,  # an outage ends on the port that it began on
        )
        self._port = self._listener.sockets[0].getsockname()[1]
        self._connections.admitting = True

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        self._connections.admitting = False
        if listener is not None:
            listener.close()  # closes the socket before it returns
