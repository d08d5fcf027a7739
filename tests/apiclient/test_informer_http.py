"""The informer over HTTP and TLS: real outages, by a clock that only the test moves."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ferryman.access.credentials import Fixed
from ferryman.access.kubeconfig import Access, load
from ferryman.api.client import Added, Bookmark
from ferryman.api.status import Expired
from ferryman.apiclient import http_client
from ferryman.apiclient.http_client import HttpClient
from ferryman.apiclient.informer import Informer
from ferryman.errors import Unavailable
from ferryman.kube.resources import PODS
from ferryman.runtime.clock import ManualClock
from tests.support.apiserver import Api, serving
from tests.support.object_client import HISTORY, SCHEME, WIDGETS, new_store, widget
from tests.support.scripted_server import Request, head, scripted

PATIENCE = 10.0


class WatchedClock(ManualClock):
    """Tells when somebody begins to sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.set()
        await super().sleep(seconds)


class World:
    """An API server, a client, an informer of its widgets."""

    def __init__(self, api: Api, client: HttpClient) -> None:
        self.api = api
        self.store = api.store
        self.client = client
        self.clock = WatchedClock()
        self.informer = Informer(client, WIDGETS, clock=self.clock)
        self._news = asyncio.Event()
        self.informer.subscribe(lambda _: self._news.set())
        self.informer.subscribe_health(self._news.set)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until the informer's news make it so."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def until_it_waits(self) -> None:
        """Wait until it pauses after a failure."""
        async with asyncio.timeout(PATIENCE):
            while not self.clock.waiting:
                self.clock.slept.clear()
                await self.clock.slept.wait()

    @property
    def names(self) -> list[str]:
        return sorted(name.name for name in self.informer.objects)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with serving(tmp_path, scheme=SCHEME, store=new_store()) as api:
        access = load(str(api.kubeconfig(tmp_path)), None, os.environ)
        async with HttpClient(access) as client:
            world = World(api, client)
            await world.store.create(WIDGETS, widget("a"))
            running = asyncio.get_running_loop().create_task(world.informer.run())
            await world.until(lambda: world.informer.healthy)
            yield world
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_changes_arrive(world: World) -> None:
    await world.client.create(WIDGETS, widget("b"))
    await world.until(lambda: world.names == ["a", "b"])
    await world.client.delete(WIDGETS, "a", "east")
    await world.until(lambda: world.names == ["b"])


async def test_an_outage_is_told_and_what_happened_meanwhile_is_caught_up(world: World) -> None:
    world.api.server.outage()
    await world.until(lambda: not world.informer.healthy)
    assert isinstance(world.informer.error, Unavailable)
    await world.store.delete(WIDGETS, "a", "east")
    await world.store.create(WIDGETS, widget("b"))
    assert world.names == ["a"]
    await world.until_it_waits()
    await world.api.server.restore()
    world.informer.kick()
    await world.until(lambda: world.names == ["b"] and world.informer.healthy)


async def test_an_outage_longer_than_the_servers_memory_means_a_new_list(world: World) -> None:
    world.api.server.outage()
    await world.until(lambda: not world.informer.healthy)
    for i in range(HISTORY + 1):
        await world.store.patch(WIDGETS, "a", "merge", {"spec": {"replicas": i + 2}}, "east")
    await world.store.create(WIDGETS, widget("b"))
    await world.until_it_waits()
    await world.api.server.restore()
    world.clock.slept.clear()
    world.informer.kick()
    await world.clock.slept.wait()  # told "expired", it waits a little before it lists again
    await world.clock.advance(5)
    await world.until(lambda: world.names == ["a", "b"] and world.informer.healthy)


async def test_a_suspected_connection_is_replaced_and_nothing_is_missed(world: World) -> None:
    world.client.suspect()
    world.informer.suspect()
    await world.client.create(WIDGETS, widget("b"))
    await world.until(lambda: world.names == ["a", "b"])
    assert world.informer.healthy


def access(url: str) -> Access:
    return Access("dev", "c", "default", url, None, Fixed())


CHUNKED = head(200, {"transfer-encoding": "chunked"})


async def test_a_watch_says_when_the_server_has_accepted_it_and_asks_for_a_timeout() -> None:
    async def handle(request: Request) -> None:
        await request.say(CHUNKED)

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        events = client.watch(PODS, "ns", resource_version="7", bookmarks=True)
        assert await anext(events) == Bookmark("7")
        await _close(events)
        target = server.requests[0].target
        assert target.startswith("/api/v1/namespaces/ns/pods?watch=true&resourceVersion=7")
        assert "allowWatchBookmarks=true" in target
        assert "timeoutSeconds=" in target
        await server.left.wait()


async def test_a_watch_that_the_server_forgets_to_end_is_ended_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_client, "_WATCH_SECONDS", (0, 0))
    monkeypatch.setattr(http_client, "_WATCH_GRACE", 0.1)

    async def handle(request: Request) -> None:
        await request.say(CHUNKED)

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        with pytest.raises(Unavailable, match="stopped in the middle"):
            await anext(client.watch(PODS, "ns", resource_version="7"))


@pytest.mark.parametrize(
    ("ending", "raises"), [(b"0\r\n\r\n", StopAsyncIteration), (b"", Unavailable)]
)
async def test_a_watch_that_the_server_ended_is_told_from_one_that_broke(
    ending: bytes, raises: type[Exception]
) -> None:
    async def handle(request: Request) -> None:
        await request.say(CHUNKED)
        await request.chunk(b'{"type": "ADDED", "object": {"metadata": {"name": "a"}}}\n{"ty')
        await request.say(ending)
        request.hang_up()

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        events = client.watch(PODS, "ns", resource_version="7")
        added = await anext(events)
        assert isinstance(added, Added)
        assert added.object["kind"] == "Pod"
        with pytest.raises(raises):
            await anext(events)


async def test_a_version_that_is_too_old_is_expired_however_the_server_says_it() -> None:
    status = b'{"code": 410, "reason": "Expired", "message": "too old"}'

    async def handle(request: Request) -> None:
        if "resourceVersion=7" in request.target:
            await request.answer(410, status)
        else:
            await request.say(CHUNKED)
            await request.chunk(b'{"type": "ERROR", "object": %b}\n' % status)

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        for version in "78":
            with pytest.raises(Expired):
                await anext(client.watch(PODS, "ns", resource_version=version))


async def _close(events: object) -> None:
    await events.aclose()  # type: ignore[attr-defined]  # an async generator, as the contract says
