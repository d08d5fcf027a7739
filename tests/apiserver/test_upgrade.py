"""Connections that stop being HTTP: only through the application, only when it says so."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from ferryman.api.resource import Name
from ferryman.api.status import NotFound
from ferryman.apiserver.app import Subresource, Subresources
from ferryman.apiserver.upgrade import TakeOver
from tests.support.apiserver import BOATS, Connection, serving

PATH = "/apis/ferries.example/v1/namespaces/default/boats/kestrel/radio"
UPGRADE = {"connection": "Upgrade", "upgrade": "SPDY/3.1"}
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"


class Shouting(asyncio.Protocol):
    """Says everything again, louder; closes at "over"."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())
        if b"over" in data:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


class Radio:
    """The subresource ``radio`` of boats."""

    def __init__(self) -> None:
        self.taken: list[Shouting] = []
        self.may = asyncio.Event()
        self.may.set()

    async def answer(self, request: Request, name: Name) -> Response:
        await self.may.wait()
        if name.name != "kestrel":
            raise NotFound(f"no boat {name}")
        if request.query_params.get("refuse"):
            return TakeOver(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        self.taken.append(Shouting())
        return TakeOver(SWITCHED, self.taken[-1])

    @property
    def hooks(self) -> Subresources:
        return {(BOATS, "radio"): Subresource(self.answer, ("GET", "POST"))}


async def read_until(connection: Connection, expected: bytes) -> bytes:
    data = b""
    while expected not in data:
        chunk = await connection.reader.read(65536)
        assert chunk, data
        data += chunk
    return data


@pytest.fixture
def radio() -> Radio:
    return Radio()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_is_the_protocols_once_the_application_gives_it_away(
    tmp_path: Path, radio: Radio, method: str
) -> None:
    async with serving(tmp_path, subresources=radio.hooks) as api, api.connection() as client:
        await client.send(method, PATH, **UPGRADE)
        assert await read_until(client, b"\r\n\r\n") == SWITCHED
        client.writer.write(b"ahoy")
        assert await read_until(client, b"AHOY")
        client.writer.write(b"over")
        assert await client.reader.read() == b"OVER"
        await radio.taken[0].lost.wait()


async def test_bytes_that_come_before_the_answer_are_kept_for_the_protocol(
    tmp_path: Path, radio: Radio
) -> None:
    radio.may.clear()
    async with serving(tmp_path, subresources=radio.hooks) as api, api.connection() as client:
        await client.send("POST", PATH, **UPGRADE)
        client.writer.write(b"too early, GET / HTTP/1.1\r\n\r\n")
        await client.writer.drain()
        radio.may.set()
        assert (await read_until(client, b"HTTP/1.1\r\n\r\n")).startswith(SWITCHED + b"TOO EARLY")
        client.writer.write(b"and later")
        assert await read_until(client, b"AND LATER")


async def test_bulk_crosses_a_taken_connection_both_ways(tmp_path: Path, radio: Radio) -> None:
    sent = b"abcdefgh" * 2**18
    async with serving(tmp_path, subresources=radio.hooks) as api, api.connection() as client:
        await client.send("POST", PATH, **UPGRADE)
        await read_until(client, b"\r\n\r\n")

        async def send() -> None:
            client.writer.write(sent)
            await client.writer.drain()

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            got = await client.reader.readexactly(len(sent))
        assert got == sent.upper()


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic Zm9vOmJhcg=="])
@pytest.mark.parametrize("upgrade", ["SPDY/3.1", "websocket", "h2c"])
async def test_nobody_unknown_is_upgraded(
    tmp_path: Path, radio: Radio, authorization: str, upgrade: str
) -> None:
    async with serving(tmp_path, subresources=radio.hooks) as api:
        answer = await api.request(
            "POST", PATH, connection="Upgrade", upgrade=upgrade, authorization=authorization
        )
        assert answer.status == 401
        assert answer.json["reason"] == "Unauthorized"
        assert answer.header("www-authenticate") == "Bearer"
        assert not radio.taken


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (PATH.replace("kestrel", "ghost"), 404),
        (PATH.replace("radio", "rudder"), 404),
        ("/anything", 404),
        ("/apis/ferries.example/v1/namespaces/default/boats", 200),
        ("/version", 200),
    ],
)
async def test_an_upgrade_that_nobody_wants_is_an_ordinary_request(
    tmp_path: Path, radio: Radio, path: str, status: int
) -> None:
    async with serving(tmp_path, subresources=radio.hooks) as api, api.connection() as client:
        assert (await client.request("GET", path, **UPGRADE)).status == status
        assert (await client.request("GET", "/version")).status == 200, "the connection lives on"


async def test_a_method_that_the_subresource_lacks_is_405(tmp_path: Path, radio: Radio) -> None:
    async with serving(tmp_path, subresources=radio.hooks) as api:
        assert (await api.request("DELETE", PATH, **UPGRADE)).status == 405


async def test_without_an_upgrade_the_request_is_bad(tmp_path: Path, radio: Radio) -> None:
    async with serving(tmp_path, subresources=radio.hooks) as api:
        answer = await api.request("GET", PATH)
        assert (answer.status, answer.json["reason"]) == (400, "BadRequest")


async def test_a_refusal_may_be_said_as_it_is(tmp_path: Path, radio: Radio) -> None:
    async with serving(tmp_path, subresources=radio.hooks) as api, api.connection() as client:
        await client.send("POST", f"{PATH}?refuse=1", **UPGRADE)
        assert (await client.reader.read()).startswith(b"HTTP/1.1 403 Forbidden\r\n")


async def test_stopping_the_server_ends_taken_connections(tmp_path: Path, radio: Radio) -> None:
    async with serving(tmp_path, subresources=radio.hooks) as api, api.connection() as client:
        await client.send("POST", PATH, **UPGRADE)
        await read_until(client, b"\r\n\r\n")
        await api.server.stop()
        assert await client.rest() == b""
        await radio.taken[0].lost.wait()


async def test_an_outage_cuts_taken_connections(tmp_path: Path, radio: Radio) -> None:
    async with serving(tmp_path, subresources=radio.hooks) as api, api.connection() as client:
        await client.send("POST", PATH, **UPGRADE)
        await read_until(client, b"\r\n\r\n")
        api.server.outage()
        await radio.taken[0].lost.wait()
        assert await client.rest() == b""


async def test_a_client_that_leaves_before_the_answer_is_no_harm(
    tmp_path: Path, radio: Radio
) -> None:
    radio.may.clear()
    async with serving(tmp_path, subresources=radio.hooks) as api:
        async with api.connection() as client:
            await client.send("POST", PATH, **UPGRADE)
            client.writer.transport.abort()
        radio.may.set()
        assert (await api.request("GET", "/version")).status == 200
