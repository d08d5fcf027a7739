"""The informer over a memory store that fails to order, with time held still."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ferryman.api.client import (
    Added,
    Bookmark,
    Deleted,
    Modified,
    ObjectList,
    WatchEvent,
)
from ferryman.api.resource import Name, Resource
from ferryman.api.selectors import ALL, Requirement, Selector
from ferryman.api.status import Expired, Forbidden, ServiceUnavailable
from ferryman.apiclient.informer import Informer
from ferryman.errors import FerrymanError, Unavailable
from ferryman.runtime.backoff import Backoff
from ferryman.runtime.clock import ManualClock
from tests.support.object_client import HISTORY, WIDGETS, new_store, widget


class Fragile:
    """Reads of a store, which fail with ``failure`` while it is set; counts what is asked."""

    def __init__(self) -> None:
        self.store = new_store()
        self.failure: FerrymanError | None = None
        self.lists: list[tuple[int, str]] = []
        self.watches: list[str] = []
        self.cut = asyncio.Event()
        """Set it to end the watches that are open, with ``failure`` if there is one."""
        self.last_word: FerrymanError | None = None
        """What watches that are cut end with though nothing else fails."""
        self.expire_pages = False

    def recover(self) -> None:
        self.failure = None

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        selector: Selector = ALL,
        *,
        limit: int = 0,
        continue_token: str = "",
    ) -> ObjectList:
        self.lists.append((limit, continue_token))
        if self.failure:
            raise self.failure
        if continue_token and self.expire_pages:
            raise Expired("the continue token is too old")
        return await self.store.list(
            resource, namespace, selector, limit=limit, continue_token=continue_token
        )

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        selector: Selector = ALL,
        *,
        resource_version: str = "",
        initial_events: bool = False,
        bookmarks: bool = False,
    ) -> AsyncIterator[WatchEvent]:
        self.watches.append(resource_version)
        if self.failure:
            raise self.failure
        yield Bookmark(resource_version)  # as HttpClient says that the server has accepted it
        events: Any = self.store.watch(
            resource, namespace, selector, resource_version=resource_version, bookmarks=bookmarks
        )
        try:
            while not self.cut.is_set():
                async with asyncio.TaskGroup() as group:
                    news = group.create_task(_next(events))
                    cut = group.create_task(self.cut.wait())
                    await asyncio.wait((news, cut), return_when=asyncio.FIRST_COMPLETED)
                    news.cancel()
                    cut.cancel()
                if news.cancelled():
                    break
                event = news.result()
                if isinstance(event, FerrymanError):
                    raise event
                yield event
            self.cut.clear()
            if failure := self.failure or self.last_word:
                raise failure
        finally:
            await events.aclose()


async def _next(events: AsyncIterator[WatchEvent]) -> WatchEvent | FerrymanError:
    try:
        return await anext(events)
    except FerrymanError as error:
        return error


class World:
    """An informer of widgets at work, and what it told."""

    def __init__(self, namespace: str = "", selector: Selector = ALL) -> None:
        self.clock = ManualClock()
        self.client = Fragile()
        self.store = self.client.store
        client: Any = self.client
        self.informer = Informer(
            client, WIDGETS, namespace, selector, self.clock, Backoff(jitter=0)
        )
        self.told: list[str] = []
        self.health: list[str] = []
        self.informer.subscribe(self._hear)
        self.informer.subscribe_health(
            lambda: self.health.append(str(self.informer.error or "healthy"))
        )

    def _hear(self, event: WatchEvent) -> None:
        assert not isinstance(event, Bookmark)
        name = event.object["metadata"]["name"]
        cached = self.informer.objects.get(Name(name, "east"))
        assert (cached is None) == isinstance(event, Deleted)  # told after it is in the cache
        sign = {Added: "+", Modified: "~", Deleted: "-"}[type(event)]
        self.told.append(f"{sign}{name}")

    @property
    def names(self) -> list[str]:
        return sorted(name.name for name in self.informer.objects)

    async def create(self, *names: str) -> None:
        for name in names:
            await self.store.create(WIDGETS, widget(name))
        await self.settle()

    async def change(self, name: str, replicas: int) -> None:
        await self.store.patch(WIDGETS, name, "merge", {"spec": {"replicas": replicas}}, "east")

    async def settle(self) -> None:
        await self.clock.advance(0)
        await self.clock.advance(0)

    def heard(self) -> list[str]:
        """What was told since the last look."""
        told, self.told = self.told, []
        return told

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.informer.run())
            await self.settle()
            try:
                yield
            finally:
                task.cancel()


async def test_the_cache_is_filled_and_then_follows() -> None:
    world = World()
    await world.create("a", "b")
    assert world.health == []
    async with world.running():
        assert world.informer.synced.is_set()
        assert world.informer.healthy
        assert world.heard() == ["+a", "+b"]
        await world.create("c")
        await world.change("a", 3)
        await world.store.delete(WIDGETS, "b", "east")
        await world.settle()
        assert world.heard() == ["+c", "~a", "-b"]
        assert world.names == ["a", "c"]
        assert world.informer.objects[Name("a", "east")]["spec"]["replicas"] == 3
        assert world.health == ["healthy"]


async def test_one_object_may_be_followed_by_its_name() -> None:
    name = Selector(fields=(Requirement("metadata.name", "in", ("b",)),))
    world = World("east", name)
    await world.create("a", "b")
    async with world.running():
        await world.create("c")
        await world.store.delete(WIDGETS, "b", "east")
        await world.create("b")
        assert world.heard() == ["+b", "-b", "+b"]


async def test_a_large_list_is_read_in_pages_and_whole_if_they_expire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ferryman.apiclient.informer._PAGE", 2)
    world = World()
    await world.create("a", "b", "c", "d", "e")
    async with world.running():
        assert world.names == ["a", "b", "c", "d", "e"]
        assert [limit for limit, _ in world.client.lists] == [2, 2, 2]
    world.client.expire_pages = True
    world.client.lists.clear()
    client: Any = world.client
    again = Informer(client, WIDGETS, clock=world.clock)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(again.run())
        await again.synced.wait()
        task.cancel()
    assert [limit for limit, _ in world.client.lists] == [2, 2, 0]
    assert len(again.objects) == 5


async def test_when_the_watch_ends_it_goes_on_from_the_last_version() -> None:
    world = World()
    await world.create("a")
    async with world.running():
        await world.clock.advance(60)
        await world.create("b")
        last = world.informer.objects[Name("b", "east")]["metadata"]["resourceVersion"]
        world.client.cut.set()
        await world.settle()
        assert world.client.watches[1:] == [last]
        await world.create("c")
        assert world.heard() == ["+a", "+b", "+c"]
        assert len(world.client.lists) == 1
        assert world.health == ["healthy"]


async def test_a_watch_that_is_cut_after_a_while_goes_on_without_a_word() -> None:
    world = World()
    await world.create("a")
    async with world.running():
        world.client.last_word = Unavailable("it ended the connection")
        for times in range(1, 6):  # a proxy closes what is silent
            await world.clock.advance(5)
            world.client.cut.set()
            await world.settle()
            assert len(world.client.watches) == 1 + times
            assert world.clock.waiting == 0
        assert world.health == ["healthy"]
        await world.create("b")
        assert world.heard() == ["+a", "+b"]


async def test_a_watch_that_hangs_and_then_fails_is_a_failure() -> None:
    world = World()
    async with world.running():
        world.client.failure = Unavailable("no answer within 10 s")
        world.client.cut.set()
        await world.settle()
        assert not world.informer.healthy


async def test_a_watch_that_ends_at_once_is_not_asked_for_in_a_tight_loop() -> None:
    world = World()
    async with world.running():
        for wait in (0.05, 0.1, 0.2):
            before = len(world.client.watches)
            world.client.cut.set()
            await world.settle()
            assert len(world.client.watches) == before
            assert world.clock.waiting == 1
            await world.clock.advance(wait)
            assert len(world.client.watches) == before + 1
        assert world.health == ["healthy"]


async def test_failures_are_told_and_tried_again_at_growing_intervals() -> None:
    world = World()
    world.client.failure = Unavailable("cannot connect")
    async with world.running():
        assert not world.informer.synced.is_set()
        assert world.informer.attempted.is_set()
        assert str(world.informer.error) == "cannot connect"
        waits = []
        for _ in range(9):
            before, tries = world.clock.monotonic(), len(world.client.lists)
            while len(world.client.lists) == tries:
                await world.clock.advance(0.05)
            waits.append(round(world.clock.monotonic() - before, 2))
        assert waits == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5], abs=0.06)
        world.client.recover()
        await world.clock.advance(5)
        assert world.informer.healthy
        assert world.health == ["cannot connect", "healthy"]


async def test_after_an_outage_the_watch_goes_on_without_a_list() -> None:
    world = World()
    await world.create("a", "b")
    async with world.running():
        world.client.failure = Unavailable("gone")
        world.client.cut.set()
        await world.settle()
        assert world.health == ["healthy", "gone"]
        assert world.names == ["a", "b"]  # what was known stays known
        await world.store.delete(WIDGETS, "a", "east")
        world.client.failure = None
        await world.clock.advance(0.05)
        assert world.informer.healthy
        assert world.heard() == ["+a", "+b", "-a"]
        assert len(world.client.lists) == 1
        assert world.health == ["healthy", "gone", "healthy"]


async def test_a_kick_ends_the_wait_at_once() -> None:
    world = World()
    world.client.failure = Unavailable("gone")
    async with world.running():
        await world.clock.advance(60)
        tries = len(world.client.lists)
        world.client.failure = None
        world.informer.kick()
        world.informer.kick()
        await world.settle()
        assert len(world.client.lists) == tries + 1
        assert world.informer.healthy
        world.informer.kick()  # nothing waits: nothing happens
        await world.create("a")
        assert world.heard() == ["+a"]


async def test_a_suspected_watch_is_opened_anew_from_the_last_version() -> None:
    world = World()
    await world.create("a")
    async with world.running():
        version = world.client.watches[0]
        world.informer.suspect()
        world.informer.suspect()
        await world.settle()
        assert world.client.watches == [version, version]
        await world.create("b")
        assert world.heard() == ["+a", "+b"]
        assert world.health == ["healthy"]


async def test_history_that_is_too_short_means_a_new_list_and_the_difference_is_told() -> None:
    world = World()
    await world.create("changed", "gone", "replaced", "same")
    async with world.running():
        world.heard()
        world.client.failure = Unavailable("gone")
        world.client.cut.set()
        await world.settle()
        for i in range(HISTORY + 1):
            await world.change("changed", i + 2)
        await world.store.delete(WIDGETS, "gone", "east")
        await world.store.delete(WIDGETS, "replaced", "east")
        await world.create("replaced", "new")
        world.client.failure = None
        await world.clock.advance(5)
        await world.clock.advance(5)
        assert world.names == ["changed", "new", "replaced", "same"]
        assert world.informer.healthy
        assert len(world.client.lists) == 2
    assert sorted(world.told) == ["+new", "+replaced", "-gone", "-replaced", "~changed"]
    assert world.told.index("-replaced") < world.told.index("+replaced")


async def test_a_server_may_ask_for_a_longer_wait() -> None:
    world = World()
    world.client.failure = ServiceUnavailable("busy", details={"retryAfterSeconds": 7})
    async with world.running():
        await world.clock.advance(6.9)
        assert len(world.client.lists) == 1
        world.client.failure = None
        await world.clock.advance(0.2)
        assert world.informer.healthy


async def test_what_is_forbidden_now_may_be_granted_later() -> None:
    world = World()
    world.client.failure = Forbidden("pods is forbidden")
    async with world.running():
        assert isinstance(world.informer.error, Forbidden)
        world.client.recover()
        await world.clock.advance(1)
        assert world.informer.healthy


async def test_a_subscriber_that_left_hears_no_more() -> None:
    world = World()
    async with world.running():
        world.informer.unsubscribe(world._hear)
        await world.create("a")
        assert world.heard() == []
        assert world.names == ["a"]


async def test_readers_cannot_change_the_cache() -> None:
    informer: Any = World().informer
    with pytest.raises(TypeError):
        informer.objects[Name("a")] = {}
