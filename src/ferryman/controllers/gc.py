"""The garbage collector: what belongs to something goes when that goes.

A dependent names its owners in ``metadata.ownerReferences``; once none of them exists it is
deleted. An owner deleted with "Foreground" waits, by a finalizer, for the dependents that block
it; with "Orphan" its dependents lose the reference first. Source of the rules: Kubernetes
``pkg/controller/garbagecollector`` (1.36). Works for any kinds, through ObjectClient and the
informers that ``daemon`` or ``demo`` run anyway; there is one controller a kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from ferryman.api.client import (
    Bookmark,
    Deleted,
    ObjectClient,
    Preconditions,
    Propagation,
    WatchEvent,
)
from ferryman.api.resource import Name, Object, Resource, name_of
from ferryman.api.status import NotFound
from ferryman.reconcile import Controller, Informer, News, Request
from ferryman.registry.deletion import FOREGROUND, ORPHAN
from ferryman.runtime.clock import Clock

_Owner = Literal["there", "waiting", "gone"]
_Node = tuple[Resource, Name]


@dataclass(slots=True)
class _Graph:
    """Who belongs to whom, by the owners' uids; kept up to date by the informers' events."""

    owners: dict[_Node, tuple[str, ...]] = field(default_factory=dict)
    dependents: dict[str, dict[_Node, None]] = field(default_factory=dict)
    nodes: dict[str, _Node] = field(default_factory=dict)

    def put(self, node: _Node, uid: str, owners: tuple[str, ...]) -> tuple[str, ...]:
        """Note an object as it is now; the owners that it had."""
        before = self._cut(node)
        self.nodes[uid] = node
        if owners:
            self.owners[node] = owners
            for owner in owners:
                self.dependents.setdefault(owner, {})[node] = None
        return before

    def remove(self, node: _Node, uid: str) -> tuple[str, ...]:
        """Forget an object; the owners that it had. Its dependents stay dependents."""
        if self.nodes.get(uid) == node:
            del self.nodes[uid]
        return self._cut(node)

    def _cut(self, node: _Node) -> tuple[str, ...]:
        owners = self.owners.pop(node, ())
        for owner in owners:
            siblings = self.dependents.get(owner, {})
            siblings.pop(node, None)
            if not siblings:
                self.dependents.pop(owner, None)
        return owners


class GarbageCollector:
    """Collects among the kinds that it has informers of; owners of other kinds always exist."""

    def __init__(
        self, client: ObjectClient, informers: Mapping[Resource, Informer], clock: Clock
    ) -> None:
        self._client = client
        self._informers = dict(informers)
        self._by_kind = {(r.api_version, r.kind): r for r in informers}
        self._graph = _Graph()
        self._news = {resource: News() for resource in informers}
        for resource, informer in informers.items():
            for obj in informer.objects.values():
                self._put(resource, obj)
            informer.subscribe(partial(self._hear, resource))
        self.controllers = tuple(
            Controller(
                f"gc {resource}",
                partial(self._reconcile, resource),
                [news],
                clock=clock,
            )
            for resource, news in self._news.items()
        )

    def _hear(self, resource: Resource, event: WatchEvent) -> None:
        if isinstance(event, Bookmark):
            return
        if not isinstance(event, Deleted):
            self._put(resource, event.object)
            return
        uid = event.object["metadata"]["uid"]
        owners = self._graph.remove((resource, name_of(event.object)), uid)
        self._request_owners(owners)
        for node in self._graph.dependents.get(uid, {}):
            self._request(node)

    def _put(self, resource: Resource, obj: Object) -> None:
        node, owners = (resource, name_of(obj)), tuple(o["uid"] for o in _owners(obj))
        before = self._graph.put(node, obj["metadata"]["uid"], owners)
        self._request_owners((*before, *owners))
        if owners or "deletionTimestamp" in obj["metadata"]:
            self._request(node)

    def _request(self, node: _Node) -> None:
        self._news[node[0]].request(node[1])

    def _request_owners(self, uids: tuple[str, ...]) -> None:
        """Those that wait for their dependents look again."""
        for uid in uids:
            if node := self._graph.nodes.get(uid):
                self._request(node)

    async def _reconcile(self, resource: Resource, request: Request) -> None:
        obj = self._informers[resource].objects.get(request)
        if obj is None:
            return
        finalizers = obj["metadata"].get("finalizers", ())
        if "deletionTimestamp" not in obj["metadata"]:
            await self._collect(resource, obj)
        elif ORPHAN in finalizers:
            await self._orphan_dependents(resource, obj)
        elif FOREGROUND in finalizers:
            await self._wait_for_dependents(resource, obj)

    async def _collect(self, resource: Resource, obj: Object) -> None:
        """Delete an object whose owners are all gone; drop the references to those that are."""
        refs = _owners(obj)
        states = [await self._owner_state(obj, ref) for ref in refs]
        if "there" in states:
            kept = [ref for ref, state in zip(refs, states, strict=True) if state == "there"]
            if len(kept) < len(refs):
                await self._set_owners(resource, obj, kept)
        elif states:
            has_dependents = obj["metadata"]["uid"] in self._graph.dependents
            await self._delete(resource, obj, _how(obj, "waiting" in states and has_dependents))

    async def _owner_state(self, obj: Object, ref: Object) -> _Owner:
        resource = self._by_kind.get((ref["apiVersion"], ref["kind"]))
        namespace = name_of(obj).namespace
        if resource is None or (resource.namespaced and not namespace):
            return "there"  # we cannot see it: never delete for that
        name = Name(ref["name"], namespace if resource.namespaced else "")
        owner = self._informers[resource].objects.get(name)
        if owner is None or owner["metadata"]["uid"] != ref["uid"]:
            try:  # the cache may be late: ask
                owner = await self._client.get(resource, name.name, name.namespace)
            except NotFound:
                return "gone"
        meta = owner["metadata"]
        if meta["uid"] != ref["uid"]:
            return "gone"
        waits = "deletionTimestamp" in meta and FOREGROUND in meta.get("finalizers", ())
        return "waiting" if waits and ref.get("blockOwnerDeletion") else "there"

    async def _wait_for_dependents(self, resource: Resource, obj: Object) -> None:
        """Let a foreground deletion go on once nothing blocks it; have what blocks it deleted."""
        blocking = list(self._blocking(obj["metadata"]["uid"]))
        for node in blocking:
            self._request(node)
        if not blocking:
            await self._remove_finalizer(resource, obj, FOREGROUND)

    def _blocking(self, uid: str) -> Iterator[_Node]:
        for resource, name in self._graph.dependents.get(uid, {}):
            dependent = self._informers[resource].objects.get(name)
            refs = _owners(dependent) if dependent is not None else []
            if any(ref["uid"] == uid and ref.get("blockOwnerDeletion") for ref in refs):
                yield resource, name

    async def _orphan_dependents(self, resource: Resource, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        for kind, name in list(self._graph.dependents.get(uid, {})):
            dependent = self._informers[kind].objects.get(name)
            if dependent is not None:
                kept = [ref for ref in _owners(dependent) if ref["uid"] != uid]
                await self._set_owners(kind, dependent, kept)
        await self._remove_finalizer(resource, obj, ORPHAN)

    async def _remove_finalizer(self, resource: Resource, obj: Object, finalizer: str) -> None:
        kept = [f for f in obj["metadata"]["finalizers"] if f != finalizer]
        await self._patch(resource, obj, {"finalizers": kept})

    async def _set_owners(self, resource: Resource, obj: Object, refs: list[Object]) -> None:
        await self._patch(resource, obj, {"ownerReferences": refs})

    async def _patch(self, resource: Resource, obj: Object, metadata: Object) -> None:
        """Change the metadata of the very object that was looked at."""
        meta, name = obj["metadata"], name_of(obj)
        metadata = {**metadata, "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        try:
            await self._client.patch(
                resource, name.name, "merge", {"metadata": metadata}, name.namespace, manager="gc"
            )
        except NotFound:
            return

    async def _delete(self, resource: Resource, obj: Object, propagation: Propagation) -> None:
        meta, name = obj["metadata"], name_of(obj)
        try:
            await self._client.delete(
                resource,
                name.name,
                name.namespace,
                preconditions=Preconditions(meta["uid"], meta["resourceVersion"]),
                propagation=propagation,
            )
        except NotFound:
            return


def _owners(obj: Object) -> list[dict[str, Any]]:
    owners: list[dict[str, Any]] = obj["metadata"].get("ownerReferences") or []
    return owners


def _how(obj: Object, foreground: bool) -> Propagation:
    """How a dependent is deleted in its turn: as it asks for itself, else as its owner needs."""
    finalizers = obj["metadata"].get("finalizers", ())
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if foreground or FOREGROUND in finalizers else "Background"
