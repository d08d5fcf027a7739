from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ferryman.api.client import Added, Bookmark, Deleted, Modified, WatchEvent
from ferryman.api.resource import Name, Object, name_of
from ferryman.reconcile import News, Watching


class Cache:
    """An informer as far as a source sees it, played by hand."""

    def __init__(self) -> None:
        self.cache: dict[Name, Object] = {}
        self.event = asyncio.Event()
        self.callbacks: list[Callable[[WatchEvent], None]] = []

    @property
    def objects(self) -> Mapping[Name, Object]:
        return self.cache

    @property
    def synced(self) -> asyncio.Event:
        return self.event

    def subscribe(self, callback: Callable[[WatchEvent], None]) -> None:
        self.callbacks.append(callback)

    async def run(self) -> None:
        await asyncio.Event().wait()

    def say(self, event: WatchEvent) -> None:
        if isinstance(event, Deleted):
            self.cache.pop(name_of(event.object), None)
        elif not isinstance(event, Bookmark):
            self.cache[name_of(event.object)] = event.object
        for callback in self.callbacks:
            callback(event)


def pod(name: str, owner: str) -> Object:
    return {"metadata": {"name": name, "namespace": "east", "labels": {"owner": owner}}}


def owner_of(obj: Object) -> tuple[Name, ...]:
    owner = obj["metadata"]["labels"]["owner"]
    return (Name(owner),) if owner else ()


def test_every_event_asks_for_its_own_object() -> None:
    cache, asked = Cache(), list[Name]()
    Watching(cache).start(asked.append)
    a = pod("a", "")
    for event in (Added(a), Modified(a), Bookmark("7"), Deleted(a)):
        cache.say(event)
    assert asked == [Name("a", "east")] * 3


def test_what_is_in_the_cache_already_is_asked_for_at_the_start() -> None:
    cache, asked = Cache(), list[Name]()
    cache.say(Added(pod("a", "x")))
    Watching(cache, owner_of).start(asked.append)
    assert asked == [Name("x")]


def test_whoever_an_object_no_longer_concerns_hears_of_it() -> None:
    cache, asked = Cache(), list[Name]()
    Watching(cache, owner_of).start(asked.append)
    cache.say(Added(pod("a", "x")))
    cache.say(Modified(pod("a", "y")))
    assert asked == [Name("x"), Name("x"), Name("y")]
    asked.clear()
    cache.say(Deleted(pod("a", "")))
    assert asked == [Name("y")]
    asked.clear()
    cache.say(Added(pod("a", "z")))
    assert asked == [Name("z")]


def test_news_reaches_every_controller_that_listens() -> None:
    news, one, two = News(), list[Name](), list[Name]()
    news.request(Name("early"))
    news.request(Name("early"))
    news.start(one.append)
    news.start(two.append)
    news.request(Name("late"))
    assert one == [Name("early"), Name("late")]
    assert two == [Name("late")]
