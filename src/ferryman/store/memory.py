"""The store: objects of every kind of a scheme in memory, which is the truth.

``registry`` says what a write makes of an object; here it gets its version, is kept, and goes
into the ``history`` that watches follow. One event loop, and no write awaits anything: each is
done or not done when a caller is cancelled. Kept objects are never changed, and never handed out
but as copies (a few microseconds for a pod).
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ferryman.api import codec
from ferryman.api.client import (
    Added,
    Bookmark,
    Deleted,
    Modified,
    ObjectList,
    PatchType,
    Preconditions,
    Propagation,
    Subresource,
    WatchEvent,
)
from ferryman.api.conditions import rfc3339
from ferryman.api.resource import Name, Object, Resource, name_of
from ferryman.api.scheme import Kind, Scheme
from ferryman.api.selectors import ALL, Selector
from ferryman.api.status import (
    BadRequest,
    Expired,
    NotFound,
    TooLarge,
    already_exists,
    not_found,
)
from ferryman.registry.deletion import check_preconditions, is_finished, prepare_delete
from ferryman.registry.metadata import SUFFIX_ALPHABET, SUFFIX_LENGTH
from ferryman.registry.patches import patched
from ferryman.registry.prepare import Stamp, prepare_create, prepare_status, prepare_update
from ferryman.registry.scale import from_scale, to_scale
from ferryman.runtime.clock import Clock
from ferryman.store.history import Change, History
from ferryman.store.paging import decode_token, encode_token

_LARGEST = 1536 * 1024
"""Bytes of an object as JSON; etcd's limit, which Kubernetes' users know."""

_DEEPEST = 100
"""Levels of nesting; what reads an object recursively must not run out of stack."""

_NAMES_TRIED = 8  # as Kubernetes does for generateName

_State = dict[str, dict[str, Object]]
"""Objects by namespace and name; the namespace of cluster-scoped ones is empty."""


class _Table:
    """The objects of one kind."""

    def __init__(self, kind: Kind, history: int, version: int) -> None:
        self.kind = kind
        self.state: _State = {}
        self.history = History(history, version)

    def get(self, name: str, namespace: str) -> Object:
        obj = self.state.get(namespace, {}).get(name)
        if obj is None:
            raise not_found(self.kind.resource, name)
        return obj

    def keep(self, change: Change) -> None:
        _put(self.state, change.name, change.new)
        self.history.append(change)

    def at(self, version: int, now: int) -> _State:
        """The state as of a version, by undoing what came after; Expired."""
        if version > now:
            raise Expired(f"resource version {version} is of another life of this store")
        begin = self.history.after(version)
        if begin == self.history.end:
            return self.state
        state = {namespace: dict(objects) for namespace, objects in self.state.items()}
        for place in range(self.history.end - 1, begin - 1, -1):
            change = self.history[place]
            _put(state, change.name, change.old)
        return state


class MemoryStore:
    """An ``ObjectClient`` on memory.

    ``history`` is how many changes of each kind watches may lag behind. Versions begin at the
    wall clock's milliseconds, so that a version of an earlier life is too old and never wrong.
    """

    def __init__(self, scheme: Scheme, clock: Clock, history: int = 4096) -> None:
        self._clock = clock
        self._version = int(clock.now().timestamp() * 1000)
        self._tables = {kind.resource: _Table(kind, history, self._version) for kind in scheme}
        self._bookmark_after = max(1, history // 4)

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        return _copy(self._table(resource).get(name, namespace))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        selector: Selector = ALL,
        *,
        limit: int = 0,
        continue_token: str = "",
    ) -> ObjectList:
        table = self._table(resource)
        version, after, state = self._version, Name("", ""), table.state
        if continue_token:
            version, after = decode_token(continue_token)
            state = table.at(version, self._version)
        start = (after.namespace, after.name)
        found: list[Object] = []
        chosen = _select(state, namespace, selector, start)
        for obj in chosen:
            if limit > 0 and len(found) == limit:
                rest = 1 + sum(1 for _ in chosen) if selector == ALL else None
                token = encode_token(version, name_of(found[-1]))
                return ObjectList(tuple(map(_copy, found)), str(version), token, rest)
            found.append(obj)
        return ObjectList(tuple(map(_copy, found)), str(version))

    async def create(
        self,
        resource: Resource,
        obj: Object,
        *,
        manager: str = "",  # noqa: ARG002  # the contract's; who wrote a field is not kept yet
        dry_run: bool = False,
    ) -> Object:
        table = self._table(resource)
        given = _checked(obj)
        for _ in range(_NAMES_TRIED):
            new = prepare_create(table.kind, _copy(given), self._stamp())
            name = name_of(new)
            if name.name not in table.state.get(name.namespace, {}):
                return _copy(self._write(table, name, None, new, dry_run))
            if given["metadata"].get("name"):
                break
        raise already_exists(resource, name.name)

    async def update(
        self,
        resource: Resource,
        obj: Object,
        *,
        subresource: Subresource = "",
        manager: str = "",  # noqa: ARG002  # as in create
        dry_run: bool = False,
    ) -> Object:
        table = self._table(resource)
        new = _checked(obj)
        name = _name_in(new)
        old = table.get(name.name, name.namespace)
        return self._replace(table, old, new, subresource, dry_run)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch_type: PatchType,
        body: Any,
        namespace: str = "",
        *,
        subresource: Subresource = "",
        manager: str = "",  # noqa: ARG002  # as in create
        force: bool = False,  # noqa: ARG002  # for "apply", which patched refuses
        dry_run: bool = False,
    ) -> Object:
        table = self._table(resource)
        body = _checked(body)
        old = table.get(name, namespace)
        document = to_scale(table.kind, old) if subresource == "scale" else old
        new = _checked(patched(table.kind, document, patch_type, body))
        return self._replace(table, old, new, subresource, dry_run)

    async def apply_status(
        self,
        resource: Resource,
        name: str,
        status: Object,
        namespace: str = "",
        *,
        manager: str,  # noqa: ARG002  # as in create
    ) -> Object:
        table = self._table(resource)
        old = table.get(name, namespace)
        return self._replace(table, old, {**old, "status": _checked(status)}, "status", False)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        preconditions: Preconditions = Preconditions(),  # noqa: B008  # frozen
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
        dry_run: bool = False,
    ) -> Object:
        table = self._table(resource)
        old = table.get(name, namespace)
        check_preconditions(table.kind, old, preconditions)
        new = prepare_delete(table.kind, old, propagation, grace_seconds, self._clock.now())
        if new is old:
            return _copy(old)
        return _copy(self._write(table, name_of(old), old, new, dry_run))

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        selector: Selector = ALL,
        *,
        resource_version: str = "",
        initial_events: bool = False,
        bookmarks: bool = False,
    ) -> AsyncIterator[WatchEvent]:
        """As the contract says; without a version (or with "0") the present state comes first.

        A bookmark follows whenever the watcher was spared a quarter of the history, so that it
        has a version to go on from.
        """
        table = self._table(resource)
        history = table.history
        place = history.end
        if initial_events or resource_version in ("", "0"):
            version = self._version
            for obj in list(_select(table.state, namespace, selector)):
                yield Added(_copy(obj))
            if initial_events:
                yield Bookmark(str(version), initial_end=True)
        else:
            place = self._place(table, resource_version)
        spared = 0
        while True:
            await history.beyond(place)
            change = history[place]
            place += 1
            event = _event(change, namespace, selector)
            spared = 0 if event else spared + 1
            if event:
                yield event
            elif bookmarks and spared >= self._bookmark_after:
                spared = 0
                yield Bookmark(str(change.version))

    def _table(self, resource: Resource) -> _Table:
        table = self._tables.get(resource)
        if table is None:
            raise NotFound("the server could not find the requested resource")
        return table

    def _place(self, table: _Table, resource_version: str) -> int:
        if not resource_version.isdecimal() or len(resource_version) > 20:
            raise BadRequest(f"invalid resource version: {resource_version[:100]!r}")
        if int(resource_version) > self._version:
            raise Expired(f"resource version {resource_version} is of another life of this store")
        return table.history.after(int(resource_version))

    def _stamp(self) -> Stamp:
        suffix = "".join(secrets.choice(SUFFIX_ALPHABET) for _ in range(SUFFIX_LENGTH))
        return Stamp(str(uuid.uuid4()), rfc3339(self._clock.now()), suffix)

    def _replace(
        self, table: _Table, old: Object, given: Object, subresource: Subresource, dry_run: bool
    ) -> Object:
        """Write what an update or a patch wants of ``old``; an equal object is not written."""
        kind = table.kind
        match subresource:
            case "":
                new = prepare_update(kind, old, given)
            case "status":
                new = prepare_status(kind, old, given)
            case "scale":
                new = prepare_update(kind, old, _copy(from_scale(kind, old, given)))
        if new is not old:
            gone = is_finished(kind, new)
            new = self._write(table, name_of(old), old, None if gone else new, dry_run)
        return to_scale(kind, _copy(new)) if subresource == "scale" else _copy(new)

    def _write(
        self, table: _Table, name: Name, old: Object | None, new: Object | None, dry_run: bool
    ) -> Object:
        """Keep a change, or a deletion if ``new`` is None; the object with its new version."""
        written = new if new is not None else old
        assert written is not None
        if new is not None:
            _check_size(new)
        if dry_run:
            return written
        self._version += 1
        written = _versioned(written, self._version)
        table.keep(Change(self._version, name, old, written if new is not None else None))
        return written


def _put(state: _State, name: Name, obj: Object | None) -> None:
    if obj is not None:
        state.setdefault(name.namespace, {})[name.name] = obj
        return
    objects = state.get(name.namespace, {})
    objects.pop(name.name, None)
    if not objects:
        state.pop(name.namespace, None)


def _select(
    state: _State, namespace: str, selector: Selector, after: tuple[str, str] = ("", "")
) -> Iterator[Object]:
    """Matching objects in order of namespace and name, beyond a place."""
    for space in sorted(state) if not namespace else [namespace]:
        if space < after[0]:
            continue
        objects = state.get(space, {})
        for name in sorted(objects):
            if (space, name) > after and selector.matches(objects[name]):
                yield objects[name]


def _event(change: Change, namespace: str, selector: Selector) -> WatchEvent | None:
    """What a change is to a watcher: objects come and go as they begin and cease to match."""
    if namespace and change.name.namespace != namespace:
        return None
    was = change.old is not None and selector.matches(change.old)
    if change.new is not None and selector.matches(change.new):
        return Modified(_copy(change.new)) if was else Added(_copy(change.new))
    if not was or change.old is None:
        return None
    return Deleted(_copy(_versioned(change.old, change.version)))


def _versioned(obj: Object, version: int) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}


def _copy(obj: Object) -> Object:
    copied: Object = codec.copy(obj)
    return copied


def _name_in(obj: Any) -> Name:
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    name = meta.get("name") if isinstance(meta, dict) else None
    namespace = meta.get("namespace") or "" if isinstance(meta, dict) else ""
    if not isinstance(name, str) or not name or not isinstance(namespace, str):
        raise BadRequest("an object with metadata.name expected")
    return Name(name, namespace)


def _checked(value: Any) -> Any:
    """A copy of what came in, as JSON has it; BadRequest, TooLarge."""
    return codec.from_json(_check_size(value))


def _check_size(value: Any) -> bytes:
    """Its JSON, unless that is too large or too deep."""
    data = codec.to_json(value)
    if len(data) > _LARGEST:
        raise TooLarge(f"Request entity too large: limit is {_LARGEST}, not {len(data)} bytes")
    _check_depth(value, _DEEPEST)
    return data


def _check_depth(value: Any, left: int) -> None:
    if not left:
        raise BadRequest(f"nested more than {_DEEPEST} levels deep")
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, (dict, list)):
                _check_depth(inner, left - 1)
