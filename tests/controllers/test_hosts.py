"""Hosts of forwards: what is known stays known."""

from __future__ import annotations

from ferryman.controllers.hosts import FRESH, HostNames, look_up
from ferryman.runtime.clock import ManualClock


class Server:
    """Answers what is in ``names``; else raises ``failure``."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[str, ...]] = {}
        self.failure: Exception = OSError(-2, "Name or service not known")
        self.asked = 0

    async def __call__(self, name: str) -> tuple[str, ...]:
        self.asked += 1
        if name not in self.names:
            raise self.failure
        return self.names[name]


async def test_addresses_and_loopbacks_need_no_server() -> None:
    server = Server()
    found = await HostNames(ManualClock(), server).addresses(["", "localhost", "10.0.0.1", "::"])
    both = ("127.0.0.1", "::1")
    assert found == {"": both, "localhost": both, "10.0.0.1": ("10.0.0.1",), "::": ("::",)}
    assert server.asked == 0


async def test_a_name_is_asked_for_now_and_then_and_outlives_its_server() -> None:
    server, clock = Server(), ManualClock()
    hosts = HostNames(clock, server)
    server.names = {"a": ("1.1.1.1",)}
    for _ in range(3):
        assert await hosts.addresses(["a"]) == {"a": ("1.1.1.1",)}
    assert server.asked == 1
    await clock.advance(FRESH)
    server.names = {"a": ("2.2.2.2",)}
    assert await hosts.addresses(["a"]) == {"a": ("2.2.2.2",)}
    await clock.advance(FRESH)
    server.names = {}
    assert await hosts.addresses(["a"]) == {"a": ("2.2.2.2",)}


async def test_why_a_name_has_no_address_is_said_and_not_remembered() -> None:
    server = Server()
    hosts = HostNames(ManualClock(), server)
    assert await hosts.addresses(["a"]) == {"a": "cannot listen on a: Name or service not known"}
    server.failure = TimeoutError()
    assert "does not answer" in str((await hosts.addresses(["a"]))["a"])
    server.failure = UnicodeError()
    assert "not a host's name" in str((await hosts.addresses(["a"]))["a"])
    server.names = {"a": ("1.1.1.1",)}
    assert await hosts.addresses(["a"]) == {"a": ("1.1.1.1",)}


async def test_the_system_is_asked_for_names() -> None:
    assert "127.0.0.1" in await look_up("localhost")
