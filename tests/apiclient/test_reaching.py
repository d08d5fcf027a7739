"""Which of a name's addresses is reached, and that nobody waits for a name server."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ferryman.apiclient import reaching
from ferryman.apiclient.reaching import in_turn, reach

NOWHERE = "127.0.0.2"  # nobody listens there


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def leads_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    def look_up(_: str, port: int, **__: object) -> list[Any]:
        return [
            (
                socket.AF_INET6 if ":" in host else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (host, port, 0, 0) if ":" in host else (host, port),
            )
            for host in hosts
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_the_families_take_turns() -> None:
    four: list[reaching.Place] = [(socket.AF_INET, (f"127.0.0.{n}", 1)) for n in range(3)]
    six: list[reaching.Place] = [(socket.AF_INET6, (f"::{n}", 1, 0, 0)) for n in range(2)]
    assert in_turn([*six, *four]) == [six[0], four[0], six[1], four[1], four[2]]
    assert in_turn([]) == []


@pytest.mark.parametrize("hosts", [("127.0.0.1",), (NOWHERE, "127.0.0.1"), ("::1", "127.0.0.1")])
async def test_the_first_that_answers_is_taken(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket, hosts: tuple[str, ...]
) -> None:
    leads_to(monkeypatch, *hosts)
    with await reach("cluster.example", port_of(listener)) as sock:
        assert sock.getpeername()[0] == "127.0.0.1"
        assert sock.gettimeout() == 0


async def test_one_that_says_nothing_gets_a_head_start_only(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    leads_to(monkeypatch, "127.0.0.3", "127.0.0.1")
    with socket.socket() as full:  # its backlog is taken: what comes now gets no answer
        full.bind(("127.0.0.3", port_of(listener)))
        full.listen(0)
        others = [socket.socket() for _ in range(3)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        began = time.monotonic()
        with await reach("cluster.example", port_of(listener)) as sock:
            assert sock.getpeername()[0] == "127.0.0.1"
        assert reaching.HEAD_START <= time.monotonic() - began < 5
        for other in others:
            other.close()


async def test_the_last_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, NOWHERE, "127.0.0.3")
    with pytest.raises(ConnectionRefusedError):
        await reach("cluster.example", 1)
    leads_to(monkeypatch)
    with pytest.raises(OSError, match="no address"):
        await reach("cluster.example", 1)


async def test_a_name_that_cannot_be_said_is_an_error() -> None:
    with pytest.raises(UnicodeError):
        await reach("x" * 64 + ".example", 1)


async def test_nobody_waits_for_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> list[Any]:
        asked.set()
        answer.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reach("cluster.example", 1)
        assert asked.is_set()
        # asyncio waits for its own threads when a program ends; this is none of them.
        await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 1)
    finally:
        answer.set()
