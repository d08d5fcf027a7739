"""Informers that several readers share, so that fifty forwards in a namespace are not a hundred
watches.

A reader leases a kind in a namespace, perhaps only what a selector selects. The first ``NARROW``
selections are watched each by itself, because a namespace may be huge and they small; the ones
after that read one watch of the whole namespace, and so does everybody else who finds one there.
Who may not read all of a namespace goes on with narrow ones. The first lease starts an informer,
the last one to close stops it. ``informer`` does the watching.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ferryman.api.client import Added, Bookmark, Deleted, Modified, ObjectClient, WatchEvent
from ferryman.api.resource import Name, Object, Resource, name_of
from ferryman.api.selectors import ALL, Selector
from ferryman.api.status import Forbidden
from ferryman.apiclient.informer import Callback, Informer
from ferryman.errors import FerrymanError
from ferryman.runtime.clock import Clock
from ferryman.runtime.tasks import Tasks

NARROW = 4
"""How many selections of a kind in a namespace have watches of their own."""

_Key = tuple[Resource, str, Selector]


class Lease:
    """A reader's share; what an Informer has to read. Close it, or the watch goes on for good."""

    def __init__(
        self, selector: Selector, heard: Callback, health_changed: Callable[[], None]
    ) -> None:
        self.selector = selector
        self._heard = heard
        self._health_changed = health_changed
        self._shared: _Shared | None = None
        self._selected: dict[Name, Object] | None = None  # of an informer that has more

    @property
    def objects(self) -> Mapping[Name, Object]:
        """The objects as last seen. All readers share them: never change one."""
        if self._selected is not None:
            return MappingProxyType(self._selected)
        return self._shared.informer.objects if self._shared is not None else {}

    @property
    def synced(self) -> bool:
        """Whether the cache has been filled; it may be out of date, see ``error``."""
        return self._shared is not None and self._shared.informer.synced.is_set()

    @property
    def error(self) -> FerrymanError | None:
        """Why the cache may be out of date now; None if it is not."""
        return self._shared.informer.error if self._shared is not None else None

    def suspect(self) -> None:
        """What is open may be dead: ask again, for all readers."""
        if self._shared is not None:
            self._shared.informer.suspect()

    def close(self) -> None:
        """Read no more; what was seen last can still be asked for. Idempotent."""
        if self._shared is not None:
            self._shared.release(self)

    # -- for ``_Shared`` --

    def read(self, shared: _Shared) -> None:
        """From now on from there; what is there already is not told."""
        self._shared, self._selected = shared, None
        if shared.selector != self.selector:
            selected = self.selector.matches
            self._selected = {
                name: obj for name, obj in shared.informer.objects.items() if selected(obj)
            }

    def tell(self, event: WatchEvent) -> None:
        """As a watch of the selection would: what is selected no more is Deleted."""
        if self._selected is not None and not isinstance(event, Bookmark):
            name = name_of(event.object)
            known = self._selected.pop(name, None)
            if not isinstance(event, Deleted) and self.selector.matches(event.object):
                self._selected[name] = event.object
                event = Added(event.object) if known is None else Modified(event.object)
            elif known is None:
                return
            elif not isinstance(event, Deleted):
                event = Deleted(known)  # as it was when it was selected, as from a server
        self._heard(event)

    def tell_health(self) -> None:
        self._health_changed()


class _Shared:
    """One informer, its task, and who reads it. ``refused`` is called when it may not read."""

    def __init__(
        self,
        selector: Selector,
        informer: Informer,
        task: asyncio.Task[None],
        ended: Callable[[], None],
        refused: Callable[[], None],
    ) -> None:
        self.selector = selector
        self.informer = informer
        self.leases: dict[Lease, None] = {}
        self._task = task
        self._ended = ended
        self._refused = refused
        informer.subscribe(self._tell)
        informer.subscribe_health(self._tell_health)

    def add(self, lease: Lease) -> None:
        self.leases[lease] = None
        lease.read(self)

    def release(self, lease: Lease) -> None:
        if self.leases.pop(lease, 0) is None and not self.leases:
            self._task.cancel()
            self._ended()

    def _tell(self, event: WatchEvent) -> None:
        for lease in tuple(self.leases):
            lease.tell(event)

    def _tell_health(self) -> None:
        if isinstance(self.informer.error, Forbidden):
            self._refused()
        for lease in tuple(self.leases):
            lease.tell_health()


class SharedInformers:
    """Those of one ``client``; ``tasks`` runs them and ends them with its owner."""

    def __init__(self, client: ObjectClient, clock: Clock, tasks: Tasks) -> None:
        self.client = client
        self._clock = clock
        self._tasks = tasks
        self._shared: dict[_Key, _Shared] = {}
        self._refused: set[tuple[Resource, str]] = set()

    def lease(
        self,
        resource: Resource,
        namespace: str,
        heard: Callback,
        health_changed: Callable[[], None],
        selector: Selector = ALL,
    ) -> Lease:
        """Read a kind in a namespace; both are called back as by an Informer's subscriptions.

        What others read already may be there at once, and is not told.
        """
        lease = Lease(selector, heard, health_changed)
        self._find(resource, namespace, selector).add(lease)
        return lease

    def suspect(self) -> None:
        """What is open may be dead (the machine slept): ask again."""
        for shared in self._shared.values():
            shared.informer.suspect()

    def _find(self, resource: Resource, namespace: str, selector: Selector) -> _Shared:
        if (resource, namespace) not in self._refused:
            own = (resource, namespace, selector) in self._shared
            siblings = sum(key[:2] == (resource, namespace) for key in self._shared)
            wide = (resource, namespace, ALL) in self._shared
            if wide or (siblings >= NARROW and not own):
                selector = ALL
        key = (resource, namespace, selector)
        return self._shared.get(key) or self._start(key)

    def _start(self, key: _Key) -> _Shared:
        resource, namespace, selector = key
        informer = Informer(self.client, resource, namespace, selector, clock=self._clock)
        task = self._tasks.start(informer.run(), f"{resource} in {namespace or 'all'}")
        shared = self._shared[key] = _Shared(
            selector, informer, task, lambda: self._forget(key), lambda: self._narrow(key)
        )
        return shared

    def _narrow(self, key: _Key) -> None:
        """All of a namespace may not be read: who wants less of it asks for no more than that."""
        resource, namespace, selector = key
        if selector != ALL:
            return
        self._refused.add((resource, namespace))
        for lease in [one for one in self._shared[key].leases if one.selector != ALL]:
            self._shared[key].release(lease)
            self._find(resource, namespace, lease.selector).add(lease)

    def _forget(self, key: _Key) -> None:
        self._shared.pop(key, None)
