"""The contract of everything that keeps objects: our store, our API, Kubernetes.

``store.memory`` implements it in the process, ``apiclient`` over HTTP; one conformance suite runs
against all. Controllers know nothing else. Only an informer calls ``watch``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from msgspec import Struct

from ferryman.api.resource import Object, Resource
from ferryman.api.selectors import ALL, Selector

PatchType = Literal["json", "merge", "strategic", "apply"]
Propagation = Literal["Background", "Foreground", "Orphan"]
Subresource = Literal["", "status", "scale"]


class ObjectList(Struct, frozen=True):
    """One page of a list; ``continue_token`` is empty on the last."""

    items: tuple[Object, ...]
    resource_version: str
    continue_token: str = ""
    remaining: int | None = None


class Added(Struct, frozen=True):
    object: Object


class Modified(Struct, frozen=True):
    object: Object


class Deleted(Struct, frozen=True):
    """The object is gone, or no longer matches the selector; its last state."""

    object: Object


class Bookmark(Struct, frozen=True):
    """Everything up to this version has been said; ``initial_end`` ends the initial events."""

    resource_version: str
    initial_end: bool = False


WatchEvent = Added | Modified | Deleted | Bookmark


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must hold for a delete; None is no condition."""

    uid: str | None = None
    resource_version: str | None = None


class ObjectClient(Protocol):
    """Reads and writes objects of any kind.

    Every method may raise ``api.status.ApiError`` (NotFound, AlreadyExists, StaleVersion, Invalid
    …) or ``errors.Unavailable``. Cancellation leaves a write either done or not done, never half.
    Objects that come out are the caller's own; objects that go in are not kept.
    """

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object: ...

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        selector: Selector = ALL,
        *,
        limit: int = 0,
        continue_token: str = "",
    ) -> ObjectList:
        """Objects in order of namespace and name; an empty namespace means all of them."""
        ...

    async def create(
        self, resource: Resource, obj: Object, *, manager: str = "", dry_run: bool = False
    ) -> Object:
        """Create; the namespace is the object's own. AlreadyExists, Invalid."""
        ...

    async def update(
        self,
        resource: Resource,
        obj: Object,
        *,
        subresource: Subresource = "",
        manager: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Replace. ``metadata.resourceVersion`` must be the one that was read: StaleVersion."""
        ...

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch_type: PatchType,
        body: Any,
        namespace: str = "",
        *,
        subresource: Subresource = "",
        manager: str = "",
        force: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Change what ``body`` says; for "apply" it is the manager's whole intent."""
        ...

    async def apply_status(
        self, resource: Resource, name: str, status: Object, namespace: str = "", *, manager: str
    ) -> Object:
        """Set the whole status; writes nothing if it is equal already."""
        ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        preconditions: Preconditions = Preconditions(),
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Delete, or mark as deleting while finalizers or a grace period hold it."""
        ...

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        selector: Selector = ALL,
        *,
        resource_version: str = "",
        initial_events: bool = False,
        bookmarks: bool = False,
    ) -> AsyncIterator[WatchEvent]:
        """Every change strictly after ``resource_version``; Expired if history is too short.

        With ``initial_events`` the present state comes first, as Added events and a Bookmark with
        ``initial_end``. Ends when the server ends it; close it with ``aclose``.
        """
        ...
