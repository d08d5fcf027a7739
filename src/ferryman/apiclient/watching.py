"""A watch's answer, from JSON lines to events; sans-IO.

Source: Kubernetes API concepts, "Efficient detection of changes" and "Watch bookmarks".
"""

from __future__ import annotations

from typing import Any

from ferryman.api.client import Added, Bookmark, Deleted, Modified, WatchEvent
from ferryman.api.codec import from_json
from ferryman.api.resource import Object
from ferryman.api.status import BadRequest, from_status
from ferryman.errors import PeerError

_LARGEST_EVENT = 16 << 20
_INITIAL_END = "k8s.io/initial-events-end"


class WatchDecoder:
    """Takes parts of the body as they come."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0

    def receive(self, part: bytes) -> list[WatchEvent]:
        """The events that are whole now.

        Raises PeerError for what is no event; for an event of type ERROR what its Status means,
        which is Expired if the history does not reach back far enough.
        """
        self._rest += part
        events: list[WatchEvent] = []
        start = 0
        while (end := self._rest.find(b"\n", max(start, self._searched))) >= 0:
            line = bytes(self._rest[start:end])
            start = end + 1
            if line.strip():
                events.append(_event(line))
        del self._rest[:start]
        self._searched = len(self._rest)
        if self._searched > _LARGEST_EVENT:
            raise PeerError("an event of the watch is larger than any object can be")
        return events


def _event(line: bytes) -> WatchEvent:
    try:
        said = from_json(line)
    except BadRequest as cause:
        raise PeerError(f"the watch sent no event: {cause.message}") from cause
    kind, obj = (said.get("type"), said.get("object")) if isinstance(said, dict) else (None, None)
    if not isinstance(obj, dict):
        raise PeerError("the watch sent an event without an object")
    if kind == "ERROR":
        code = obj.get("code")
        raise from_status(code if isinstance(code, int) else 500, obj)
    if kind == "BOOKMARK":
        meta = _mapping(obj.get("metadata"))
        ends = _mapping(meta.get("annotations")).get(_INITIAL_END) == "true"
        return Bookmark(str(meta.get("resourceVersion", "")), ends)
    check_object(obj)
    match kind:
        case "ADDED":
            return Added(obj)
        case "MODIFIED":
            return Modified(obj)
        case "DELETED":
            return Deleted(obj)
        case _:
            raise PeerError(f"the watch sent an event of an unknown type: {kind!r}")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def check_object(obj: Any) -> Object:
    """The object, if it has a name; everything above relies on that. Raises PeerError."""
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str):
        raise PeerError("the server sent something that is no object: it has no name")
    namespace = meta.get("namespace", "")
    if not isinstance(namespace, str):
        raise PeerError("the server sent an object whose namespace is no text")
    found: Object = obj
    return found
