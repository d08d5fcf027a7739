"""Answers without an end of their own: watches, logs.

A stream ends when its body does, when the client leaves, when time is up or when the server stops
(``request.state.closing``, which ``server`` sets). Whatever ends it, the body is closed before the
answer is over. A client that does not read stops the body, not the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ferryman.runtime.clock import Clock, SystemClock


class Streaming(Response):
    """Sends what ``body`` yields, as it comes, for at most ``timeout`` seconds of the clock.

    An exception out of the body cuts the connection, so that the answer does not look whole.
    """

    def __init__(
        self,
        body: AsyncGenerator[bytes, None],
        media_type: str,
        *,
        timeout: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self._stream = body
        self._timeout = timeout
        self._clock = clock or SystemClock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        closing: asyncio.Event = scope.get("state", {}).get("closing") or asyncio.Event()
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        # The head goes out at once, so that a client knows that its watch has begun.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        async with asyncio.TaskGroup() as group:
            ends: list[asyncio.Task[object]] = [
                group.create_task(self._pump(send)),
                group.create_task(_departure(receive)),
                group.create_task(closing.wait()),
            ]
            if self._timeout is not None:
                ends.append(group.create_task(self._clock.sleep(self._timeout)))
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in ends:
                task.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Send) -> None:
        async with aclosing(self._stream) as stream:
            async for chunk in stream:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
