"""Exchanges for programs: ``ferryman.relay(…)`` as r, ``r.exchanges()``."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import ferryman
from ferryman.inspection.exchanges import Exchange
from ferryman.inspector.receiving import Missed


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        yield one.server_port
        one.shutdown()
        thread.join()


def ask(port: int, path: str) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.request("GET", path, headers={"Authorization": "Bearer hunter2"})
    assert client.getresponse().read() == b"ok"
    client.close()


async def test_exchanges_come_decoded_and_without_secrets_until_the_block_ends(
    server: int,
) -> None:
    came: list[Exchange | Missed] = []
    some = asyncio.Event()

    async def read(relay: ferryman.Relay) -> None:
        async for exchange in relay.exchanges():
            came.append(exchange)
            some.set()

    async with asyncio.TaskGroup() as group:
        async with ferryman.relay("127.0.0.1:0", f"127.0.0.1:{server}") as relay:
            group.create_task(read(relay))
            while not some.is_set():  # connections count from when the reading has begun
                await asyncio.to_thread(ask, relay.port, "/users")
    exchange = came[0]
    assert isinstance(exchange, Exchange)
    assert exchange.facts["path"] == "/users"
    assert exchange.facts["status"] == 200
    assert "hunter2" not in str(came)


def test_they_come_without_asyncio_as_well(server: int) -> None:
    with ferryman.relay("127.0.0.1:0", f"127.0.0.1:{server}") as relay:
        asking = threading.Event()

        def keep_asking() -> None:
            while not asking.is_set():
                ask(relay.port, "/users")

        thread = threading.Thread(target=keep_asking)
        thread.start()
        exchange = next(iter(relay.exchanges()))
        asking.set()
        thread.join()
    assert isinstance(exchange, Exchange)
    assert exchange.facts["path"] == "/users"
