"""Watches the pods that one selection means, and what else decides which of them belong.

A selection is what a target is at one moment: its selector, and for some kinds its uid. For a
service without selector that needs its EndpointSlices too, for a kind that owns pods through others
the owners in between. ``following`` makes a new one when the target changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack, closing

from ferryman.api.client import Bookmark, Deleted, WatchEvent
from ferryman.api.resource import Object, Resource
from ferryman.api.selectors import Selector
from ferryman.apiclient.sharing import Lease, SharedInformers
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
        informers: SharedInformers,
        target: Target,
        target_object: Object,
        changed: Callable[[bool], None],
        clock: Clock,
        kinds: Kinds | None,
    ) -> None:
        """Raises UserError if the target can have no pods."""
        self._informers = informers
        self._target = target
        self._changed = changed
        self._selector = pod_selector(target, target_object)
        self._uid = str(target_object["metadata"].get("uid", ""))
        self._related = looks_at(target, target_object)
        self._pods: Lease | None = None
        self._slices: Lease | None = None
        self._owners: OwnerTree | None = None
        if self._related == "owners" and kinds is not None:
            self._owners = OwnerTree(
                informers.client,
                kinds,
                target.namespace,
                lambda: self.pods,
                lambda: self._uid,
                lambda: changed(False),
                clock,
            )

    @property
    def pods(self) -> tuple[Object, ...]:
        """The pods that may belong."""
        return tuple(self._pods.objects.values()) if self._pods is not None else ()

    @property
    def related(self) -> Related:
        """What else is known."""
        slices = tuple(self._slices.objects.values()) if self._slices is not None else ()
        return Related(slices, self._owners.known if self._owners is not None else {})

    @property
    def synced(self) -> bool:
        """Whether everything was read once."""
        pods = self._pods is not None and self._pods.synced
        slices = self._related != "slices" or (self._slices is not None and self._slices.synced)
        return pods and slices and (self._owners is None or self._owners.complete)

    @property
    def error(self) -> FerrymanError | None:
        """Why it may be out of date."""
        error = None
        for lease in (self._pods, self._slices):
            error = error or (lease.error if lease is not None else None)
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
        for lease in (self._pods, self._slices):
            if lease is not None:
                lease.suspect()

    async def run(self) -> None:
        """Watch until cancelled."""
        with ExitStack() as leases:
            self._pods = leases.enter_context(
                closing(self._lease(PODS, self._heard_pod, self._selector))
            )
            if self._related == "slices":
                selector = slice_selector(self._target)
                slices = self._lease(ENDPOINTSLICES, lambda _: self._changed(False), selector)
                self._slices = leases.enter_context(closing(slices))
            self.look()
            self._changed(False)  # somebody may have read them before us
            if self._owners is not None:
                await self._owners.run()
            await asyncio.get_running_loop().create_future()

    def _lease(
        self, resource: Resource, heard: Callable[[WatchEvent], None], selector: Selector
    ) -> Lease:
        return self._informers.lease(
            resource, self._target.namespace, heard, lambda: self._changed(False), selector
        )

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
