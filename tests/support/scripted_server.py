"""An HTTP server that misbehaves to order, for tests of clients; on loopback, plain or TLS.

    async def handle(request: Request) -> None:
        await request.answer(200, b"{}")

    async with scripted(handle) as server:
        ...  # server.url, server.requests, server.connections

``handle`` is called for each request; what it raises fails the test when the block ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """A request that has come in whole; ``connection`` counts connections from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    writer: asyncio.StreamWriter = field(repr=False)

    async def answer(
        self, status: int, body: bytes | dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        """Answer properly, and keep the connection."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.say(head(status, {"content-length": str(len(data)), **(headers or {})}) + data)

    async def say(self, data: bytes) -> None:
        """Any bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        """A chunk of an answer whose head said ``transfer-encoding: chunked``."""
        await self.say(b"%x\r\n%b\r\n" % (len(data), data))

    def hang_up(self) -> None:
        """Close the connection in good order."""
        self.writer.close()

    def reset(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()


@dataclass
class ScriptedServer:
    url: str
    port: int
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has ended a connection."""


Handler = Callable[[Request], Awaitable[None]]


def head(status: int, headers: dict[str, str]) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


@asynccontextmanager
async def scripted(
    handle: Handler, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    """Serve until the block ends."""
    failures: list[BaseException] = []
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        try:
            number = server.connections
            while request := await _read(reader, writer, number):
                server.requests.append(request)
                await handle(request)
        except (ConnectionError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - raised at the end of the block
            failures.append(error)
        finally:
            server.left.set()
            writer.transport.abort()
            tasks.discard(task)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    server = ScriptedServer(f"http{'s' if tls else ''}://127.0.0.1:{port}", port)
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await listener.wait_closed()
    if failures:
        raise failures[0]


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
) -> Request | None:
    try:
        text = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = text.decode().rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body, connection, writer)
