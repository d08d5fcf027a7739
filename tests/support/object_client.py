"""One conformance suite for everything that fulfils ``ObjectClient``.

To run it, subclass ``ObjectClientConformance`` in a test module (name it ``Test…``) and give it an
async fixture ``client`` that yields a fresh, empty client whose objects are kept by
``new_store()``, whatever lies between::

    class TestOverHTTP(ObjectClientConformance):
        @pytest.fixture
        async def client(self) -> AsyncIterator[ObjectClient]:
            async with serve(SCHEME, new_store()) as address, HttpClient(address) as client:
                yield client

The scheme has a namespaced kind with status and scale (WIDGETS), a cluster-scoped one without
either (ISLANDS), and a graceful one (SHIPS). Namespaces are not objects here: any will do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ferryman.api.client import (
    Added,
    Bookmark,
    Deleted,
    Modified,
    ObjectClient,
    Preconditions,
    WatchEvent,
)
from ferryman.api.openapi import OBJECT_META
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Kind, Scheme
from ferryman.api.selectors import Selector, parse_fields, parse_labels
from ferryman.api.status import (
    AlreadyExists,
    BadRequest,
    Cause,
    Expired,
    Invalid,
    NotFound,
    StaleVersion,
)
from ferryman.api.validation import bad
from ferryman.runtime.clock import Clock, SystemClock
from ferryman.store.memory import MemoryStore

HISTORY = 32
PATIENCE = 10.0

WIDGETS = Resource("test.ferryman.dev", "v1", "widgets", "Widget", namespaced=True)
ISLANDS = Resource("test.ferryman.dev", "v1", "islands", "Island", namespaced=False)
SHIPS = Resource("test.ferryman.dev", "v1", "ships", "Ship", namespaced=True)


def _schema(spec: dict[str, Any], status: bool) -> Object:
    properties: dict[str, Any] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": OBJECT_META,
        "spec": {"type": "object", "properties": spec},
    }
    if status:
        properties["status"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {"type": "object", "properties": properties}


def _part_causes(widget: Object) -> Iterator[Cause]:
    for i, part in enumerate(widget.get("spec", {}).get("parts", ())):
        if part.get("weight", 0) < 0:
            yield bad(f"spec.parts[{i}].weight", part["weight"], "must not be negative")


WIDGET = Kind(
    resource=WIDGETS,
    short_names=("wd",),
    subresources=frozenset({"status", "scale"}),
    schema=_schema(
        {
            "replicas": {"type": "integer", "minimum": 0, "default": 1},
            "colour": {"type": "string", "enum": ["red", "green"], "default": "red"},
            "selector": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "parts": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "weight": {"type": "integer"}},
                },
            },
        },
        status=True,
    ),
    validate=_part_causes,
)
ISLAND = Kind(
    resource=ISLANDS,
    subresources=frozenset(),
    schema=_schema({"size": {"type": "integer"}}, status=True),
)
SHIP = Kind(resource=SHIPS, schema=_schema({}, status=True), graceful=True)
SCHEME = Scheme((WIDGET, ISLAND, SHIP))


def new_store(clock: Clock | None = None) -> MemoryStore:
    """The store behind the client under test."""
    return MemoryStore(SCHEME, clock or SystemClock(), history=HISTORY)


def widget(name: str, namespace: str = "east", **fields: Any) -> Object:
    """A widget to create; ``labels`` and other metadata by their names, else spec fields."""
    meta = {k: fields.pop(k) for k in ("labels", "finalizers", "ownerReferences") if k in fields}
    return {
        "apiVersion": WIDGETS.api_version,
        "kind": "Widget",
        "metadata": {"name": name, "namespace": namespace, **meta},
        "spec": fields,
    }


def island(name: str, **fields: Any) -> Object:
    """An island to create."""
    return {
        "apiVersion": ISLANDS.api_version,
        "kind": "Island",
        "metadata": {"name": name},
        "spec": fields,
    }


def ship(name: str) -> Object:
    """A ship to create; deleting it takes until its keeper agrees."""
    return {
        "apiVersion": SHIPS.api_version,
        "kind": "Ship",
        "metadata": {"name": name, "namespace": "east"},
        "spec": {},
    }


@asynccontextmanager
async def watching(events: AsyncIterator[WatchEvent]) -> AsyncIterator[AsyncIterator[WatchEvent]]:
    """Close a watch at the end, as its contract asks for."""
    try:
        yield events
    finally:
        await events.aclose()  # type: ignore[attr-defined]  # they are async generators


async def next_event(events: AsyncIterator[WatchEvent]) -> WatchEvent:
    """The next event; fails if there is none in time."""
    async with asyncio.timeout(PATIENCE):
        return await anext(events)


async def next_change(events: AsyncIterator[WatchEvent]) -> tuple[str, str]:
    """The next event that is no bookmark, in short: ("Added", name)."""
    while True:
        event = await next_event(events)
        if not isinstance(event, Bookmark):
            return type(event).__name__, str(event.object["metadata"]["name"])


def _names(items: tuple[Object, ...]) -> list[str]:
    return [f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}" for o in items]


class ObjectClientConformance:
    """What every ObjectClient does; see the module's first paragraph."""

    # --- create and get

    async def test_a_created_object_comes_back_with_what_only_a_server_sets(
        self, client: ObjectClient
    ) -> None:
        made = await client.create(WIDGETS, widget("a", replicas=2))
        meta = made["metadata"]
        assert meta["uid"]
        assert meta["resourceVersion"]
        assert meta["generation"] == 1
        assert meta["creationTimestamp"].endswith("Z")
        assert made["spec"] == {"replicas": 2, "colour": "red"}
        assert made["apiVersion"] == "test.ferryman.dev/v1"
        assert await client.get(WIDGETS, "a", "east") == made

    async def test_what_a_client_chooses_for_the_server_is_dropped(
        self, client: ObjectClient
    ) -> None:
        obj = widget("a")
        obj["metadata"] |= {"uid": "mine", "generation": 7, "creationTimestamp": None}
        obj["status"] = {"said": "by me"}
        made = await client.create(WIDGETS, obj)
        assert made["metadata"]["uid"] != "mine"
        assert made["metadata"]["generation"] == 1
        assert "status" not in made

    async def test_a_kind_without_a_status_of_its_own_keeps_it_on_writes(
        self, client: ObjectClient
    ) -> None:
        made = await client.create(ISLANDS, {**island("a"), "status": {"said": "by me"}})
        assert made["status"] == {"said": "by me"}

    async def test_a_name_is_taken_once(self, client: ObjectClient) -> None:
        await client.create(WIDGETS, widget("a"))
        with pytest.raises(AlreadyExists, match="already exists"):
            await client.create(WIDGETS, widget("a"))
        await client.create(WIDGETS, widget("a", "west"))

    async def test_a_generated_name_begins_as_asked(self, client: ObjectClient) -> None:
        obj = widget("")
        del obj["metadata"]["name"]
        obj["metadata"]["generateName"] = "some-"
        names = {(await client.create(WIDGETS, obj))["metadata"]["name"] for _ in range(5)}
        assert len(names) == 5
        assert all(name.startswith("some-") and len(name) == 10 for name in names)

    async def test_every_cause_of_an_invalid_object_is_named(self, client: ObjectClient) -> None:
        obj = widget("Not_A_Name", replicas=-1, colour="blue", parts=[{"weight": 1}, {"name": 3}])
        with pytest.raises(Invalid) as caught:
            await client.create(WIDGETS, obj)
        assert [cause.field for cause in caught.value.causes] == [
            "metadata.name",
            "spec.replicas",
            "spec.colour",
            "spec.parts[0].name",
            "spec.parts[1].name",
        ]
        with pytest.raises(Invalid, match="must not be negative"):
            await client.create(WIDGETS, widget("a", parts=[{"name": "x", "weight": -1}]))

    @pytest.mark.parametrize(
        "change",
        [{"kind": "Island"}, {"apiVersion": "v9"}],
        ids=["another kind", "another version"],
    )
    async def test_an_object_of_another_kind_is_refused(
        self, client: ObjectClient, change: Object
    ) -> None:
        with pytest.raises(BadRequest):
            await client.create(WIDGETS, widget("a") | change)

    async def test_a_version_may_not_be_chosen_on_create(self, client: ObjectClient) -> None:
        obj = widget("a")
        obj["metadata"]["resourceVersion"] = "7"
        with pytest.raises(BadRequest, match="resourceVersion"):
            await client.create(WIDGETS, obj)

    async def test_what_is_not_there_is_not_found(self, client: ObjectClient) -> None:
        await client.create(WIDGETS, widget("a"))
        with pytest.raises(NotFound, match=r'widgets\.test\.ferryman\.dev "b" not found'):
            await client.get(WIDGETS, "b", "east")
        with pytest.raises(NotFound):
            await client.get(WIDGETS, "a", "west")

    async def test_objects_in_and_out_are_the_callers_own(self, client: ObjectClient) -> None:
        given = widget("a", parts=[{"name": "x"}])
        made = await client.create(WIDGETS, given)
        given["spec"]["parts"].append({"name": "y"})
        made["spec"]["parts"].clear()
        (listed,) = (await client.list(WIDGETS)).items
        listed["metadata"]["labels"] = {"new": "label"}
        kept = await client.get(WIDGETS, "a", "east")
        assert kept["spec"]["parts"] == [{"name": "x"}]
        assert "labels" not in kept["metadata"]

    # --- list

    async def test_a_list_is_in_order_of_namespace_and_name(self, client: ObjectClient) -> None:
        for namespace, name in (("west", "a"), ("east", "b"), ("east", "a.b"), ("east", "a-b")):
            await client.create(WIDGETS, widget(name, namespace))
        assert _names((await client.list(WIDGETS)).items) == [
            "east/a-b",
            "east/a.b",
            "east/b",
            "west/a",
        ]
        assert _names((await client.list(WIDGETS, "west")).items) == ["west/a"]
        assert (await client.list(WIDGETS, "north")).items == ()

    async def test_a_list_selects_by_labels_and_by_name(self, client: ObjectClient) -> None:
        for name, labels in (("a", {"tier": "web"}), ("b", {"tier": "db"}), ("c", {})):
            await client.create(WIDGETS, widget(name, labels=labels))

        async def select(labels: str = "", fields: str = "") -> list[str]:
            selector = Selector(parse_labels(labels), parse_fields(fields))
            return _names((await client.list(WIDGETS, "east", selector)).items)

        assert await select("tier in (web,db)") == ["east/a", "east/b"]
        assert await select("tier!=web") == ["east/b", "east/c"]
        assert await select("!tier") == ["east/c"]
        assert await select(fields="metadata.name=b") == ["east/b"]
        assert await select("tier=web", "metadata.name=b") == []

    async def test_pages_show_one_moment_whatever_happens_between(
        self, client: ObjectClient
    ) -> None:
        for name in "abcde":
            await client.create(WIDGETS, widget(name))
        first = await client.list(WIDGETS, limit=2)
        assert (len(first.items), first.remaining) == (2, 3)
        await client.delete(WIDGETS, "c", "east")
        await client.create(WIDGETS, widget("cc"))
        await client.patch(WIDGETS, "d", "merge", {"spec": {"replicas": 9}}, "east")
        second = await client.list(WIDGETS, limit=2, continue_token=first.continue_token)
        third = await client.list(WIDGETS, limit=2, continue_token=second.continue_token)
        pages = [_names(page.items) for page in (first, second, third)]
        assert pages == [["east/a", "east/b"], ["east/c", "east/d"], ["east/e"]]
        assert second.items[1]["spec"]["replicas"] == 1
        assert third.continue_token == ""
        assert first.resource_version == third.resource_version

    async def test_a_page_is_gone_with_the_history(self, client: ObjectClient) -> None:
        for name in "ab":
            await client.create(WIDGETS, widget(name))
        first = await client.list(WIDGETS, limit=1)
        for i in range(HISTORY + 1):
            await client.patch(WIDGETS, "a", "merge", {"spec": {"replicas": i + 2}}, "east")
        with pytest.raises(Expired):
            await client.list(WIDGETS, limit=1, continue_token=first.continue_token)

    @pytest.mark.parametrize("token", ["?", "e30", "bm90IGpzb24", "/" * 300])
    async def test_a_made_up_continue_token_is_refused(
        self, client: ObjectClient, token: str
    ) -> None:
        with pytest.raises(BadRequest):
            await client.list(WIDGETS, limit=1, continue_token=token)

    # --- update

    async def test_an_update_needs_the_version_that_was_read(self, client: ObjectClient) -> None:
        first = await client.create(WIDGETS, widget("a"))
        first["spec"]["replicas"] = 2
        second = await client.update(WIDGETS, first)
        assert second["spec"]["replicas"] == 2
        with pytest.raises(StaleVersion, match="the object has been modified"):
            await client.update(WIDGETS, first)
        del second["metadata"]["resourceVersion"]
        with pytest.raises(Invalid, match="resourceVersion"):
            await client.update(WIDGETS, second)

    async def test_the_generation_counts_changes_of_the_spec_only(
        self, client: ObjectClient
    ) -> None:
        obj = await client.create(WIDGETS, widget("a"))
        obj["metadata"]["labels"] = {"x": "y"}
        obj = await client.update(WIDGETS, obj)
        assert obj["metadata"]["generation"] == 1
        obj["status"] = {"ready": True}
        obj = await client.update(WIDGETS, obj, subresource="status")
        assert obj["metadata"]["generation"] == 1
        obj["spec"]["replicas"] = 3
        obj = await client.update(WIDGETS, obj)
        assert obj["metadata"]["generation"] == 2
        assert obj["status"] == {"ready": True}

    async def test_a_write_without_change_keeps_the_version(self, client: ObjectClient) -> None:
        made = await client.create(WIDGETS, widget("a", parts=[{"name": "x"}]))
        version = made["metadata"]["resourceVersion"]
        for again in (
            await client.update(WIDGETS, made),
            await client.patch(WIDGETS, "a", "merge", {"spec": {"replicas": 1}}, "east"),
            await client.patch(WIDGETS, "a", "json", [], "east"),
        ):
            assert again["metadata"]["resourceVersion"] == version
        assert (await client.list(WIDGETS)).resource_version == version

    async def test_an_update_leaves_the_servers_fields_and_the_status_alone(
        self, client: ObjectClient
    ) -> None:
        made = await client.create(WIDGETS, widget("a"))
        changed = await client.get(WIDGETS, "a", "east")
        changed["metadata"] |= {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 9}
        changed["status"] = {"said": "by me"}
        assert await client.update(WIDGETS, changed) == made

    async def test_an_update_of_another_life_of_the_name_is_stale(
        self, client: ObjectClient
    ) -> None:
        old = await client.create(WIDGETS, widget("a"))
        await client.delete(WIDGETS, "a", "east")
        new = await client.create(WIDGETS, widget("a"))
        old["metadata"]["resourceVersion"] = new["metadata"]["resourceVersion"]
        with pytest.raises(StaleVersion, match="UID"):
            await client.update(WIDGETS, old)

    async def test_an_update_of_nothing_is_not_found(self, client: ObjectClient) -> None:
        obj = widget("a")
        obj["metadata"]["resourceVersion"] = "1"
        with pytest.raises(NotFound):
            await client.update(WIDGETS, obj)

    async def test_an_invalid_update_changes_nothing(self, client: ObjectClient) -> None:
        made = await client.create(WIDGETS, widget("a"))
        broken = await client.get(WIDGETS, "a", "east")
        broken["spec"]["colour"] = "blue"
        with pytest.raises(Invalid, match='"red", "green"'):
            await client.update(WIDGETS, broken)
        assert await client.get(WIDGETS, "a", "east") == made

    # --- status and scale

    async def test_the_status_is_written_alone(self, client: ObjectClient) -> None:
        obj = await client.create(WIDGETS, widget("a"))
        obj["spec"]["replicas"] = 5
        obj["metadata"]["labels"] = {"x": "y"}
        obj["status"] = {"ready": True}
        written = await client.update(WIDGETS, obj, subresource="status")
        assert written["status"] == {"ready": True}
        assert written["spec"]["replicas"] == 1
        assert "labels" not in written["metadata"]
        with pytest.raises(NotFound):
            await client.patch(ISLANDS, "a", "merge", {"status": {}}, subresource="status")

    async def test_apply_status_sets_the_whole_status_and_only_if_it_differs(
        self, client: ObjectClient
    ) -> None:
        await client.create(WIDGETS, widget("a"))
        first = await client.apply_status(WIDGETS, "a", {"x": 1, "y": 2}, "east", manager="me")
        again = await client.apply_status(WIDGETS, "a", {"x": 1, "y": 2}, "east", manager="me")
        assert again == first
        last = await client.apply_status(WIDGETS, "a", {"x": 1}, "east", manager="me")
        assert last["status"] == {"x": 1}
        assert last["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
        with pytest.raises(NotFound):
            await client.apply_status(WIDGETS, "b", {}, "east", manager="me")

    async def test_scale_changes_the_replicas(self, client: ObjectClient) -> None:
        await client.create(WIDGETS, widget("a", selector={"matchLabels": {"x": "y"}}))
        scale = await client.patch(
            WIDGETS, "a", "merge", {"spec": {"replicas": 4}}, "east", subresource="scale"
        )
        assert scale["kind"] == "Scale"
        assert scale["spec"] == {"replicas": 4}
        assert scale["status"]["selector"] == "x=y"
        scale["spec"]["replicas"] = 2
        await client.update(WIDGETS, scale, subresource="scale")
        kept = await client.get(WIDGETS, "a", "east")
        assert kept["spec"]["replicas"] == 2
        assert kept["metadata"]["generation"] == 3

    # --- patch

    async def test_three_kinds_of_patches(self, client: ObjectClient) -> None:
        parts = [{"name": "x", "weight": 1}, {"name": "y", "weight": 2}]
        await client.create(WIDGETS, widget("a", parts=parts))
        merged = await client.patch(
            WIDGETS, "a", "strategic", {"spec": {"parts": [{"name": "y", "weight": 3}]}}, "east"
        )
        assert merged["spec"]["parts"] == [{"name": "x", "weight": 1}, {"name": "y", "weight": 3}]
        operations = [
            {"op": "test", "path": "/spec/parts/0/name", "value": "x"},
            {"op": "remove", "path": "/spec/parts/0"},
        ]
        patched = await client.patch(WIDGETS, "a", "json", operations, "east")
        assert patched["spec"]["parts"] == [{"name": "y", "weight": 3}]
        with pytest.raises(Invalid):
            await client.patch(WIDGETS, "a", "json", operations, "east")
        replaced = await client.patch(
            WIDGETS, "a", "merge", {"spec": {"parts": [], "colour": None}}, "east"
        )
        assert replaced["spec"] == {"replicas": 1, "colour": "red", "parts": []}
        with pytest.raises(NotFound):
            await client.patch(WIDGETS, "b", "merge", {}, "east")

    async def test_a_patch_may_name_the_version_it_is_for(self, client: ObjectClient) -> None:
        made = await client.create(WIDGETS, widget("a"))
        version = made["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"replicas": 2}}
        await client.patch(WIDGETS, "a", "merge", body, "east")
        with pytest.raises(StaleVersion):
            await client.patch(WIDGETS, "a", "merge", body, "east")

    @pytest.mark.parametrize(
        "body",
        [{"metadata": {"name": "b"}}, {"kind": "Island"}, {"metadata": None}],
        ids=["renamed", "another kind", "no metadata"],
    )
    async def test_a_patch_cannot_make_another_object_of_it(
        self, client: ObjectClient, body: Object
    ) -> None:
        await client.create(WIDGETS, widget("a"))
        with pytest.raises(BadRequest):
            await client.patch(WIDGETS, "a", "merge", body, "east")

    # --- delete

    async def test_a_deleted_object_is_gone(self, client: ObjectClient) -> None:
        await client.create(WIDGETS, widget("a"))
        await client.delete(WIDGETS, "a", "east")
        with pytest.raises(NotFound):
            await client.get(WIDGETS, "a", "east")
        with pytest.raises(NotFound):
            await client.delete(WIDGETS, "a", "east")

    async def test_a_delete_may_be_meant_for_one_object_only(self, client: ObjectClient) -> None:
        made = await client.create(WIDGETS, widget("a"))
        meta = made["metadata"]
        for wrong in (Preconditions(uid="other"), Preconditions(resource_version="1")):
            with pytest.raises(StaleVersion, match="Precondition failed"):
                await client.delete(WIDGETS, "a", "east", preconditions=wrong)
        right = Preconditions(meta["uid"], meta["resourceVersion"])
        await client.delete(WIDGETS, "a", "east", preconditions=right)
        assert (await client.list(WIDGETS)).items == ()

    async def test_finalizers_hold_an_object_until_the_last_is_removed(
        self, client: ObjectClient
    ) -> None:
        await client.create(WIDGETS, widget("a", finalizers=["test.ferryman.dev/one"]))
        await client.delete(WIDGETS, "a", "east")
        held = await client.get(WIDGETS, "a", "east")
        assert held["metadata"]["deletionTimestamp"]
        assert held["metadata"]["generation"] == 2
        await client.delete(WIDGETS, "a", "east")
        assert await client.get(WIDGETS, "a", "east") == held
        more = {"metadata": {"finalizers": ["test.ferryman.dev/one", "test.ferryman.dev/two"]}}
        with pytest.raises(Invalid, match="no new finalizers"):
            await client.patch(WIDGETS, "a", "merge", more, "east")
        await client.patch(WIDGETS, "a", "merge", {"metadata": {"finalizers": None}}, "east")
        with pytest.raises(NotFound):
            await client.get(WIDGETS, "a", "east")

    async def test_propagation_becomes_a_finalizer(self, client: ObjectClient) -> None:
        await client.create(WIDGETS, widget("a"))
        await client.delete(WIDGETS, "a", "east", propagation="Foreground")
        held = await client.get(WIDGETS, "a", "east")
        assert held["metadata"]["finalizers"] == ["foregroundDeletion"]
        await client.create(WIDGETS, widget("b"))
        await client.delete(WIDGETS, "b", "east", propagation="Orphan")
        held = await client.get(WIDGETS, "b", "east")
        assert held["metadata"]["finalizers"] == ["orphan"]

    async def test_a_graceful_object_goes_when_its_keeper_says_so(
        self, client: ObjectClient
    ) -> None:
        await client.create(SHIPS, ship("a"))
        await client.delete(SHIPS, "a", "east", grace_seconds=20)
        held = await client.get(SHIPS, "a", "east")
        assert held["metadata"]["deletionGracePeriodSeconds"] == 20
        await client.delete(SHIPS, "a", "east", grace_seconds=60)
        assert await client.get(SHIPS, "a", "east") == held
        await client.delete(SHIPS, "a", "east", grace_seconds=5)
        held = await client.get(SHIPS, "a", "east")
        assert held["metadata"]["deletionGracePeriodSeconds"] == 5
        await client.delete(SHIPS, "a", "east", grace_seconds=0)
        with pytest.raises(NotFound):
            await client.get(SHIPS, "a", "east")

    async def test_a_dry_run_keeps_nothing(self, client: ObjectClient) -> None:
        said = await client.create(WIDGETS, widget("a"), dry_run=True)
        assert said["spec"] == {"replicas": 1, "colour": "red"}
        with pytest.raises(NotFound):
            await client.get(WIDGETS, "a", "east")
        made = await client.create(WIDGETS, widget("a"))
        with pytest.raises(AlreadyExists):
            await client.create(WIDGETS, widget("a"), dry_run=True)
        body = {"spec": {"replicas": 2}}
        said = await client.patch(WIDGETS, "a", "merge", body, "east", dry_run=True)
        assert said["spec"]["replicas"] == 2
        await client.update(WIDGETS, {**made, "spec": {"replicas": 3}}, dry_run=True)
        await client.delete(WIDGETS, "a", "east", dry_run=True)
        assert await client.get(WIDGETS, "a", "east") == made
        with pytest.raises(Invalid):
            await client.create(WIDGETS, widget("b", colour="blue"), dry_run=True)

    # --- watch

    async def test_a_watch_tells_every_change_after_a_version(self, client: ObjectClient) -> None:
        await client.create(WIDGETS, widget("before"))
        version = (await client.list(WIDGETS)).resource_version
        await client.create(WIDGETS, widget("a"))
        async with watching(client.watch(WIDGETS, resource_version=version)) as events:
            assert await next_change(events) == ("Added", "a")
            changed = await client.patch(WIDGETS, "a", "merge", {"spec": {"replicas": 2}}, "east")
            event = await next_event(events)
            assert event == Modified(changed)
            await client.create(ISLANDS, island("elsewhere"))
            await client.delete(WIDGETS, "a", "east")
            event = await next_event(events)
            assert isinstance(event, Deleted)
            assert event.object["spec"]["replicas"] == 2
            last = event.object["metadata"]["resourceVersion"]
        assert last not in (version, changed["metadata"]["resourceVersion"])
        async with watching(client.watch(WIDGETS, resource_version=last)) as events:
            await client.create(WIDGETS, widget("b"))
            assert await next_change(events) == ("Added", "b")

    async def test_a_watch_can_begin_with_the_present_state(self, client: ObjectClient) -> None:
        for name in "ba":
            await client.create(WIDGETS, widget(name))
        watch = client.watch(WIDGETS, initial_events=True, bookmarks=True)
        async with watching(watch) as events:
            assert await next_change(events) == ("Added", "a")
            assert await next_change(events) == ("Added", "b")
            bookmark = await next_event(events)
            version = (await client.list(WIDGETS)).resource_version
            assert bookmark == Bookmark(version, initial_end=True)
            await client.create(WIDGETS, widget("c"))
            assert await next_change(events) == ("Added", "c")

    async def test_a_watch_without_a_version_begins_with_the_present_state(
        self, client: ObjectClient
    ) -> None:
        await client.create(WIDGETS, widget("a"))
        async with watching(client.watch(WIDGETS)) as events:
            assert await next_change(events) == ("Added", "a")
            await client.create(WIDGETS, widget("b"))
            assert await next_change(events) == ("Added", "b")

    async def test_objects_come_and_go_with_a_selector(self, client: ObjectClient) -> None:
        version = (await client.list(WIDGETS)).resource_version
        selector = Selector(parse_labels("tier=web"))
        watch = client.watch(WIDGETS, "east", selector, resource_version=version)
        async with watching(watch) as events:
            await client.create(WIDGETS, widget("db", labels={"tier": "db"}))
            await client.create(WIDGETS, widget("far", "west", labels={"tier": "web"}))
            await client.create(WIDGETS, widget("a", labels={"tier": "web"}))
            assert await next_change(events) == ("Added", "a")
            body = {"metadata": {"labels": {"tier": "db"}}}
            changed = await client.patch(WIDGETS, "a", "merge", body, "east")
            event = await next_event(events)
            assert isinstance(event, Deleted)
            version = changed["metadata"]["resourceVersion"]
            assert event.object["metadata"]["resourceVersion"] == version
            assert event.object["metadata"]["labels"] == {"tier": "web"}
            body = {"metadata": {"labels": {"tier": "web"}}}
            back = await client.patch(WIDGETS, "a", "merge", body, "east")
            assert await next_event(events) == Added(back)

    async def test_a_held_deletion_is_a_modification_first(self, client: ObjectClient) -> None:
        await client.create(WIDGETS, widget("a", finalizers=["test.ferryman.dev/one"]))
        version = (await client.list(WIDGETS)).resource_version
        async with watching(client.watch(WIDGETS, resource_version=version)) as events:
            await client.delete(WIDGETS, "a", "east")
            event = await next_event(events)
            assert isinstance(event, Modified)
            assert "deletionTimestamp" in event.object["metadata"]
            await client.patch(WIDGETS, "a", "merge", {"metadata": {"finalizers": []}}, "east")
            assert await next_change(events) == ("Deleted", "a")

    async def test_a_version_beyond_the_history_is_expired(self, client: ObjectClient) -> None:
        await client.create(WIDGETS, widget("a"))
        version = (await client.list(WIDGETS)).resource_version
        for i in range(HISTORY + 1):
            await client.patch(WIDGETS, "a", "merge", {"spec": {"replicas": i + 2}}, "east")
        for old in (version, "1"):
            async with watching(client.watch(WIDGETS, resource_version=old)) as events:
                with pytest.raises(Expired):
                    await next_event(events)

    async def test_a_version_that_is_none_is_refused(self, client: ObjectClient) -> None:
        async with watching(client.watch(WIDGETS, resource_version="now")) as events:
            with pytest.raises(BadRequest):
                await next_event(events)

    async def test_bookmarks_keep_the_version_of_a_watch_fresh(self, client: ObjectClient) -> None:
        await client.create(WIDGETS, widget("a"))
        version = (await client.list(WIDGETS)).resource_version
        selector = Selector(fields=parse_fields("metadata.name=other"))
        watch = client.watch(WIDGETS, selector=selector, resource_version=version, bookmarks=True)
        async with watching(watch) as events:
            for i in range(HISTORY):
                await client.patch(WIDGETS, "a", "merge", {"spec": {"replicas": i + 2}}, "east")
            bookmark = await next_event(events)
            assert isinstance(bookmark, Bookmark)
            assert not bookmark.initial_end
        for i in range(HISTORY // 2):
            await client.patch(WIDGETS, "a", "merge", {"spec": {"replicas": i + 99}}, "east")
        again = client.watch(WIDGETS, resource_version=bookmark.resource_version)
        async with watching(again) as events:
            with pytest.raises(Expired):
                await next_event(events)
