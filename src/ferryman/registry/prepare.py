"""What a write makes of an object: pure functions from (kind, old, new) to what is kept.

The store calls one of them inside every write, whoever writes, so no write by-passes defaults,
validation and generation. They take over the new object and may change it in place; the old one
is never touched. ``deletion`` decides about deletes, ``patches`` turn patches into new objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from msgspec import Struct

from ferryman.api import codec
from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.api.status import BadRequest, Cause, NotFound, invalid, stale
from ferryman.api.validation import forbidden, required
from ferryman.registry import structural
from ferryman.registry.metadata import (
    SERVER_SET,
    check_shape,
    generated_name,
    metadata_causes,
)

_MOST_CAUSES = 100
"""Enough for any person; an answer must not grow with what a hostile client sends."""


class Stamp(Struct, frozen=True):
    """What a new object gets from the world: a uid, the time (RFC 3339), a random suffix."""

    uid: str
    now: str
    suffix: str


def prepare_create(kind: Kind, obj: Any, stamp: Stamp) -> Object:
    """The object to keep; raises BadRequest, Invalid with every cause."""
    check_shape(kind, obj)
    meta = obj["metadata"]
    if meta.pop("resourceVersion", ""):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    for field in (*SERVER_SET, "managedFields"):
        meta.pop(field, None)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = generated_name(meta["generateName"], stamp.suffix)
    if "status" in kind.subresources:
        obj.pop("status", None)
    _settle(kind, obj)
    meta["uid"] = stamp.uid
    meta["creationTimestamp"] = stamp.now
    if _has_generation(kind, obj):
        meta["generation"] = 1
    return _ordered(obj)


def prepare_update(kind: Kind, old: Object, new: Any) -> Object:
    """The object to keep, or ``old`` itself if nothing changes.

    Raises BadRequest, Invalid with every cause, StaleVersion if ``new`` is not based on ``old``.
    """
    check_shape(kind, new)
    _check_based_on(kind, old, new)
    _keep_server_set(old, new)
    if "status" in kind.subresources:
        new.pop("status", None)
        if "status" in old:
            new["status"] = codec.copy(old["status"])
    _settle(kind, new, _new_finalizers(old, new))
    if _has_generation(kind, new):
        changed = _desired(old) != _desired(new)
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + changed
    return old if new == old else _ordered(new)


def prepare_status(kind: Kind, old: Object, new: Any) -> Object:
    """The old object with the new one's status, or ``old`` itself if that is equal.

    Raises as ``prepare_update``; NotFound if the kind has no status of its own.
    """
    if "status" not in kind.subresources:
        raise NotFound("the server could not find the requested resource")
    check_shape(kind, new)
    _check_based_on(kind, old, new)
    kept = {key: value for key, value in old.items() if key != "status"}
    if new.get("status") is not None:
        kept["status"] = new["status"]
        schema = kind.schema.get("properties", {}).get("status", {})
        structural.complete(schema, kept["status"])
        _refuse(kind, kept, structural.causes(schema, kept["status"], "status"))
    return old if kept == old else kept


def _check_based_on(kind: Kind, old: Object, new: Object) -> None:
    meta, was = new["metadata"], old["metadata"]
    version = meta.get("resourceVersion", "")
    if not version:
        cause = required("metadata.resourceVersion", "must be specified for an update")
        raise invalid(kind.resource, was["name"], [cause])
    if meta.get("uid", was["uid"]) != was["uid"]:
        why = f"Precondition failed: UID in precondition: {meta['uid']}, in object meta: "
        raise stale(kind.resource, was["name"], why + was["uid"])
    if version != was["resourceVersion"]:
        raise stale(kind.resource, was["name"])


def _keep_server_set(old: Object, new: Object) -> None:
    meta, was = new["metadata"], old["metadata"]
    for field in (*SERVER_SET, "managedFields", "name", "namespace"):
        if field in was:
            meta[field] = was[field]
        else:
            meta.pop(field, None)


def _new_finalizers(old: Object, new: Object) -> list[Cause]:
    if "deletionTimestamp" not in old["metadata"]:
        return []
    finalizers = new["metadata"].get("finalizers", [])
    added = [f for f in finalizers if f not in old["metadata"].get("finalizers", [])]
    why = "no new finalizers can be added if the object is being deleted"
    return [forbidden("metadata.finalizers", why)] if added else []


def _settle(kind: Kind, obj: Object, more: Iterable[Cause] = ()) -> None:
    """Defaults and rules: the schema's first, so that a kind's own may trust the types."""
    structural.complete(kind.schema, obj)
    found = [*more, *islice(metadata_causes(kind, obj), _MOST_CAUSES)]
    _refuse(kind, obj, [*found, *_body_causes(kind, obj)])
    kind.default(obj)
    _refuse(kind, obj, kind.validate(obj))


def _body_causes(kind: Kind, obj: Object) -> Iterable[Cause]:
    body = {key: value for key, value in obj.items() if key != "metadata"}
    schema = kind.schema
    if "required" in schema:
        schema = {**schema, "required": [r for r in schema["required"] if r != "metadata"]}
    return islice(structural.causes(schema, body), _MOST_CAUSES)


def _refuse(kind: Kind, obj: Object, causes: Iterable[Cause]) -> None:
    found = list(islice(causes, _MOST_CAUSES))
    if found:
        meta = obj["metadata"]
        raise invalid(kind.resource, meta.get("name") or meta.get("generateName", ""), found)


def _has_generation(kind: Kind, obj: Object) -> bool:
    return "spec" in obj or "spec" in kind.schema.get("properties", {})


def _desired(obj: Object) -> Object:
    """What a generation counts changes of: all but metadata and status."""
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def _ordered(obj: Object) -> Object:
    """In the order in which people expect to read it."""
    first = [key for key in ("apiVersion", "kind", "metadata") if key in obj]
    last = [key for key in ("status",) if key in obj]
    middle = [key for key in obj if key not in first and key not in last]
    return {key: obj[key] for key in (*first, *middle, *last)}
