"""Watches: a JSON line per event, for as long as client and server like.

Errors come as an event of type ERROR, because the head of the answer has gone by then: Expired
(410) tells a client to list again. ``reading`` decides that a request is a watch; ``streaming``
ends it; the ``ObjectClient`` behind pulls from its history, so a slow client costs no memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from ferryman.api import codec
from ferryman.api.client import Added, Bookmark, Deleted, Modified, ObjectClient, WatchEvent
from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.apiserver.errors import as_api_error
from ferryman.apiserver.negotiation import JSON, Form
from ferryman.apiserver.parameters import ListOptions
from ferryman.apiserver.paths import Target
from ferryman.apiserver.streaming import Streaming
from ferryman.apiserver.tables import bookmark_table, partial_metadata, table
from ferryman.errors import FerrymanError
from ferryman.runtime.clock import Clock

INITIAL_END = "k8s.io/initial-events-end"

_LONGEST_SECONDS = 3600
_TYPES: dict[type[WatchEvent], str] = {
    Added: "ADDED",
    Modified: "MODIFIED",
    Deleted: "DELETED",
    Bookmark: "BOOKMARK",
}


def watch_response(
    client: ObjectClient, clock: Clock, target: Target, options: ListOptions, form: Form
) -> Streaming:
    """The answer to a watch."""
    timeout = min(options.timeout or _LONGEST_SECONDS, _LONGEST_SECONDS)
    lines = _lines(client, clock, target, options, form)
    return Streaming(lines, f"{JSON};stream=watch", timeout=timeout, clock=clock)


async def _lines(
    client: ObjectClient, clock: Clock, target: Target, options: ListOptions, form: Form
) -> AsyncGenerator[bytes, None]:
    # Without a version a watch begins with the present state, as it did before sendInitialEvents.
    unversioned = options.resource_version in ("", "0")
    events = client.watch(
        target.kind.resource,
        target.namespace,
        options.selector,
        resource_version="" if unversioned else options.resource_version,
        initial_events=options.initial_events or unversioned,
        bookmarks=options.bookmarks,
    )
    writer = _Writer(target.kind, clock, options, form)
    try:
        async with aclosing(cast("AsyncGenerator[WatchEvent, None]", events)):
            async for event in events:
                line = writer.line(event)
                if line:
                    yield line
    except FerrymanError as error:
        status = as_api_error(error).to_status()
        yield codec.to_json({"type": "ERROR", "object": status}) + b"\n"


class _Writer:
    """Writes events in one client's form; a table's header goes with the first one only."""

    def __init__(self, kind: Kind, clock: Clock, options: ListOptions, form: Form) -> None:
        self._kind = kind
        self._clock = clock
        self._options = options
        self._form = form
        self._header = True

    def line(self, event: WatchEvent) -> bytes:
        """A line of JSON, or nothing if the client did not ask for such an event."""
        if isinstance(event, Bookmark):
            unwanted = event.initial_end and not self._options.initial_events
            if unwanted or not self._options.bookmarks:
                return b""
            shown = self._bookmark(event)
        else:
            shown = self._object(event.object)
        return codec.to_json({"type": _TYPES[type(event)], "object": shown}) + b"\n"

    def _object(self, obj: Object) -> Object:
        match self._form.view:
            case "object":
                return obj
            case "metadata":
                return partial_metadata(obj, f"meta.k8s.io/{self._form.version}")
            case "table":
                header, self._header = self._header, False
                return table(
                    self._kind,
                    [obj],
                    self._clock.now(),
                    version=self._form.version,
                    include=self._options.include,
                    metadata={"resourceVersion": obj["metadata"].get("resourceVersion", "")},
                    header=header,
                )

    def _bookmark(self, bookmark: Bookmark) -> Object:
        metadata: dict[str, Any] = {"resourceVersion": bookmark.resource_version}
        if bookmark.initial_end:
            metadata["annotations"] = {INITIAL_END: "true"}
        resource = self._kind.resource
        obj: Object = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": metadata,
        }
        match self._form.view:
            case "object":
                return obj
            case "metadata":
                return partial_metadata(obj, f"meta.k8s.io/{self._form.version}")
            case "table":
                return bookmark_table(obj, version=self._form.version)
