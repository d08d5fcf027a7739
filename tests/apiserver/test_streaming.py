"""Answers without an end of their own, and what becomes of bugs and of garbage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import h11
import pytest
from starlette.requests import Request
from starlette.responses import Response

from ferryman.api.resource import Name
from ferryman.apiserver.app import Subresource, Subresources
from ferryman.apiserver.streaming import Streaming
from tests.support.apiserver import BOATS, TOKEN, serving

LOG = "/apis/ferries.example/v1/namespaces/default/boats/kestrel/log"
WATCH = "/apis/ferries.example/v1/boats?watch=1&resourceVersion=0"


def logs(body: Callable[[], AsyncGenerator[bytes, None]]) -> Subresources:
    async def answer(_: Request, __: Name) -> Response:
        return Streaming(body(), "text/plain")

    return {(BOATS, "log"): Subresource(answer)}


async def test_a_stream_ends_when_its_body_does(tmp_path: Path) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"one\n"
        yield b"two\n"

    async with serving(tmp_path, subresources=logs(body)) as api:
        answer = await api.request("GET", LOG)
        assert answer.body == b"one\ntwo\n"
        assert answer.header("content-type").startswith("text/plain")
        assert (await api.request("POST", LOG)).status == 405


async def test_the_body_is_closed_before_a_stopped_stream_is_over(tmp_path: Path) -> None:
    closed = asyncio.Event()

    async def body() -> AsyncGenerator[bytes, None]:
        try:
            yield b"one\n"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.set()

    async with serving(tmp_path, subresources=logs(body)) as api, api.connection() as client:
        await client.send("GET", LOG)
        assert isinstance(await client.event(), h11.Response)
        assert bytes((await client.event()).data) == b"one\n"
        async with asyncio.TaskGroup() as group:
            group.create_task(api.server.stop(timeout=10))
            assert isinstance(await client.event(), h11.EndOfMessage)
            assert closed.is_set()


async def test_a_stream_that_fails_does_not_look_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"half of it"
        raise ValueError("lost")

    async with serving(tmp_path, subresources=logs(body)) as api, api.connection() as client:
        await client.send("GET", LOG)
        assert isinstance(await client.event(), h11.Response)
        assert bytes((await client.event()).data) == b"half of it"
        with pytest.raises(h11.RemoteProtocolError, match="without sending complete message"):
            await client.event()
        assert "ValueError: lost" in caplog.text


async def test_a_bug_is_a_status_and_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(_: Request, __: Name) -> Response:
        raise ZeroDivisionError("a secret detail")

    hooks = {(BOATS, "log"): Subresource(answer)}
    async with serving(tmp_path, subresources=hooks) as api:
        failed = await api.request("GET", LOG)
        assert (failed.status, failed.json["reason"]) == (500, "InternalError")
        assert b"secret" not in failed.body
        assert "ZeroDivisionError" in caplog.text


async def test_what_is_no_http_is_refused_quietly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as api:
        async with api.connection() as client:
            client.writer.write(b"\x00\x01 no HTTP at all\r\n\r\n")
            assert (await client.rest()).startswith(b"HTTP/1.1 400")
        async with api.connection() as client:
            client.writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
            assert (await client.rest()).startswith(b"HTTP/1.1 4")
        async with api.connection() as client:
            head = f"GET {WATCH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            client.writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            assert (await client.reader.readline()) == b"HTTP/1.1 200 OK\r\n"
            client.writer.write(b"not a chunk\r\n")
            assert b"HTTP" not in await client.rest()
        assert (await api.request("GET", "/version")).status == 200
        assert not caplog.records
