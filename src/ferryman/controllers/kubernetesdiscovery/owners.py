"""The owners of pods, however far, of any kind: what a cluster says about each, asked once.

An ownerReference names a kind; which path that has is asked of the cluster's discovery, so that
custom resources are found like deployments. What may not be read, or is gone, ends the line there:
its uid is in the reference, so it counts as an ancestor all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ferryman.api import codec
from ferryman.api.client import ObjectClient
from ferryman.api.resource import Object, Resource
from ferryman.api.status import Forbidden, NotFound
from ferryman.controllers.kubernetesdiscovery.membership import Ancestor
from ferryman.errors import PeerError
from ferryman.kube import rbac

_log = logging.getLogger(__name__)

AT_ONCE = 8
"""Requests under way at a time."""
_MOST = 8192
_DEEPEST = 16
"""Longer lines are no real ones: a loop, or somebody's joke."""


@dataclass(frozen=True, slots=True)
class _Owner:
    """An owner that was asked for: when it was made, and who owns it."""

    created: str | None
    owners: tuple[Mapping[str, Any], ...]


class Owners:
    """Of one cluster. ``get_raw`` reads a path of its API."""

    def __init__(self, client: ObjectClient, get_raw: Callable[[str], Awaitable[bytes]]) -> None:
        self._client = client
        self._get_raw = get_raw
        self._known: dict[str, _Owner] = {}
        self._kinds: dict[str, Mapping[str, Resource]] = {}
        self._refused: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def forget(self) -> None:
        """Ask anew: somebody may have adopted something."""
        self._known.clear()
        self._refused.clear()

    def created(self, pod: Object) -> str | None:
        """When a pod's controller (or first owner) was made, if that is known."""
        references = _references(pod)
        first = next((r for r in references if r.get("controller")), (*references, {})[0])
        known = self._known.get(str(first.get("uid", "")))
        return known.created if known is not None else None

    async def lines(self, pods: Iterable[Object]) -> Mapping[str, tuple[Ancestor, ...]]:
        """The owners of pods by the pods' uids; FerrymanError if the cluster cannot be asked."""
        wanted = list(pods)
        references = [(r, _namespace(pod)) for pod in wanted for r in _references(pod)]
        for _ in range(_DEEPEST):
            missing = {
                str(r.get("uid", "")): (r, namespace)
                for r, namespace in references
                if str(r.get("uid", "")) not in self._known
            }
            if missing:
                await self._learn(missing)
            references = [
                (further, namespace)
                for r, namespace in references
                for further in self._known[str(r.get("uid", ""))].owners
            ]
            if not references:
                break
        lines = {str(pod["metadata"].get("uid", "")): self._line(pod) for pod in wanted}
        if len(self._known) > _MOST:
            self._known.clear()
        return lines

    def _line(self, pod: Object) -> tuple[Ancestor, ...]:
        line: dict[str, Ancestor] = {}
        references = _references(pod)
        for _ in range(_DEEPEST):
            for r in references:
                uid = str(r.get("uid", ""))
                line.setdefault(uid, Ancestor(uid, str(r.get("name", ""))))
            known = (self._known.get(str(r.get("uid", ""))) for r in references)
            references = tuple(r for owner in known if owner is not None for r in owner.owners)
        return tuple(line.values())

    async def _learn(self, missing: Mapping[str, tuple[Mapping[str, Any], str]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for uid, (reference, namespace) in missing.items():
                    group.create_task(self._ask(uid, reference, namespace))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _ask(self, uid: str, reference: Mapping[str, Any], namespace: str) -> None:
        found: Object = {}
        async with self._slots:
            try:
                resource = await self._resource(
                    str(reference.get("apiVersion", "")), str(reference.get("kind", ""))
                )
                if resource is not None:
                    found = await self._client.get(
                        resource,
                        str(reference.get("name", "")),
                        namespace if resource.namespaced else "",
                    )
            except NotFound:
                pass
            except Forbidden as error:
                self._tell(error)
        meta = found.get("metadata") or {}
        same = meta.get("uid") == uid
        self._known[uid] = _Owner(
            meta.get("creationTimestamp") if same else None, _references(found) if same else ()
        )

    async def _resource(self, api_version: str, kind: str) -> Resource | None:
        """The coordinates of a kind; None if the cluster serves no such kind (any more)."""
        served = self._kinds.get(api_version)
        if served is None or kind not in served:
            path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            listed = codec.from_json(await self._get_raw(path))
            served = self._kinds[api_version] = _served(api_version, listed)
        return served.get(kind)

    def _tell(self, error: Forbidden) -> None:
        said = str(rbac.explain(error))
        if said not in self._refused:
            self._refused.add(said)
            _log.warning("owners of pods cannot be followed further: %s", said)


def _served(api_version: str, listed: Any) -> dict[str, Resource]:
    """Kinds by name out of a ``metav1.APIResourceList``."""
    if not isinstance(listed, dict) or not isinstance(listed.get("resources"), list):
        raise PeerError(f"the server sent something else than the resources of {api_version}")
    group, _, version = api_version.rpartition("/")
    return {
        str(r.get("kind", "")): Resource(
            group,
            version,
            str(r.get("name", "")),
            str(r.get("kind", "")),
            bool(r.get("namespaced")),
        )
        for r in listed["resources"]
        if isinstance(r, dict) and "/" not in str(r.get("name", ""))
    }


def _references(obj: Object) -> tuple[Mapping[str, Any], ...]:
    return tuple((obj.get("metadata") or {}).get("ownerReferences") or ())


def _namespace(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))
