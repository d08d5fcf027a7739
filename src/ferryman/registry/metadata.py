"""The rules of ``metadata``: names, labels, owners, finalizers, and what only a server sets; pure.

Source: apimachinery ``pkg/api/validation/objectmeta.go`` and apiserver ``registry/rest`` (1.36).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.api.status import BadRequest, Cause
from ferryman.api.validation import (
    bad,
    forbidden,
    label,
    label_value,
    qualified_name,
    required,
    subdomain,
    type_name,
)

SERVER_SET = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
)
"""What a client may read but not choose."""

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Of generated names: no vowels, so no words. Source: apimachinery ``util/rand``."""

SUFFIX_LENGTH = 5

_GENERATED_BASE = 63 - SUFFIX_LENGTH
_ANNOTATIONS_SIZE = 256 * 1024
_PLAIN_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")


def check_shape(kind: Kind, obj: Any) -> None:
    """See that it is an object of the kind with metadata, in place; raises BadRequest.

    A missing ``apiVersion`` or ``kind`` is filled in.
    """
    if not isinstance(obj, dict):
        raise BadRequest(f"an object expected, not {type_name(obj)}")
    for field, expected in (
        ("apiVersion", kind.resource.api_version),
        ("kind", kind.resource.kind),
    ):
        given = obj.setdefault(field, expected)
        if given != expected:
            raise BadRequest(
                f"the {field} in the data ({given}) does not match the expected {field} "
                f"({expected})"
            )
    meta = obj.get("metadata")
    if meta is None:
        meta = obj["metadata"] = {}
    if not isinstance(meta, dict):
        raise BadRequest(f"metadata must be an object, not {type_name(meta)}")
    for field in [field for field, value in meta.items() if value is None]:
        del meta[field]
    for field in ("name", "generateName", "namespace", "uid", "resourceVersion"):
        if not isinstance(meta.get(field, ""), str):
            raise BadRequest(f"metadata.{field} must be a string, not {type_name(meta[field])}")
    for field in ("labels", "annotations"):
        if meta.get(field) == {}:
            del meta[field]
    for field in ("finalizers", "ownerReferences"):
        if meta.get(field) == []:
            del meta[field]


def generated_name(base: str, suffix: str) -> str:
    """The name that ``generateName`` becomes."""
    return base[:_GENERATED_BASE] + suffix


def metadata_causes(kind: Kind, obj: Object) -> Iterator[Cause]:
    """What is wrong with an object's metadata; ``check_shape`` has passed."""
    meta = obj["metadata"]
    name = meta.get("name", "")
    if name:
        yield from subdomain("metadata.name", name)
    else:
        yield required("metadata.name", "name or generateName is required")
    if kind.resource.namespaced:
        if meta.get("namespace"):
            yield from label("metadata.namespace", meta["namespace"])
        else:
            yield required("metadata.namespace")
    elif meta.get("namespace"):
        yield forbidden("metadata.namespace", "not allowed on this type")
    yield from _label_causes(meta.get("labels", {}))
    yield from _annotation_causes(meta.get("annotations", {}))
    yield from _finalizer_causes(meta.get("finalizers", []))
    yield from _owner_causes(meta.get("ownerReferences", []))


def _label_causes(labels: Any) -> Iterator[Cause]:
    at = "metadata.labels"
    if not isinstance(labels, dict):
        yield bad(at, labels, "must be an object")
        return
    for key, value in labels.items():
        yield from qualified_name(at, key)
        if not isinstance(value, str):
            yield bad(f"{at}.{key}", value, "must be a string")
        else:
            yield from label_value(f"{at}.{key}", value)


def _annotation_causes(annotations: Any) -> Iterator[Cause]:
    at = "metadata.annotations"
    if not isinstance(annotations, dict):
        yield bad(at, annotations, "must be an object")
        return
    size = 0
    for key, value in annotations.items():
        yield from qualified_name(at, key.lower())
        if isinstance(value, str):
            size += len(key) + len(value)
        else:
            yield bad(f"{at}.{key}", value, "must be a string")
    if size > _ANNOTATIONS_SIZE:
        message = f"Too long: may not be more than {_ANNOTATIONS_SIZE} bytes"
        yield Cause(at, message, "FieldValueTooLong")


def _finalizer_causes(finalizers: Any) -> Iterator[Cause]:
    at = "metadata.finalizers"
    if not isinstance(finalizers, list):
        yield bad(at, finalizers, "must be a list")
        return
    for i, finalizer in enumerate(finalizers):
        if not isinstance(finalizer, str):
            yield bad(f"{at}[{i}]", finalizer, "must be a string")
        elif finalizer not in _PLAIN_FINALIZERS:
            yield from qualified_name(f"{at}[{i}]", finalizer)
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        yield bad(at, "orphan", "orphan and foregroundDeletion cannot be both set")


def _owner_causes(owners: Any) -> Iterator[Cause]:
    at = "metadata.ownerReferences"
    if not isinstance(owners, list):
        yield bad(at, owners, "must be a list")
        return
    controllers = 0
    for i, owner in enumerate(owners):
        if not isinstance(owner, dict):
            yield bad(f"{at}[{i}]", owner, "must be an object")
            continue
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field) or not isinstance(owner[field], str):
                yield required(f"{at}[{i}].{field}")
        controllers += owner.get("controller") is True
    if controllers > 1:
        yield bad(at, owners, "only one reference can have controller set to true")
