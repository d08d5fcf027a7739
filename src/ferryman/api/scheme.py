"""What a kind is like, and the set of kinds that a server or a client knows.

A ``Kind`` is data and pure functions: ``registry`` calls ``default`` and ``validate`` at every
write, ``apiserver`` renders ``columns`` and serves ``schema``. Merge keys for strategic patches and
server-side apply come from the schema's ``x-kubernetes-*`` extensions, so they are said once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from ferryman.api.resource import Object, Resource
from ferryman.api.status import Cause
from ferryman.errors import UserError


class Column(Struct, frozen=True):
    """A column of ``kubectl get``: ``cell`` gets the object and the time, and returns the text.

    ``wide`` columns show with ``-o wide`` only. ``kind`` is the OpenAPI type.
    """

    name: str
    cell: Callable[[Object, datetime], str | int]
    wide: bool = False
    kind: str = "string"
    description: str = ""


def _nothing(_: Object) -> None:
    return None


def _no_cause(_: Object) -> Iterable[Cause]:
    return ()


class Kind(Struct, frozen=True, kw_only=True):
    """One kind: its names, its rules, how it is shown.

    ``default`` fills in, in place, what a new or changed object leaves out; ``validate`` yields
    every cause. ``schema`` is the OpenAPI v3 schema of the object. Kinds with "status" in
    ``subresources`` keep the status that a plain write brings out of the store, and the reverse.
    ``selectable_fields`` are what a field selector may name beside name and namespace.
    ``graceful`` kinds (pods) stay, marked as deleting, until their keeper deletes them with grace
    period 0.
    """

    resource: Resource
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset({"status"})
    selectable_fields: frozenset[str] = frozenset()
    columns: tuple[Column, ...] = ()
    schema: Object = field(default_factory=dict)
    default: Callable[[Object], None] = _nothing
    validate: Callable[[Object], Iterable[Cause]] = _no_cause
    graceful: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that a person may call it by, lower case."""
        singular = self.singular or self.resource.kind.lower()
        return (self.resource.plural, singular, *self.short_names)


class Scheme:
    """The kinds that somebody knows; immutable once built."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = {kind.resource: kind for kind in kinds}
        self._by_plural = {(r.group, r.version, r.plural): kind for r, kind in self._kinds.items()}
        self._by_kind = {(r.api_version, r.kind): kind for r, kind in self._kinds.items()}

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds.values())

    def __getitem__(self, resource: Resource) -> Kind:
        return self._kinds[resource]

    def by_plural(self, group: str, version: str, plural: str) -> Kind | None:
        """The kind behind a path such as ``/apis/apps/v1/deployments``."""
        return self._by_plural.get((group, version, plural))

    def of(self, obj: dict[str, Any]) -> Kind:
        """The kind of an object, by its ``apiVersion`` and ``kind``; UserError if unknown."""
        api_version, kind = str(obj.get("apiVersion", "")), str(obj.get("kind", ""))
        found = self._by_kind.get((api_version, kind))
        if found is None:
            raise UserError(f'no matches for kind "{kind}" in version "{api_version}"')
        return found
