"""The memory store: what every ObjectClient does, and what is its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from ferryman.api.client import Added, Bookmark, Deleted, ObjectClient
from ferryman.api.resource import Name, Resource, name_of
from ferryman.api.status import AlreadyExists, BadRequest, Expired, NotFound, StaleVersion, TooLarge
from ferryman.runtime.clock import ManualClock, SystemClock
from ferryman.store.memory import MemoryStore
from tests.support.object_client import (
    HISTORY,
    ISLANDS,
    SCHEME,
    WIDGETS,
    ObjectClientConformance,
    island,
    new_store,
    next_change,
    next_event,
    watching,
    widget,
)


class TestMemoryStore(ObjectClientConformance):
    @pytest.fixture
    async def client(self) -> ObjectClient:
        return new_store()


async def count_up(store: ObjectClient, times: int) -> None:
    """Change the widget ``a`` so often."""
    for i in range(times):
        await store.patch(WIDGETS, "a", "merge", {"metadata": {"labels": {"i": str(i)}}}, "east")


async def test_a_slow_watch_is_lost_and_a_fast_one_beside_it_is_not() -> None:
    store = new_store()
    await store.create(WIDGETS, widget("a"))
    async with (
        watching(store.watch(WIDGETS, initial_events=True)) as slow,
        watching(store.watch(WIDGETS, initial_events=True)) as fast,
    ):
        for events in (slow, fast):
            assert await next_change(events) == ("Added", "a")
            assert isinstance(await next_event(events), Bookmark)
        for _ in range(3):
            await count_up(store, HISTORY // 2)
            for _ in range(HISTORY // 2):
                assert await next_change(fast) == ("Modified", "a")
        with pytest.raises(Expired, match="too slow"):
            await next_event(slow)


async def test_a_watch_that_lags_just_within_the_history_loses_nothing() -> None:
    store = new_store()
    await store.create(WIDGETS, widget("a"))
    version = (await store.list(WIDGETS)).resource_version
    await count_up(store, HISTORY)
    async with watching(store.watch(WIDGETS, resource_version=version)) as events:
        for _ in range(HISTORY):
            assert await next_change(events) == ("Modified", "a")


async def test_watchers_and_lists_agree_while_many_write() -> None:
    store = MemoryStore(SCHEME, SystemClock())
    caches: list[dict[Name, Any]] = []

    async def write(writer: int) -> None:
        for i in range(60):
            name = f"w{(writer * 7 + i) % 5}"
            with suppress(NotFound, AlreadyExists):  # losing a race is part of it
                match (writer + i) % 3:
                    case 0:
                        await store.create(WIDGETS, widget(name))
                    case 1:
                        body = {"metadata": {"labels": {"by": f"{writer}-{i}"}}}
                        await store.patch(WIDGETS, name, "merge", body, "east")
                    case _:
                        await store.delete(WIDGETS, name, "east")
            await asyncio.sleep(0)

    async def follow(start: int) -> None:
        for _ in range(start):
            await asyncio.sleep(0)
        listed = await store.list(WIDGETS)
        cache = {name_of(obj): obj for obj in listed.items}
        last = int(listed.resource_version)
        async with watching(
            store.watch(WIDGETS, resource_version=listed.resource_version)
        ) as events:
            while Name("end", "east") not in cache:
                event = await next_event(events)
                assert not isinstance(event, Bookmark)
                version = int(event.object["metadata"]["resourceVersion"])
                assert version > last
                last = version
                name = name_of(event.object)
                assert (name in cache) != isinstance(event, Added)
                if isinstance(event, Deleted):
                    del cache[name]
                else:
                    cache[name] = event.object
        caches.append(cache)

    async with asyncio.TaskGroup() as group:
        for start in (0, 3, 40):
            group.create_task(follow(start))
        async with asyncio.TaskGroup() as writers:
            for writer in range(4):
                writers.create_task(write(writer))
        await store.create(WIDGETS, widget("end"))
    truth = {name_of(obj): obj for obj in (await store.list(WIDGETS)).items}
    assert caches == [truth] * 3


async def test_concurrent_read_modify_writes_lose_no_update() -> None:
    store = new_store()
    await store.create(WIDGETS, widget("a", replicas=0))

    async def increment() -> None:
        while True:
            obj = await store.get(WIDGETS, "a", "east")
            await asyncio.sleep(0)
            obj["spec"]["replicas"] += 1
            try:
                await store.update(WIDGETS, obj)
            except StaleVersion:
                continue
            return

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(increment())
    final = await store.get(WIDGETS, "a", "east")
    assert final["spec"]["replicas"] == 20
    assert final["metadata"]["generation"] == 21


async def test_versions_grow_over_all_kinds_and_over_lives() -> None:
    clock = ManualClock()
    store = new_store(clock)
    versions = [
        int((await store.create(WIDGETS, widget("a")))["metadata"]["resourceVersion"]),
        int((await store.create(ISLANDS, island("a")))["metadata"]["resourceVersion"]),
        int((await store.create(WIDGETS, widget("b")))["metadata"]["resourceVersion"]),
    ]
    assert versions == sorted(set(versions))
    await clock.advance(1.0)
    reborn = new_store(clock)
    async with watching(reborn.watch(WIDGETS, resource_version=str(versions[-1]))) as events:
        with pytest.raises(Expired):
            await next_event(events)
    late = (await reborn.create(WIDGETS, widget("a")))["metadata"]["resourceVersion"]
    for version in (late, "9" * 20):
        async with watching(store.watch(WIDGETS, resource_version=version)) as events:
            with pytest.raises(Expired, match="another life"):
                await next_event(events)


async def test_other_kinds_do_not_age_a_watch() -> None:
    store = new_store()
    version = (await store.list(ISLANDS)).resource_version
    await store.create(WIDGETS, widget("a"))
    await count_up(store, HISTORY * 3)
    async with watching(store.watch(ISLANDS, resource_version=version)) as events:
        await store.create(ISLANDS, island("late"))
        assert await next_change(events) == ("Added", "late")


async def test_a_kind_that_the_scheme_does_not_know_is_not_found() -> None:
    other = Resource("", "v1", "others", "Other", namespaced=False)
    with pytest.raises(NotFound):
        await new_store().list(other)


async def test_objects_are_limited_in_size_and_depth() -> None:
    store = new_store()
    large = {**island("a"), "data": "x" * (2 * 1024 * 1024)}
    with pytest.raises(TooLarge):
        await store.create(ISLANDS, large)
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"deeper": deep}
    with pytest.raises(BadRequest, match="deep"):
        await store.create(ISLANDS, {**island("a"), "data": deep})
    await store.create(ISLANDS, {**island("a"), "data": {}})
    shallow: dict[str, Any] = {}
    for _ in range(60):
        shallow = {"deeper": shallow}
    await store.patch(ISLANDS, "a", "json", [{"op": "add", "path": "/data/a", "value": shallow}])
    beneath = "/data/a" + "/deeper" * 60 + "/b"
    add = {"op": "add", "path": beneath, "value": shallow}
    with pytest.raises(BadRequest, match="deep"):
        await store.patch(ISLANDS, "a", "json", [add])
    half = {"x": "x" * 800_000}
    await store.patch(ISLANDS, "a", "merge", {"one": half})
    with pytest.raises(TooLarge):
        await store.patch(ISLANDS, "a", "merge", {"two": half})
    assert "two" not in await store.get(ISLANDS, "a")


async def test_a_generated_name_that_is_taken_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    letters = iter("a" * 10 + "b" * 5)
    monkeypatch.setattr("ferryman.store.memory.secrets.choice", lambda _: next(letters))
    store = new_store()
    obj = island("")
    obj["metadata"] = {"generateName": "x-"}
    names = [(await store.create(ISLANDS, obj))["metadata"]["name"] for _ in range(2)]
    assert names == ["x-aaaaa", "x-bbbbb"]


async def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(BadRequest):
        await new_store().create(ISLANDS, {**island("a"), "data": object()})
