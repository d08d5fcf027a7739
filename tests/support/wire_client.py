"""A client's end of a wire on asyncio streams, for tests of servers."""

from __future__ import annotations

import asyncio

from ferryman.protocols.multiplex import (
    ClientWire,
    Data,
    ErrorEnded,
    ErrorText,
    Event,
    Finished,
    PairReset,
)


class WireClient:
    """A client's machine on a connection; events are kept by pair."""

    def __init__(
        self, machine: ClientWire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.machine = machine
        self.events: list[Event] = []
        self.reader = reader
        self.writer = writer

    def flush(self) -> None:
        # Not writelines: up to 3.12.8 and 3.13.1 drain() does not wait for it (CVE-2024-12254).
        self.writer.write(b"".join(self.machine.data_to_send()))

    async def until(self, wanted: type[Event], pair: int = 1) -> None:
        """Read until an event of this sort has come for the pair."""
        async with asyncio.timeout(10):
            while not any(
                isinstance(e, wanted) and getattr(e, "pair", pair) == pair for e in self.events
            ):
                await self.receive()

    async def read(self, pair: int, count: int) -> None:
        """Read until the pair has brought so many bytes."""
        async with asyncio.timeout(10):
            while len(self.bytes_of(pair)) < count:
                await self.receive()

    async def receive(self) -> None:
        """Take what comes next; fails if the wire has ended."""
        data = await self.reader.read(1 << 20)
        assert data, f"the wire ended: {self.events}"
        for event in self.machine.receive(data):
            if isinstance(event, Data):
                event = Data(event.pair, memoryview(bytes(event.data)))
            self.events.append(event)
        self.flush()

    def bytes_of(self, pair: int = 1) -> bytes:
        return b"".join(e.data for e in self.events if isinstance(e, Data) and e.pair == pair)

    def ends_of(self, pair: int = 1) -> list[Event]:
        """Everything but data."""
        ends = (Finished, ErrorText, ErrorEnded, PairReset)
        return [e for e in self.events if isinstance(e, ends) and e.pair == pair]
