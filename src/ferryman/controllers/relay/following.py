"""Keeps one target in view: itself and the pods that may belong to it, by name, for good.

The target is watched under its name, so one that is deleted and made again is found again; what it
is says which pods to watch (``selecting``), and when that changes, so do they. ``plan`` judges what
is seen; ``reconciler`` has one Follower for each target that relays want.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing

from ferryman.api.client import WatchEvent
from ferryman.api.resource import Name, Object, Resource
from ferryman.api.status import Forbidden, NotFound
from ferryman.apiclient.sharing import Lease, SharedInformers
from ferryman.controllers.relay.resolving import Seen
from ferryman.controllers.relay.selecting import Selecting, heard_pod
from ferryman.errors import FerrymanError, UserError
from ferryman.kube.kinds import Kinds
from ferryman.kube.targets import (
    Target,
    UnknownKind,
    object_selector,
    pod_selector,
    unknown_kind,
)
from ferryman.runtime.backoff import Backoff
from ferryman.runtime.clock import Clock
from ferryman.runtime.tasks import Tasks

POLL = 5.0
"""Seconds between two looks at a target that we may get but not watch, or whose kind there is
not."""


class Follower:
    """``changed`` is called at every news, with whether a pod leaves: then every moment counts.

    Without ``kinds``, kinds that only the cluster knows are not found.
    """

    def __init__(
        self,
        informers: SharedInformers,
        target: Target,
        changed: Callable[[bool], None],
        clock: Clock,
        kinds: Kinds | None = None,
    ) -> None:
        self._target = target
        self._informers = informers
        self._changed = changed
        self._clock = clock
        self._kinds = kinds
        self._resource = target.resource
        self._error: FerrymanError | None = None
        self._itself: Lease | None = None
        self._selecting: Selecting | None = None
        self._in_view: tuple[Object, Selecting] | None = None
        self._news = asyncio.Event()
        self._polled: Object | None = None
        self._poll_error: FerrymanError | None = None
        self._polls = asyncio.Event()

    @property
    def seen(self) -> Seen:
        """What is known now."""
        found, synced, error = self._object()
        if found is None:
            return Seen(None, (), synced, error, resource=self._resource)
        if self._target.belonging == "Itself":
            return Seen(found, (found,), synced, error)
        selecting = self._selecting
        if selecting is not None:
            error = error or selecting.error
            if selecting.synced and (not self._selects(found) or selecting.is_for(found)):
                self._in_view = (found, selecting)
        if self._in_view is None:
            return Seen(found, (), False, error)
        found, selecting = self._in_view  # a new selection is shown once its pods are known
        return Seen(found, selecting.pods, True, error, related=selecting.related)

    def suspect(self) -> None:
        """What is open may be dead: ask again."""
        if self._itself is not None:
            self._itself.suspect()
        if self._selecting is not None:
            self._selecting.suspect()

    async def run(self) -> None:
        """Watch until cancelled."""
        if self._target.selector:
            await self._follow_pods()
            return
        self._resource = await self._find_kind()
        self._itself = self._informers.lease(
            self._resource,
            self._target.namespace if self._resource.namespaced else "",
            self._heard,
            self._health_changed,
            object_selector(self._target),
        )
        with closing(self._itself):
            self._health_changed()  # somebody may have read it before us
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poll(self._resource))
                if self._target.belonging != "Itself":
                    group.create_task(self._follow_pods())

    async def _find_kind(self) -> Resource:
        """What the target's kind is; waits as long as the cluster has none of that name."""
        backoff = Backoff()
        known = self._target.resource
        while known is None:
            try:
                known = await self._ask_for_kind()
                self._error = None
            except FerrymanError as error:
                self._error = error
                self._tell(urgent=False)
                unknown = isinstance(error, UnknownKind)
                await self._clock.sleep(POLL if unknown else backoff.next())
        return known

    async def _ask_for_kind(self) -> Resource:
        if self._kinds is None:
            raise unknown_kind(self._target.kind, ())
        return await self._kinds.named(self._target.kind)

    def _object(self) -> tuple[Object | None, bool, FerrymanError | None]:
        """The target, whether that is what there is, and why it cannot be read."""
        target = self._target
        if target.selector:
            return {"metadata": {"name": "", "namespace": target.namespace}}, True, None
        if self._polls.is_set():
            return self._polled, self._poll_error is None, self._poll_error
        if self._itself is None or self._resource is None:
            return None, False, self._error
        namespace = target.namespace if self._resource.namespaced else ""
        found = self._itself.objects.get(Name(target.name, namespace))
        return found, self._itself.synced, self._itself.error

    async def _follow_pods(self) -> None:
        """Watch the pods that the target selects, also while it is gone: it may come again."""
        self._news.set()
        async with Tasks() as tasks:
            watching: asyncio.Task[None] | None = None
            while True:
                await self._news.wait()
                self._news.clear()
                found, _, _ = self._object()
                if found is None or not self._selects(found):
                    continue
                if self._selecting is not None and self._selecting.is_for(found):
                    self._selecting.look()
                    continue
                if watching is not None:
                    watching.cancel()
                self._selecting = Selecting(
                    self._informers, self._target, found, self._changed, self._clock, self._kinds
                )
                watching = tasks.start(self._selecting.run(), f"pods of {self._target}")

    def _selects(self, found: Object) -> bool:
        """Whether it can have pods; if not, ``plan`` comes to the same end and says so."""
        try:
            pod_selector(self._target, found)
        except UserError:
            return False
        return True

    async def _poll(self, resource: Resource) -> None:
        """For those who may ``get`` the target but not list it: kubectl needs no more."""
        target = self._target
        namespace = target.namespace if resource.namespaced else ""
        while True:
            await self._polls.wait()
            try:
                found = await self._informers.client.get(resource, target.name, namespace)
                self._polled, self._poll_error = found, None
            except NotFound:
                self._polled, self._poll_error = None, None
            except FerrymanError as error:
                self._poll_error = error
            self._tell(urgent=False)
            await self._clock.sleep(POLL)

    def _heard(self, event: WatchEvent) -> None:
        if self._target.belonging == "Itself":
            heard_pod(event, self._changed)
        else:
            self._tell(urgent=False)

    def _health_changed(self) -> None:
        error = self._itself.error if self._itself is not None else None
        if isinstance(error, Forbidden):
            if not self._polls.is_set():
                self._poll_error = error
                self._polls.set()
        elif error is None:
            self._polls.clear()
        self._tell(urgent=False)

    def _tell(self, *, urgent: bool) -> None:
        self._news.set()
        self._changed(urgent)
