"""Keeps one workload in view: itself and the pods that may belong to it, by name, for good.

The workload is watched under its name, so one that is deleted and made again is found again; its
selector says which pods to watch, and when it changes, so do they. ``plan`` judges what is seen;
``reconciler`` has one Follower for each workload that relays want.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ferryman.api.client import Bookmark, Deleted, ObjectClient, WatchEvent
from ferryman.api.resource import Name, Object, Resource
from ferryman.api.selectors import Selector
from ferryman.api.status import Forbidden, NotFound
from ferryman.apiclient.informer import Informer
from ferryman.controllers.relay.plan import Seen
from ferryman.errors import FerrymanError, UserError
from ferryman.kube.pods import usable
from ferryman.kube.resources import PODS
from ferryman.kube.targets import Target, object_selector, pod_selector
from ferryman.runtime.clock import Clock
from ferryman.runtime.tasks import Tasks

POLL = 5.0
"""Seconds between two looks at a workload that we may get but not watch."""


class Follower:
    """``changed`` is called at every news, with whether a pod leaves: then every moment counts."""

    def __init__(
        self, client: ObjectClient, target: Target, changed: Callable[[bool], None], clock: Clock
    ) -> None:
        self._target = target
        self._client = client
        self._changed = changed
        self._clock = clock
        self._pods: Informer | None = None
        self._in_view: tuple[Object, Informer] | None = None
        self._selector: Selector | None = None
        self._news = asyncio.Event()
        self._polled: Object | None = None
        self._poll_error: FerrymanError | None = None
        self._polls = asyncio.Event()
        self._itself = self._informer(
            target.resource,
            object_selector(target),
            self._heard_pod if target.kind == "pod" else self._heard,
        )

    @property
    def seen(self) -> Seen:
        """What is known now."""
        found, synced, error = self._object()
        if found is None:
            return Seen(None, (), synced, error)
        if self._target.kind == "pod":
            return Seen(found, (found,), synced, error)
        pods = self._pods
        if pods is not None:
            error = error or pods.error
            if pods.synced.is_set() and self._wanted() in (self._selector, None):
                self._in_view = (found, pods)
        if self._in_view is None:
            return Seen(found, (), False, error)
        found, pods = self._in_view  # a new selection is shown once its pods are known
        return Seen(found, tuple(pods.objects.values()), True, error)

    def suspect(self) -> None:
        """What is open may be dead: ask again."""
        for informer in (self._itself, self._pods):
            if informer is not None:
                informer.suspect()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._itself.run())
            group.create_task(self._poll())
            if self._target.kind != "pod":
                group.create_task(self._follow_pods())

    def _object(self) -> tuple[Object | None, bool, FerrymanError | None]:
        """The workload, whether that is what there is, and why it cannot be read."""
        if self._polls.is_set():
            return self._polled, self._poll_error is None, self._poll_error
        found = self._itself.objects.get(Name(self._target.name, self._target.namespace))
        return found, self._itself.synced.is_set(), self._itself.error

    async def _follow_pods(self) -> None:
        """Watch the pods that the workload selects, also while it is gone: it may come again."""
        async with Tasks() as tasks:
            watching: asyncio.Task[None] | None = None
            while True:
                await self._news.wait()
                self._news.clear()
                selector = self._wanted()
                if selector is None or selector == self._selector:
                    continue
                if watching is not None:
                    watching.cancel()
                pods = self._informer(PODS, selector, self._heard_pod)
                self._selector, self._pods = selector, pods
                watching = tasks.start(pods.run(), f"pods of {self._target}")

    def _wanted(self) -> Selector | None:
        found, _, _ = self._object()
        try:
            return None if found is None else pod_selector(self._target, found)
        except UserError:
            return None  # ``plan`` comes to the same end and says so

    async def _poll(self) -> None:
        """For those who may ``get`` the workload but not list it: kubectl needs no more."""
        target = self._target
        while True:
            await self._polls.wait()
            try:
                found = await self._client.get(target.resource, target.name, target.namespace)
                self._polled, self._poll_error = found, None
            except NotFound:
                self._polled, self._poll_error = None, None
            except FerrymanError as error:
                self._poll_error = error
            self._tell(urgent=False)
            await self._clock.sleep(POLL)

    def _informer(
        self, resource: Resource, selector: Selector, heard: Callable[[WatchEvent], None]
    ) -> Informer:
        informer = Informer(
            self._client, resource, self._target.namespace, selector, clock=self._clock
        )
        informer.subscribe(heard)
        informer.subscribe_health(self._health_changed)
        return informer

    def _heard(self, _: WatchEvent) -> None:
        self._tell(urgent=False)

    def _heard_pod(self, event: WatchEvent) -> None:
        if isinstance(event, Bookmark):
            return
        self._tell(urgent=isinstance(event, Deleted) or not usable(event.object))

    def _health_changed(self) -> None:
        if isinstance(self._itself.error, Forbidden):
            if not self._polls.is_set():
                self._poll_error = self._itself.error
                self._polls.set()
        elif self._itself.error is None:
            self._polls.clear()
        self._tell(urgent=False)

    def _tell(self, *, urgent: bool) -> None:
        self._news.set()
        self._changed(urgent)
