"""``ObjectClient`` over HTTP: Kubernetes, the demo cluster, our own API.

Says in verbs, paths and bodies what the contract asks for; ``transport`` has the connections,
credentials and errors, ``watching`` reads events. Objects come out as the server sent them, except
that items of lists get the ``kind`` and ``apiVersion`` which Kubernetes leaves out there.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

from ferryman.api.client import (
    Bookmark,
    ObjectList,
    PatchType,
    Preconditions,
    Propagation,
    Subresource,
    WatchEvent,
)
from ferryman.api.codec import from_json, to_json
from ferryman.api.resource import Object, Resource
from ferryman.api.selectors import ALL, Selector
from ferryman.api.status import BadRequest, Invalid, stale
from ferryman.apiclient.paths import Query, path, with_query
from ferryman.apiclient.transport import TIMEOUTS, Exchange, Timeouts, Transport
from ferryman.apiclient.watching import WatchDecoder, check_object
from ferryman.errors import PeerError

if TYPE_CHECKING:
    from ferryman.access.kubeconfig import Access

_JSON = (("accept", "application/json"),)
_JSON_BODY = (*_JSON, ("content-type", "application/json"))
_PATCHES: dict[PatchType, str] = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",  # JSON is YAML
}
_UNCONDITIONAL = Preconditions()
_WATCH_SECONDS = (300, 600)  # as client-go: spread, so that not all watches are renewed at once
_WATCH_GRACE = 30.0


class HttpClient:
    """An ``ObjectClient``; also raw answers, for logs and discovery.

    Safe to share between tasks. Close it, or use it as a context manager.
    """

    def __init__(
        self, access: Access, *, timeouts: Timeouts = TIMEOUTS, agent: str = "ferryman"
    ) -> None:
        """Raises UserError if the server's URL is none. ``agent`` becomes the User-Agent."""
        self._transport = Transport(access, timeouts=timeouts, agent=agent)

    @property
    def server(self) -> str:
        """The server's URL."""
        return self._transport.server

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; requests under way fail."""
        await self._transport.close()

    def suspect(self) -> None:
        """The network may have changed, or the machine slept: open new connections."""
        self._transport.suspect()

    def when_reached(self, callback: Callable[[], None]) -> None:
        """Call back whenever the server answers again after it could not be reached."""
        self._transport.reached = callback

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        return await self._object("GET", path(resource, namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        selector: Selector = ALL,
        *,
        limit: int = 0,
        continue_token: str = "",
    ) -> ObjectList:
        query: Query = [*_selection(selector), ("limit", limit), ("continue", continue_token)]
        found = await self._json("GET", with_query(path(resource, namespace), query))
        meta, items = found.get("metadata"), found.get("items")
        if not isinstance(meta, dict) or not isinstance(items, list | None):
            raise PeerError(f"the server sent something else than a list of {resource}")
        remaining = meta.get("remainingItemCount")
        return ObjectList(
            tuple(_complete(check_object(item), resource) for item in items or ()),
            str(meta.get("resourceVersion", "")),
            str(meta.get("continue") or ""),
            remaining if isinstance(remaining, int) else None,
        )

    async def create(
        self, resource: Resource, obj: Object, *, manager: str = "", dry_run: bool = False
    ) -> Object:
        namespace = obj.get("metadata", {}).get("namespace", "")
        target = with_query(path(resource, namespace), _writing(manager, dry_run))
        return await self._object("POST", target, to_json(_completed(obj, resource)))

    async def update(
        self,
        resource: Resource,
        obj: Object,
        *,
        subresource: Subresource = "",
        manager: str = "",
        dry_run: bool = False,
    ) -> Object:
        meta = obj.get("metadata", {})
        target = path(resource, meta.get("namespace", ""), str(meta.get("name", "")), subresource)
        body = obj if subresource == "scale" else _completed(obj, resource)
        return await self._object(
            "PUT", with_query(target, _writing(manager, dry_run)), to_json(body)
        )

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
        query = (*_writing(manager, dry_run), ("force", force))
        target = with_query(path(resource, namespace, name, subresource), query)
        headers = (*_JSON, ("content-type", _PATCHES[patch_type]))
        return check_object(await self._json("PATCH", target, to_json(body), headers))

    async def apply_status(
        self, resource: Resource, name: str, status: Object, namespace: str = "", *, manager: str
    ) -> Object:
        """As the contract says; two requests, or one if nothing changes.

        Raises StaleVersion if meanwhile another object has the name: the status is not its own.
        """
        found = await self.get(resource, name, namespace)
        if found.get("status", {}) == status:
            return found
        uid = found["metadata"].get("uid", "")
        # A JSON patch sets the whole status, whatever has happened to the object since.
        body = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        try:
            return await self.patch(
                resource, name, "json", body, namespace, subresource="status", manager=manager
            )
        except Invalid as error:
            now = await self.get(resource, name, namespace)
            if now["metadata"].get("uid", "") == uid:
                raise
            raise stale(resource, name, "it was deleted, and another one made") from error

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        preconditions: Preconditions = _UNCONDITIONAL,
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
        dry_run: bool = False,
    ) -> Object:
        """As the contract says; the object, or the server's Status if it is gone at once."""
        options: Object = {
            "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation,
        }  # fmt: skip
        conditions = {
            "uid": preconditions.uid, "resourceVersion": preconditions.resource_version,
        }  # fmt: skip
        if any(value is not None for value in conditions.values()):
            options["preconditions"] = {k: v for k, v in conditions.items() if v is not None}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if dry_run:
            options["dryRun"] = ["All"]
        return await self._json(
            "DELETE", path(resource, namespace, name), to_json(options), _JSON_BODY
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
        """As the contract says. With ``bookmarks``, a Bookmark of the version asked for comes as
        soon as the server has accepted the watch, so that it can be told from one that hangs.
        """
        seconds = random.randint(*_WATCH_SECONDS)  # noqa: S311 - a spread, no secret
        query: Query = [
            ("watch", True),
            *_selection(selector),
            ("resourceVersion", resource_version),
            ("allowWatchBookmarks", bookmarks or initial_events),
            ("timeoutSeconds", seconds),
        ]
        if initial_events:
            query = [*query, ("sendInitialEvents", True), ("resourceVersionMatch", "NotOlderThan")]
        target = with_query(path(resource, namespace), query)
        decoder = WatchDecoder()
        async with self._transport.exchange("GET", target, _JSON) as answer:
            if bookmarks and resource_version and not initial_events:
                yield Bookmark(resource_version)
            deadline = asyncio.get_running_loop().time() + seconds + _WATCH_GRACE
            while part := await answer.read(deadline):
                for event in decoder.receive(part):
                    if isinstance(event, Bookmark):
                        if bookmarks or event.initial_end:
                            yield event
                    else:
                        _complete(event.object, resource)
                        yield event

    async def get_raw(self, target: str, accept: str = "application/json") -> bytes:
        """The body at a path (with its query), such as ``/version``."""
        async with self._transport.exchange("GET", target, (("accept", accept),)) as answer:
            return await answer.read_all()

    def open(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Exchange:
        """Any exchange; header names in lower case. Errors as everywhere."""
        return self._transport.exchange(method, target, headers, body)

    async def stream(self, target: str) -> AsyncGenerator[bytes, None]:
        """The body at a path as it comes, for as long as the server likes; for logs.

        Close it with ``aclose`` if it is not read to its end.
        """
        async with self._transport.exchange("GET", target, (("accept", "*/*"),)) as answer:
            while part := await answer.read(math.inf):
                yield part

    async def _object(self, method: str, target: str, body: bytes = b"") -> Object:
        return check_object(await self._json(method, target, body, _JSON_BODY if body else _JSON))

    async def _json(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = _JSON,
    ) -> Object:
        async with self._transport.exchange(method, target, headers, body) as answer:
            text = await answer.read_all()
        try:
            found = from_json(text)
        except BadRequest as cause:
            raise PeerError(f"{self.server} sent no JSON: {cause.message}") from cause
        if not isinstance(found, dict):
            raise PeerError(f"{self.server} sent something that is no object")
        return found


def _selection(selector: Selector) -> tuple[tuple[str, str], ...]:
    return (("labelSelector", selector.label_text), ("fieldSelector", selector.field_text))


def _writing(manager: str, dry_run: bool) -> tuple[tuple[str, str | None], ...]:
    return (("fieldManager", manager), ("dryRun", "All" if dry_run else None))


def _complete(obj: Object, resource: Resource) -> Object:
    """Fill in what every object says of itself, in place."""
    obj.setdefault("apiVersion", resource.api_version)
    obj.setdefault("kind", resource.kind)
    return obj


def _completed(obj: Object, resource: Resource) -> Object:
    """The same on a copy."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
