"""Records events: what happened to an object, for ``kubectl describe`` and ``kubectl events``.

The same event again counts up instead of being new. Only so many are kept; the oldest go first.
An event that cannot be written is no reason for its subject to fail.
"""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Struct

from ferryman.api.client import ObjectClient
from ferryman.api.conditions import rfc3339
from ferryman.api.kinds.event import EVENTS
from ferryman.api.resource import Object
from ferryman.api.status import ApiError
from ferryman.runtime.clock import Clock

MOST_EVENTS = 500

_Key = tuple[str, str, str]


class _Recorded(Struct):
    name: str
    namespace: str
    count: int = 1


class Recorder:
    """Writes events for one cluster."""

    def __init__(self, client: ObjectClient, clock: Clock, host: str) -> None:
        self._client = client
        self._clock = clock
        self._host = host
        self._last = 0
        self._recorded: OrderedDict[_Key, _Recorded] = OrderedDict()

    async def record(
        self, component: str, obj: Object, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Say that something happened to an object; ``reason`` is CamelCase."""
        meta = obj["metadata"]
        key = (str(meta.get("uid", "")), reason, message)
        known = self._recorded.get(key)
        try:
            if known is not None:
                await self._again(key, known)
            else:
                await self._first(key, component, obj, reason, message, warning)
        except ApiError:
            self._recorded.pop(key, None)

    async def _again(self, key: _Key, known: _Recorded) -> None:
        known.count += 1
        self._recorded.move_to_end(key)
        stamp = rfc3339(self._clock.now())
        change = {"count": known.count, "lastTimestamp": stamp}
        await self._client.patch(EVENTS, known.name, "merge", change, known.namespace)

    async def _first(
        self, key: _Key, component: str, obj: Object, reason: str, message: str, warning: bool
    ) -> None:
        meta = obj["metadata"]
        namespace = meta.get("namespace") or "default"
        now = self._clock.now()
        self._last = max(self._last + 1, int(now.timestamp() * 1e9))
        name = f"{meta['name']}.{self._last:x}"  # in order of time, as kubectl lists names
        stamp = rfc3339(now)
        self._recorded[key] = _Recorded(name, namespace)
        await self._client.create(
            EVENTS,
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": namespace},
                "involvedObject": {
                    "apiVersion": obj.get("apiVersion", ""),
                    "kind": obj.get("kind", ""),
                    "name": meta["name"],
                    "namespace": meta.get("namespace", ""),
                    "uid": meta.get("uid", ""),
                    "resourceVersion": meta.get("resourceVersion", ""),
                },
                "reason": reason,
                "message": message,
                "type": "Warning" if warning else "Normal",
                "source": {"component": component, "host": self._host},
                "reportingComponent": component,
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
                "count": 1,
            },
        )
        while len(self._recorded) > MOST_EVENTS:
            _, oldest = self._recorded.popitem(last=False)
            await self._client.delete(EVENTS, oldest.name, oldest.namespace)
