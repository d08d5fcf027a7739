"""A cache of one kind's objects that a watch keeps up to date.

List, then watch from the list's version; bookmarks move the version on. When the watch ends, watch
again from there; when the server's history is too short for that, list again and tell what
changed meanwhile, deletions too. After a failure wait a little (50 ms to 5 s, or as long as the
server asks for), unless ``kick`` says that now is a good time. Works on any ``ObjectClient``.
Semantics: client-go's reflector and shared informer (1.36).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import cast

from ferryman.api.client import Added, Bookmark, Deleted, Modified, ObjectClient, WatchEvent
from ferryman.api.resource import Name, Object, Resource, name_of
from ferryman.api.selectors import ALL, Selector
from ferryman.api.status import ApiError, Expired
from ferryman.errors import FerrymanError, Unavailable
from ferryman.runtime.backoff import Backoff
from ferryman.runtime.clock import Clock, SystemClock

_PAGE = 500
_LONGEST_WAIT = 30.0
_LONGEST_BACKOFF = 0.6  # that trouble is over shows within a second; a server may ask for more
_SHORT_WATCH = 1.0
"""A watch that ends within so many seconds, without news, counts as a failure: else a server that
hangs up at once would be asked in a tight loop."""

Callback = Callable[[WatchEvent], None]


class Informer:
    """Run it with ``run``; everything else may be used at any time, on the same event loop.

    ``selector`` may name a single object (``metadata.name=x``).
    """

    def __init__(
        self,
        client: ObjectClient,
        resource: Resource,
        namespace: str = "",
        selector: Selector = ALL,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        """Set once the cache has been filled; it may be out of date later, see ``error``."""
        self.attempted = asyncio.Event()
        """Set once the first attempt to fill it has ended, well or not."""
        self._client = client
        self._namespace = namespace
        self._selector = selector
        self._clock = clock or SystemClock()
        self._backoff = backoff or Backoff(most=_LONGEST_BACKOFF)
        self._objects: dict[Name, Object] = {}
        self._version = ""
        self._error: FerrymanError | None = None
        self._callbacks: list[Callback] = []
        self._health_callbacks: list[Callable[[], None]] = []
        self._attempt: asyncio.Timeout | None = None
        self._wait: asyncio.Timeout | None = None

    @property
    def objects(self) -> Mapping[Name, Object]:
        """The objects as last seen. All readers share them: never change one."""
        return MappingProxyType(self._objects)

    @property
    def error(self) -> FerrymanError | None:
        """Why the cache may be out of date now, as the last attempt told it; None if it is not."""
        return self._error

    @property
    def healthy(self) -> bool:
        """Whether the cache is filled and, as far as can be known, up to date."""
        return self._error is None and self.synced.is_set()

    def subscribe(self, callback: Callback) -> None:
        """Call back for every later change, in order, after it is in the cache.

        Never a Bookmark; what is in the cache already is not told. A callback must not raise.
        """
        self._callbacks.append(callback)

    def unsubscribe(self, callback: Callback) -> None:
        """Call it back no more."""
        self._callbacks.remove(callback)

    def subscribe_health(self, callback: Callable[[], None]) -> None:
        """Call back whenever ``error`` or ``healthy`` has changed."""
        self._health_callbacks.append(callback)

    def kick(self) -> None:
        """Try again now, if this is waiting after a failure: the network may be back."""
        wait, self._wait = self._wait, None
        if wait is not None:
            wait.reschedule(asyncio.get_running_loop().time())

    def suspect(self) -> None:
        """What is open may be dead (the machine slept): ask again from where the cache is."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.reschedule(asyncio.get_running_loop().time())
        self.kick()

    async def run(self) -> None:
        """Keep the cache up to date until cancelled. Any FerrymanError is tried again."""
        while True:
            wait = 0.0
            self._attempt = attempt = asyncio.timeout(None)
            try:
                async with attempt:
                    if not self._version:
                        await self._list()
                    worthwhile = await self._watch()
                    wait = 0.0 if worthwhile else self._backoff.next()
            except TimeoutError:
                if not attempt.expired():  # else it was ``suspect``
                    raise
            except Expired:
                self._version = ""
                wait = self._backoff.next()
            except FerrymanError as error:
                self._set_error(error)
                wait = max(self._backoff.next(), _asked_to_wait(error))
            finally:
                self._attempt = None
            if wait:
                await self._pause(wait)

    async def _list(self) -> None:
        try:
            objects, version = await self._pages(_PAGE)
        except Expired:  # too much changed between two pages; in one piece it cannot
            objects, version = await self._pages(0)
        self._version = version
        self._catch_up(objects)
        self.synced.set()
        self._set_error(None)

    async def _pages(self, limit: int) -> tuple[dict[Name, Object], str]:
        found: dict[Name, Object] = {}
        token = ""
        while True:
            page = await self._client.list(
                self.resource, self._namespace, self._selector, limit=limit, continue_token=token
            )
            found.update((name_of(obj), obj) for obj in page.items)
            token = page.continue_token
            if not token:
                return found, page.resource_version

    def _catch_up(self, listed: Mapping[Name, Object]) -> None:
        """Make the cache what was listed, one told change at a time, deletions first."""
        for name, old in list(self._objects.items()):
            new = listed.get(name)
            if new is None or _uid(new) != _uid(old):
                del self._objects[name]
                self._tell(Deleted(old))
        for name, new in listed.items():
            self._put(name, new)

    async def _watch(self) -> bool:
        """Follow until the server ends it; whether it lasted, or told anything."""
        began, version, followed = self._clock.monotonic(), self._version, False
        events = self._client.watch(
            self.resource,
            self._namespace,
            self._selector,
            resource_version=self._version,
            bookmarks=True,
        )
        try:
            async with aclosing(cast(AsyncGenerator[WatchEvent, None], events)):
                async for event in events:
                    followed = True
                    self._set_error(None)
                    self._take(event)
        except Unavailable:
            # A proxy that closes what is silent, a server that restarts: not the end of the world
            # unless the next attempt fails too.
            if not followed or self._clock.monotonic() - began < _SHORT_WATCH:
                raise
        return self._version != version or self._clock.monotonic() - began >= _SHORT_WATCH

    def _take(self, event: WatchEvent) -> None:
        """Bring the cache up to date and tell; tolerant of what is known already."""
        if isinstance(event, Bookmark):
            self._version = event.resource_version or self._version
            return
        self._backoff.reset()
        self._version = _version(event.object) or self._version
        name, obj = name_of(event.object), event.object
        known = self._objects.get(name)
        if isinstance(event, Deleted):
            if known is not None:
                del self._objects[name]
                self._tell(event)
            return
        if known is not None and _uid(known) != _uid(obj):
            del self._objects[name]
            self._tell(Deleted(known))
        self._put(name, obj)

    def _put(self, name: Name, obj: Object) -> None:
        """Keep and tell an object, unless it is known in this version."""
        known = self._objects.get(name)
        if known is None or _version(known) != _version(obj):
            self._objects[name] = obj
            self._tell(Added(obj) if known is None else Modified(obj))

    def _tell(self, event: WatchEvent) -> None:
        for callback in tuple(self._callbacks):
            callback(event)

    def _set_error(self, error: FerrymanError | None) -> None:
        first, before = not self.attempted.is_set(), self._error
        self._error = error
        self.attempted.set()
        if first or str(before or "") != str(error or ""):
            for callback in tuple(self._health_callbacks):
                callback()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(None) as self._wait:
                await self._clock.sleep(seconds)
        except TimeoutError:
            pass  # ``kick``
        finally:
            self._wait = None


def _uid(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))


def _asked_to_wait(error: FerrymanError) -> float:
    """Seconds that the server asked for (Retry-After), within reason."""
    asked = error.details.get("retryAfterSeconds") if isinstance(error, ApiError) else None
    return min(float(asked), _LONGEST_WAIT) if isinstance(asked, int | float) else 0.0
