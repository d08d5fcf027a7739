"""Watches the pods that one selection means, and what else decides which of them belong.

A selection is what a target is at one moment: its selector, and for some kinds its uid. For a
service without selector that needs its EndpointSlices too, for a kind that owns pods through others
the owners in between. ``following`` makes a new one when the target changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ferryman.api.client import Bookmark, Deleted, ObjectClient, WatchEvent
from ferryman.api.resource import Object
from ferryman.apiclient.informer import Informer
from ferryman.errors import FerrymanError
from ferryman.kube.kinds import Kinds
from ferryman.kube.owners import descends
from ferryman.kube.ownertree import OwnerTree
from ferryman.kube.pods import usable
from ferryman.kube.resources import ENDPOINTSLICES, PODS
from ferryman.kube.targets import Related, Target, looks_at, pod_selector, slice_selector
from ferryman.runtime.clock import Clock


class Selecting:
    """``changed`` is called as for a ``Follower``. Without ``kinds`` owners are not known."""

    def __init__(
        self,
        client: ObjectClient,
        target: Target,
        target_object: Object,
        changed: Callable[[bool], None],
        clock: Clock,
        kinds: Kinds | None,
    ) -> None:
        """Raises UserError if the target can have no pods."""
        self._target = target
        self._changed = changed
        self._selector = pod_selector(target, target_object)
        self._uid = str(target_object["metadata"].get("uid", ""))
        self._related = looks_at(target, target_object)
        self._pods = Informer(client, PODS, target.namespace, self._selector, clock=clock)
        self._pods.subscribe(self._heard_pod)
        self._pods.subscribe_health(lambda: changed(False))
        self._slices: Informer | None = None
        self._owners: OwnerTree | None = None
        if self._related == "slices":
            self._slices = Informer(
                client, ENDPOINTSLICES, target.namespace, slice_selector(target), clock=clock
            )
            self._slices.subscribe(lambda _: changed(False))
            self._slices.subscribe_health(lambda: changed(False))
        elif self._related == "owners" and kinds is not None:
            self._owners = OwnerTree(
                client,
                kinds,
                target.namespace,
                lambda: self._pods.objects.values(),
                lambda: self._uid,
                lambda: changed(False),
                clock,
            )

    @property
    def pods(self) -> tuple[Object, ...]:
        """The pods that may belong."""
        return tuple(self._pods.objects.values())

    @property
    def related(self) -> Related:
        """What else is known."""
        slices = tuple(self._slices.objects.values()) if self._slices is not None else ()
        return Related(slices, self._owners.known if self._owners is not None else {})

    @property
    def synced(self) -> bool:
        """Whether everything was read once."""
        slices = self._slices is None or self._slices.synced.is_set()
        owners = self._owners is None or self._owners.complete
        return self._pods.synced.is_set() and slices and owners

    @property
    def error(self) -> FerrymanError | None:
        """Why it may be out of date."""
        error = self._pods.error
        if self._slices is not None:
            error = error or self._slices.error
        if self._owners is not None:
            error = error or self._owners.error or self._refused(self._owners)
        return error

    def is_for(self, target_object: Object) -> bool:
        """Whether this is still what the target means; ``pod_selector``'s errors."""
        uid = str(target_object["metadata"].get("uid", ""))
        return (
            pod_selector(self._target, target_object) == self._selector
            and looks_at(self._target, target_object) == self._related
            and (self._related != "owners" or uid == self._uid)
        )

    def look(self) -> None:
        """The target has news."""
        if self._owners is not None:
            self._owners.look()

    def suspect(self) -> None:
        """What is open may be dead: ask again."""
        for informer in (self._pods, self._slices):
            if informer is not None:
                informer.suspect()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pods.run())
            if self._slices is not None:
                group.create_task(self._slices.run())
            if self._owners is not None:
                group.create_task(self._owners.run())

    def _heard_pod(self, event: WatchEvent) -> None:
        self.look()
        heard_pod(event, self._changed)

    def _refused(self, owners: OwnerTree) -> FerrymanError | None:
        """Why an owner is not told to us, which matters if no pod is known to belong."""
        known = any(descends(pod, self._uid, owners.known) for pod in self.pods)
        return None if known else owners.refused


def heard_pod(event: WatchEvent, changed: Callable[[bool], None]) -> None:
    """Tell of a pod's news; whether it leaves."""
    if not isinstance(event, Bookmark):
        changed(isinstance(event, Deleted) or not usable(event.object))
