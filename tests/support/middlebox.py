"""What may stand between a client and its API server, with the vices that such boxes have.

It runs in a thread of its own and passes TCP on as it is; given two TLS contexts, it ends TLS on
one side and begins it on the other, as a load balancer does. While it runs, a test may let it
close what is idle, forget what is open without a word, or answer itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_CHUNK = 65536
_PATIENCE = 20.0


@dataclass(eq=False)
class _Link:
    """One connection and its continuation."""

    writers: list[asyncio.StreamWriter]
    touched: float = field(default_factory=time.monotonic)
    forgotten: bool = False

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Middlebox:
    """Use it as a context manager; ``address`` is where it listens then.

    ``idle`` in seconds: what is silent for so long is closed (0: never). ``tls`` is what it shows
    to clients, ``upstream`` how it trusts the server.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        host: str = "127.0.0.1",
        idle: float = 0.0,
        tls: ssl.SSLContext | None = None,
        upstream: ssl.SSLContext | None = None,
    ) -> None:
        self.accepted = 0
        """Connections so far."""
        self.closed_idle = 0
        """How many of them were closed because they were silent."""
        self.refused = 0
        """How many were given the answer of ``refuse``."""
        self._target = target
        self._host = host
        self._idle = idle
        self._tls = tls
        self._upstream = upstream
        self._refusal = b""
        self._links: set[_Link] = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()])
        self.address = (host, 0)

    def __enter__(self) -> Middlebox:
        self._thread.start()  # in the network namespace of whoever enters
        assert self._ready.wait(_PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def forget(self) -> None:
        """Drop what comes on the connections that are open, and tell neither end: a firewall that
        lost its state, a network that changed. New ones go through.
        """

        def forget() -> None:
            for link in self._links:
                link.forgotten = True

        self._do(forget)

    def refuse(self, answer: str) -> None:
        """Reset what is open, and give this whole HTTP answer to every request from now on."""

        def begin() -> None:
            self._refusal = answer.encode()
            for link in self._links:
                link.abort()

        self._do(begin)

    def relent(self) -> None:
        """Refuse no more."""

        def relent() -> None:
            self._refusal = b""

        self._do(relent)

    def _do(self, what: Callable[[], None]) -> None:
        done = threading.Event()

        def work() -> None:
            what()
            done.set()

        self._loop.call_soon_threadsafe(work)
        assert done.wait(_PATIENCE)

    async def _run(self) -> None:
        server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls)
        self.address = server.sockets[0].getsockname()[:2]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for link in self._links:
            link.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = _Link([writer])
        self._links.add(link)
        try:
            # CancelledError is the box's end, which asyncio's streams would report as a failure.
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                if self._refusal:
                    await self._answer(reader, writer)
                else:
                    await self._pass_on(link, reader)
        finally:
            self._links.discard(link)
            link.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.refused += 1
        writer.write(self._refusal)
        writer.close()
        await writer.wait_closed()

    async def _pass_on(self, link: _Link, reader: asyncio.StreamReader) -> None:
        [client] = link.writers
        back, server = await asyncio.open_connection(*self._target, ssl=self._upstream)
        link.writers.append(server)
        pumps = [
            asyncio.create_task(self._pump(link, reader, server)),  # noqa: TID251  awaited below
            asyncio.create_task(self._pump(link, back, client)),  # noqa: TID251
        ]
        try:
            if self._idle:
                await self._close_when_idle(link, pumps)
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            link.touched = time.monotonic()
            if not link.forgotten:
                writer.write(data)
                await writer.drain()
        if link.forgotten:
            await asyncio.Event().wait()  # the other end never hears of it
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()

    async def _close_when_idle(self, link: _Link, pumps: list[asyncio.Task[None]]) -> None:
        while not all(pump.done() for pump in pumps):
            left = link.touched + self._idle - time.monotonic()
            if left <= 0:
                self.closed_idle += 1
                for writer in link.writers:
                    writer.close()
                return
            await asyncio.wait(pumps, timeout=left)
