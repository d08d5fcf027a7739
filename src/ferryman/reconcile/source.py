"""Where requests come from: the events of an informer, or anything else that has news.

``apiclient.informer`` fulfils ``Informer`` over any ObjectClient. A mapping says which requests
an object concerns; it is asked for the object as it was, too, so that whoever it no longer
concerns hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from ferryman.api.client import Bookmark, Deleted, WatchEvent
from ferryman.api.resource import Name, Object, name_of
from ferryman.reconcile.request import Request

Add = Callable[[Request], None]
Mapper = Callable[[Object], Iterable[Request]]


class Informer(Protocol):
    """A cache of a kind's objects that is kept up to date."""

    @property
    def objects(self) -> Mapping[Name, Object]:
        """The objects as last seen; never to be changed."""
        ...

    @property
    def synced(self) -> asyncio.Event:
        """Set once the cache has been filled."""
        ...

    def subscribe(self, callback: Callable[[WatchEvent], None], /) -> None:
        """Call back for every event after it is in the cache."""
        ...

    async def run(self) -> None:
        """Keep the cache until cancelled."""
        ...


class Source(Protocol):
    """Anything that asks a controller to look at objects."""

    def start(self, add: Add) -> None:
        """From now on call ``add`` for every request; once per controller."""
        ...


def itself(obj: Object) -> Iterable[Request]:
    """The mapping of a controller's own kind."""
    return (name_of(obj),)


class Watching:
    """Requests for whatever an informer's objects concern."""

    def __init__(self, informer: Informer, requests: Mapper = itself) -> None:
        self._informer = informer
        self._requests = requests

    def start(self, add: Add) -> None:
        concerned: dict[Name, tuple[Request, ...]] = {}

        def note(name: Name, now: tuple[Request, ...]) -> None:
            before = concerned.pop(name, ())
            if now:
                concerned[name] = now
            for request in dict.fromkeys((*before, *now)):
                add(request)

        def hear(event: WatchEvent) -> None:
            if isinstance(event, Bookmark):
                return
            requests = tuple(self._requests(event.object))
            note(name_of(event.object), requests)
            if isinstance(event, Deleted):
                concerned.pop(name_of(event.object), None)

        for name, obj in self._informer.objects.items():
            note(name, tuple(self._requests(obj)))
        self._informer.subscribe(hear)


class News:
    """Requests by whoever calls ``request``: a data plane's events, a probe, a timer."""

    def __init__(self) -> None:
        self._adds: list[Add] = []
        self._early: dict[Request, None] = {}

    def start(self, add: Add) -> None:
        self._adds.append(add)
        for request in self._early:
            add(request)
        self._early.clear()

    def request(self, request: Request) -> None:
        """Ask for a look at an object; on the event loop's thread only."""
        if not self._adds:
            self._early[request] = None
        for add in self._adds:
            add(request)
