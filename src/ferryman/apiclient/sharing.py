"""Informers that several readers share: one for each kind and namespace of a cluster.

Fifty discoveries in a namespace are one watch of its pods. A reader leases an informer; the first
lease starts it, the last one to close stops it. ``informer`` does the watching.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ferryman.api.client import ObjectClient, WatchEvent
from ferryman.api.resource import Name, Object, Resource
from ferryman.apiclient.informer import Callback, Informer
from ferryman.errors import FerrymanError
from ferryman.runtime.clock import Clock
from ferryman.runtime.tasks import Tasks


class Lease:
    """A reader's share; what an Informer has to read. Close it, or the watch goes on for good."""

    def __init__(
        self, shared: _Shared, heard: Callback, health_changed: Callable[[], None]
    ) -> None:
        self._shared = shared
        self.heard = heard
        self.health_changed = health_changed

    @property
    def objects(self) -> Mapping[Name, Object]:
        """The objects as last seen. All readers share them: never change one."""
        return MappingProxyType(self._shared.informer.objects)

    @property
    def synced(self) -> bool:
        """Whether the cache has been filled; it may be out of date, see ``error``."""
        return self._shared.informer.synced.is_set()

    @property
    def error(self) -> FerrymanError | None:
        """Why the cache may be out of date now; None if it is not."""
        return self._shared.informer.error

    def suspect(self) -> None:
        """What is open may be dead: ask again, for all readers."""
        self._shared.informer.suspect()

    def close(self) -> None:
        """Read no more. Idempotent."""
        self._shared.release(self)


class _Shared:
    """One informer, its task, and who reads it."""

    def __init__(
        self, informer: Informer, task: asyncio.Task[None], ended: Callable[[], None]
    ) -> None:
        self.informer = informer
        self.leases: dict[Lease, None] = {}
        self._task = task
        self._ended = ended
        informer.subscribe(self._tell)
        informer.subscribe_health(self._tell_health)

    def release(self, lease: Lease) -> None:
        if self.leases.pop(lease, 0) is None and not self.leases:
            self._task.cancel()
            self._ended()

    def _tell(self, event: WatchEvent) -> None:
        for lease in tuple(self.leases):
            lease.heard(event)

    def _tell_health(self) -> None:
        for lease in tuple(self.leases):
            lease.health_changed()


class SharedInformers:
    """Those of one client; ``tasks`` runs them and ends them with its owner."""

    def __init__(self, client: ObjectClient, clock: Clock, tasks: Tasks) -> None:
        self._client = client
        self._clock = clock
        self._tasks = tasks
        self._shared: dict[tuple[Resource, str], _Shared] = {}

    def lease(
        self,
        resource: Resource,
        namespace: str,
        heard: Callback,
        health_changed: Callable[[], None],
    ) -> Lease:
        """Read a kind in a namespace; both are called back as by an Informer's subscriptions."""
        key = (resource, namespace)
        shared = self._shared.get(key)
        if shared is None:
            informer = Informer(self._client, resource, namespace, clock=self._clock)
            task = self._tasks.start(informer.run(), f"{resource} in {namespace or 'all'}")
            shared = _Shared(informer, task, lambda: self._forget(key))
            self._shared[key] = shared
        lease = Lease(shared, heard, health_changed)
        shared.leases[lease] = None
        return lease

    def suspect(self) -> None:
        """What is open may be dead (the machine slept): ask again."""
        for shared in self._shared.values():
            shared.informer.suspect()

    def _forget(self, key: tuple[Resource, str]) -> None:
        self._shared.pop(key, None)
