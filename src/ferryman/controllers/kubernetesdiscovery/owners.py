"""The owners of pods, however far, of any kind: what a cluster says about each, asked once.

``kube.ownertree`` reads one, custom resources like deployments. What may not be read, or is gone,
ends the line there: its uid is in the reference, so it counts as an ancestor all the same. All
discoveries of a cluster share one, and ask it while they are reconciled; the OwnerTree of a Relay
reads by itself whenever its pods have news.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from ferryman.api.client import ObjectClient
from ferryman.api.resource import Object
from ferryman.api.status import Forbidden
from ferryman.controllers.kubernetesdiscovery.membership import Ancestor
from ferryman.kube import rbac
from ferryman.kube.kinds import Kinds
from ferryman.kube.owners import Reference, ancestry, controller, references
from ferryman.kube.ownertree import read_owner

_log = logging.getLogger(__name__)

AT_ONCE = 8
"""Requests under way at a time."""
_MOST = 8192
_DEEPEST = 16
"""Rounds of asking: longer lines are no real ones."""


class Owners:
    """Of one cluster."""

    def __init__(self, client: ObjectClient, kinds: Kinds) -> None:
        self.client = client
        self._kinds = kinds
        self._known: dict[str, Object] = {}
        self._refused: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def forget(self) -> None:
        """Ask anew: somebody may have adopted something."""
        self._known.clear()

    def created(self, pod: Object) -> str | None:
        """When a pod's controller (or first owner) was made, if that is known."""
        first = controller(pod) or next(iter(references(pod)), {})
        known = self._known.get(_uid(first))
        return known["metadata"].get("creationTimestamp") if known is not None else None

    async def lines(self, pods: Iterable[Object]) -> Mapping[str, tuple[Ancestor, ...]]:
        """The owners of pods by the pods' uids; FerrymanError if the cluster cannot be asked."""
        wanted = list(pods)
        for _ in range(_DEEPEST):
            missing = {
                _uid(reference): (reference, str(pod["metadata"].get("namespace", "")))
                for pod in wanted
                for reference in ancestry(pod, self._known)
                if _uid(reference) not in self._known
            }
            if not missing:
                break
            await self._learn(missing.values())
        lines = {
            str(pod["metadata"].get("uid", "")): tuple(
                Ancestor(_uid(r), str(r.get("name", ""))) for r in ancestry(pod, self._known)
            )
            for pod in wanted
        }
        if len(self._known) > _MOST:
            self._known.clear()
        return lines

    async def _learn(self, missing: Iterable[tuple[Reference, str]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for reference, namespace in missing:
                    group.create_task(self._ask(reference, namespace))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _ask(self, reference: Reference, namespace: str) -> None:
        """Get to know one owner, as far as it can be: of a namesake nothing is kept."""
        found = None
        try:
            async with self._slots:
                found = await read_owner(self.client, self._kinds, reference, namespace)
        except Forbidden as error:
            self._tell(error)
        kept: Object = {}
        if found is not None:
            keys = ("creationTimestamp", "ownerReferences")
            kept = {key: found["metadata"][key] for key in keys if key in found["metadata"]}
        self._known[_uid(reference)] = {"metadata": kept}

    def _tell(self, error: Forbidden) -> None:
        said = str(rbac.explain(error))
        if said not in self._refused:
            self._refused.add(said)
            _log.warning("owners of pods cannot be followed further: %s", said)


def _uid(reference: Reference) -> str:
    return str(reference.get("uid", ""))
