"""The data plane behind asyncio: the contract's calls, its events, its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ferryman.addresses import TcpAddress
from ferryman.dataplane import threaded
from ferryman.dataplane.contract import (
    Bind,
    Bound,
    Closed,
    Endpoint,
    Event,
    Gap,
    ListenerCounters,
    Opened,
    Policy,
)
from ferryman.dataplane.threaded import ThreadedDataPlane
from ferryman.errors import Unavailable

ANY = Bind(TcpAddress("127.0.0.1", 0), "tag")


@pytest.fixture
async def plane() -> AsyncIterator[ThreadedDataPlane]:
    one = ThreadedDataPlane()
    yield one
    await one.stop()


async def serve_echo() -> tuple[asyncio.Server, TcpAddress]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    return server, TcpAddress("127.0.0.1", server.sockets[0].getsockname()[1])


async def relay_to(plane: ThreadedDataPlane, target: TcpAddress) -> TcpAddress:
    bound = (await plane.apply({ANY: "r"}))[ANY]
    assert isinstance(bound, Bound)
    assert isinstance(bound.address, TcpAddress)
    await plane.policy("r", Policy(hold=0), 0)
    await plane.endpoints("r", [Endpoint("t", target)], 0)
    return bound.address


async def say(address: TcpAddress, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_bytes_cross_and_events_tell(plane: ThreadedDataPlane) -> None:
    server, target = await serve_echo()
    front = await relay_to(plane, target)
    assert await say(front, b"hello") == b"hello"
    events: list[Event] = []
    async for event in plane.events():
        events.append(event)
        if isinstance(event, Closed):
            break
    assert [type(e) for e in events] == [Opened, Closed]
    counters = plane.counters()["r"]
    assert counters == ListenerCounters(total=1, up=5, down=5)
    server.close()
    await server.wait_closed()


async def test_a_reader_that_sleeps_sees_a_gap_and_costs_no_memory(
    plane: ThreadedDataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threaded, "MOST_EVENTS", 3)
    server, target = await serve_echo()
    front = await relay_to(plane, target)
    for _ in range(4):
        await say(front, b"x")
    await plane.apply({})  # in order: all events of before are out
    events = plane.events()
    assert await anext(events) == Gap(5)
    assert isinstance(await anext(events), Opened)
    server.close()
    await server.wait_closed()


async def test_an_error_belongs_to_its_caller(plane: ThreadedDataPlane) -> None:
    with pytest.raises(OverflowError):
        await plane.apply({Bind(TcpAddress("127.0.0.1", 65536)): "r"})
    assert await plane.apply({}) == {}


async def test_events_end_when_the_data_plane_has_stopped() -> None:
    plane = ThreadedDataPlane()
    await plane.stop()
    assert [e async for e in plane.events()] == []
    with pytest.raises(Unavailable):
        await plane.apply({})


async def test_stopping_waits_for_open_connections_until_it_may_not() -> None:
    plane = ThreadedDataPlane()
    server, target = await serve_echo()
    front = await relay_to(plane, target)
    reader, writer = await asyncio.open_connection(front.host, front.port)
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"
    async with asyncio.TaskGroup() as tasks:
        patient = tasks.create_task(plane.stop(60))
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        assert not patient.done()
        await plane.stop(0)
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()
    server.close()
    await server.wait_closed()
