"""The kinds that a cluster serves, found by any of their names: short, singular, with a group.

Asks the API server only when somebody wants a kind that is not known, and remembers the answer.
Sources: ``apidiscovery/v2``, ``metav1.APIResourceList`` for servers before 1.26, and kubectl's
rules for names (client-go ``restmapper/shortcut.go``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from msgspec import Struct

from ferryman.api.codec import from_json
from ferryman.api.resource import Object, Resource
from ferryman.api.status import ApiError, BadRequest
from ferryman.errors import PeerError, Unavailable
from ferryman.kube.targets import unknown_kind
from ferryman.runtime.clock import Clock, SystemClock

ReadRaw = Callable[[str, str], Awaitable[bytes]]
"""The body at a path, in one of the accepted types; ``HttpClient.get_raw``."""

_PLAIN = "application/json"
_AGGREGATED = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    for version in ("v2", "v2beta1")
)
_AGAIN = 5.0
"""Seconds until a kind that was not there is looked for again: a CRD may have come."""
_MOST = 20_000


class _Served(Struct, frozen=True):
    resource: Resource
    names: frozenset[str]
    """All that it is called, in lower case, without its group."""


class Kinds:
    """Those of one cluster; safe to share between tasks."""

    def __init__(self, read: ReadRaw, clock: Clock | None = None) -> None:
        self._read = read
        self._clock = clock or SystemClock()
        self._lock = asyncio.Lock()
        self._served: tuple[_Served, ...] = ()
        self._read_at = -_AGAIN

    async def named(self, text: str) -> Resource:
        """The kind that ``rollout``, ``ro``, ``rollouts.argoproj.io`` or ``rollout.v1.x`` means.

        Of several the first in the server's order. Raises UserError if there is none, and what
        reading raises.
        """
        name, _, group = text.lower().partition(".")

        def is_it(served: _Served) -> bool:
            resource = served.resource
            versioned = f"{resource.version}.{resource.group}".rstrip(".")
            groups = ("", resource.group, versioned)
            return name in served.names and group in groups

        found = await self._find(is_it)
        if found is None:
            raise unknown_kind(text, (name for s in self._served for name in sorted(s.names)))
        return found

    async def of(self, api_version: str, kind: str) -> Resource | None:
        """The kind that an object names itself by; None if the server does not serve it."""

        def is_it(served: _Served) -> bool:
            return (served.resource.api_version, served.resource.kind) == (api_version, kind)

        return await self._find(is_it)

    async def _find(self, is_it: Callable[[_Served], bool]) -> Resource | None:
        async with self._lock:
            found = next(filter(is_it, self._served), None)
            if found is None and self._clock.monotonic() - self._read_at >= _AGAIN:
                self._served = await self._discover()
                self._read_at = self._clock.monotonic()
                found = next(filter(is_it, self._served), None)
        return found.resource if found is not None else None

    async def _discover(self) -> tuple[_Served, ...]:
        found = [served for root in ("/api", "/apis") for served in await self._below(root)]
        return tuple(found[:_MOST])

    async def _below(self, root: str) -> list[_Served]:
        document = await self._get(root, f"{_AGGREGATED},{_PLAIN}")
        try:
            if document.get("kind") == "APIGroupDiscoveryList":
                return list(_aggregated(document))
            versions = _versions(document)
            return [s for path in versions for s in await self._listed(f"{root}/{path}", path)]
        except (AttributeError, KeyError, TypeError) as cause:
            raise PeerError(f"the server's list of kinds at {root} is none: {cause!r}") from cause

    async def _listed(self, path: str, group_version: str) -> list[_Served]:
        try:
            document = await self._get(path, _PLAIN)
        except (ApiError, Unavailable):
            return []  # an extension's server that is down hides its own kinds only
        group, _, version = group_version.rpartition("/")
        return [
            _served(group, version, r["name"], r["kind"], bool(r.get("namespaced")), r)
            for r in document.get("resources") or ()
            if "/" not in r["name"]
        ]

    async def _get(self, path: str, accept: str) -> Object:
        try:
            document = from_json(await self._read(path, accept))
        except BadRequest as cause:
            raise PeerError(f"the server sent no JSON at {path}") from cause
        if not isinstance(document, dict):
            raise PeerError(f"the server sent something that is no object at {path}")
        return document


def _aggregated(document: Object) -> Iterable[_Served]:
    for group in document.get("items") or ():
        name = (group.get("metadata") or {}).get("name") or ""
        for version in group.get("versions") or ():
            for entry in version.get("resources") or ():
                kind = (entry.get("responseKind") or {}).get("kind") or ""
                namespaced = entry.get("scope") == "Namespaced"
                yield _served(name, version["version"], entry["resource"], kind, namespaced, entry)


def _versions(document: Object) -> list[str]:
    """The paths below the root, the preferred version of each group first."""
    if "versions" in document:
        return list(document["versions"])
    paths: dict[str, None] = {}
    for group in document.get("groups") or ():
        preferred = (group.get("preferredVersion") or {}).get("groupVersion")
        paths.update(dict.fromkeys([preferred] if preferred else []))
        paths.update(dict.fromkeys(v["groupVersion"] for v in group.get("versions") or ()))
    return list(paths)


def _served(
    group: str, version: str, plural: str, kind: str, namespaced: bool, entry: Any
) -> _Served:
    singular = entry.get("singularResource") or entry.get("singularName") or kind
    names = (plural, singular, kind, *(entry.get("shortNames") or ()))
    resource = Resource(group, version, plural, kind, namespaced)
    return _Served(resource, frozenset(name.lower() for name in names))
