"""Exchanges as a program gets them: the inspector's other end, on asyncio.

``Receiving`` owns one inspector; whoever has a data plane gives it ``start`` and says ``finish``
when the plane has stopped. A reader that is too slow misses exchanges, and is told how many.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ferryman.errors import PeerError
from ferryman.inspection.exchanges import Exchange
from ferryman.inspector.seeing import Seeing
from ferryman.inspector.sending import Exchanges
from ferryman.inspector.spawn import Inspector
from ferryman.runtime.broadcast import Broadcast


@dataclass(frozen=True, slots=True)
class Missed:
    """So many exchanges came while nobody read them."""

    exchanges: int


class Receiving(asyncio.Protocol):
    """On one event loop."""

    def __init__(self, seeing: Seeing) -> None:
        self.told = Broadcast[Exchange | Missed](Missed)
        self._inspector = Inspector(lambda: json.dumps(seeing.as_json()), out=-1, sending=True)
        self._exchanges = Exchanges()
        self._ended = asyncio.Event()
        self._transport: asyncio.ReadTransport | None = None

    def start(self) -> tuple[int, int] | None:
        """For a data plane, on any thread."""
        return self._inspector.start()

    async def begin(self) -> None:
        """Listen to the inspector."""
        pipe = os.fdopen(self._inspector.exchanges, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: self, pipe)

    async def finish(self) -> None:
        """The data plane has stopped: wait for the last exchanges, then readers come to the end."""
        await asyncio.to_thread(self._inspector.finish)
        await self._ended.wait()
        self.told.close()

    def read(self) -> AsyncIterator[Exchange | Missed]:
        """All that are told from now on."""
        return self.told.read()

    def data_received(self, data: bytes) -> None:
        """From asyncio."""
        try:
            for exchange in self._exchanges.receive(data):
                self.told.tell(exchange)
        except PeerError as error:
            self.told.close(error)
            if self._transport is not None:
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """From asyncio: the inspector has ended."""
        del error
        self._ended.set()
