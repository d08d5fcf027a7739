"""Watches over real HTTP: what comes, in which form, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ferryman.api.client import WatchEvent
from ferryman.runtime.clock import ManualClock, SystemClock
from ferryman.store.memory import MemoryStore
from tests.apiserver.test_negotiation import KUBECTL_GET
from tests.support.apiserver import BOATS, SCHEME, Api, boat, serving

LIST = "/apis/ferries.example/v1/namespaces/default/boats"
WAIT = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"


def said(event: Any) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"].get("name", "")


async def version(api: Api) -> str:
    return (await api.store.list(BOATS)).resource_version


async def test_only_what_happens_after_a_version_is_said(api: Api) -> None:
    await api.store.create(BOATS, boat("old"))
    path = f"{LIST}?watch=true&resourceVersion={await version(api)}"
    async with api.connection() as client:
        events = client.watch(path)
        new = await api.store.create(BOATS, boat("new"))
        assert said(await anext(events)) == ("ADDED", "new")
        new["spec"]["captain"] = "Bo"
        await api.store.update(BOATS, new)
        assert said(await anext(events)) == ("MODIFIED", "new")
        await api.store.delete(BOATS, "old", "default")
        assert said(await anext(events)) == ("DELETED", "old")


@pytest.mark.parametrize("query", ["watch=1", "watch=1&resourceVersion=0"])
async def test_without_a_version_the_present_comes_first_and_no_bookmark(
    api: Api, query: str
) -> None:
    await api.store.create(BOATS, boat("a"))
    async with api.connection() as client:
        events = client.watch(f"{LIST}?{query}&allowWatchBookmarks=true")
        assert said(await anext(events)) == ("ADDED", "a")
        await api.store.create(BOATS, boat("b"))
        assert said(await anext(events)) == ("ADDED", "b")


async def test_kubectl_wait_learns_where_the_present_ends(api: Api) -> None:
    await api.store.create(BOATS, boat("a"))
    async with api.connection() as client:
        events = client.watch(f"{LIST}?watch=1&{WAIT}")
        assert said(await anext(events)) == ("ADDED", "a")
        mark = await anext(events)
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["kind"] == "Boat"
        assert mark["object"]["metadata"] == {
            "resourceVersion": await version(api),
            "annotations": {"k8s.io/initial-events-end": "true"},
        }


async def test_an_object_that_stops_matching_is_deleted_to_the_watcher(api: Api) -> None:
    obj = await api.store.create(BOATS, boat("a", "Ann"))
    query = f"watch=1&resourceVersion={await version(api)}&fieldSelector=spec.captain%3DAnn"
    async with api.connection() as client:
        events = client.watch(f"{LIST}?{query}")
        obj["spec"]["captain"] = "Bo"
        obj = await api.store.update(BOATS, obj)
        assert said(await anext(events)) == ("DELETED", "a")
        obj["spec"]["captain"] = "Ann"
        await api.store.update(BOATS, obj)
        assert said(await anext(events)) == ("ADDED", "a")


async def test_one_object_can_be_watched_by_its_path(api: Api) -> None:
    await api.store.create(BOATS, boat("a"))
    await api.store.create(BOATS, boat("b"))
    async with api.connection() as client:
        events = client.watch(f"{LIST}/b?watch=1")
        assert said(await anext(events)) == ("ADDED", "b")


async def test_a_table_has_its_header_once(api: Api) -> None:
    await api.store.create(BOATS, boat("a"))
    async with api.connection() as client:
        events = client.watch(f"{LIST}?watch=1&{WAIT}", accept=KUBECTL_GET)
        first = (await anext(events))["object"]
        assert first["kind"] == "Table"
        assert first["rows"][0]["cells"][:2] == ["a", "Ann"]
        assert first["columnDefinitions"]
        assert (await anext(events))["object"]["rows"][0]["cells"] == []
        await api.store.create(BOATS, boat("b"))
        second = (await anext(events))["object"]
        assert second["rows"][0]["cells"][:2] == ["b", "Ann"]
        assert second["columnDefinitions"] == []


async def test_a_version_that_is_too_old_is_an_error_event(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, history=2) as api,
        api.connection() as client,
    ):
        old = await version(api)
        for i in range(4):
            await api.store.create(BOATS, boat(f"b{i}"))
        events = [e async for e in client.watch(f"{LIST}?watch=1&resourceVersion={old}")]
        assert [e["type"] for e in events] == ["ERROR"]
        assert (events[0]["object"]["code"], events[0]["object"]["reason"]) == (410, "Expired")


@pytest.mark.parametrize(("query", "seconds"), [("&timeoutSeconds=30", 30), ("", 3600)])
async def test_a_watch_ends_when_its_time_is_up(tmp_path: Path, query: str, seconds: int) -> None:
    clock = ManualClock()
    async with serving(tmp_path, clock=clock) as api, api.connection() as client:
        await api.store.create(BOATS, boat("a"))
        events = client.watch(f"{LIST}?watch=1{query}")
        assert said(await anext(events)) == ("ADDED", "a")
        await clock.advance(seconds - 1)
        await api.store.create(BOATS, boat("b"))
        assert said(await anext(events)) == ("ADDED", "b")
        await clock.advance(1)
        assert [e async for e in events] == []


class Leaving(MemoryStore):
    """Says when a watch was let go."""

    def __init__(self) -> None:
        super().__init__(SCHEME, SystemClock())
        self.left = asyncio.Event()

    async def watch(self, *args: Any, **options: Any) -> AsyncIterator[WatchEvent]:
        try:
            async for event in super().watch(*args, **options):
                yield event
        finally:
            self.left.set()


async def test_a_client_that_leaves_takes_its_watch_along(tmp_path: Path) -> None:
    store = Leaving()
    async with serving(tmp_path, store=store) as api:
        async with api.connection() as client:
            events = client.watch(f"{LIST}?watch=1")
            await store.create(BOATS, boat("a"))
            await anext(events)
            assert not store.left.is_set()
        await store.left.wait()


async def test_a_watcher_that_does_not_read_is_told_what_it_missed(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, history=64) as api,
        api.connection() as slow,
    ):
        await slow.send("GET", f"{LIST}?watch=1&resourceVersion={await version(api)}")
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a ReadTransport too
        obj = await api.store.create(BOATS, boat("a"))
        padding = "x" * 100_000
        for i in range(300):
            obj["metadata"]["annotations"] = {"padding": f"{i}{padding}"}
            obj = await api.store.update(BOATS, obj)
            if i % 10 == 0:
                assert (await api.request("GET", "/version")).status == 200
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
        data = b""
        while b'"ERROR"' not in data:
            chunk = await slow.reader.read(2**20)
            assert chunk
            data = data[-20_000:] + chunk
        assert b"Expired" in data
