"""OpenAPI v3 schemas out of structs, in the structural form that Kubernetes asks of CRDs; pure.

A kind's struct says types, defaults, enums and limits once; ``msgspec.Meta`` adds descriptions
and the ``x-kubernetes-*`` extensions. What comes out has no references and no unions but
int-or-string. ``registry.structural`` applies it to objects, ``apiserver`` serves it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ferryman.api.resource import Resource

_STRING = {"type": "string"}
_STRINGS = {"type": "object", "additionalProperties": _STRING}
OBJECT_META: dict[str, Any] = {
    "type": "object",
    "description": "Standard object's metadata.",
    "properties": {
        "name": _STRING,
        "generateName": _STRING,
        "namespace": _STRING,
        "selfLink": _STRING,
        "uid": _STRING,
        "resourceVersion": _STRING,
        "generation": {"type": "integer", "format": "int64"},
        "creationTimestamp": {"type": "string", "format": "date-time"},
        "deletionTimestamp": {"type": "string", "format": "date-time"},
        "deletionGracePeriodSeconds": {"type": "integer", "format": "int64"},
        "labels": _STRINGS,
        "annotations": _STRINGS,
        "finalizers": {
            "type": "array",
            "items": _STRING,
            "x-kubernetes-list-type": "set",
            "x-kubernetes-patch-strategy": "merge",
        },
        "ownerReferences": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "x-kubernetes-patch-strategy": "merge",
            "x-kubernetes-patch-merge-key": "uid",
            "items": {
                "type": "object",
                "required": ["apiVersion", "kind", "name", "uid"],
                "properties": {
                    "apiVersion": _STRING,
                    "kind": _STRING,
                    "name": _STRING,
                    "uid": _STRING,
                    "controller": {"type": "boolean"},
                    "blockOwnerDeletion": {"type": "boolean"},
                },
            },
        },
        "managedFields": {
            "type": "array",
            "x-kubernetes-list-type": "atomic",
            "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    },
}
"""``metav1.ObjectMeta``; the same for every kind."""


def object_schema(
    resource: Resource, spec: type[Struct], status: type[Struct], description: str = ""
) -> dict[str, Any]:
    """The schema of a kind's objects from the structs of its spec and its status."""
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "enum": [resource.api_version]},
            "kind": {"type": "string", "enum": [resource.kind]},
            "metadata": OBJECT_META,
            "spec": schema_of(spec),
            "status": schema_of(status, defaults=False),
        },
        "x-kubernetes-group-version-kind": [
            {"group": resource.group, "version": resource.version, "kind": resource.kind}
        ],
    }


def schema_of(struct: type[Struct], *, defaults: bool = True) -> dict[str, Any]:
    """The structural schema of a struct; empty defaults are left out, as objects do."""
    schema = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(struct)))
    definitions = schema.pop("$defs", {})
    return _inline(schema, definitions, defaults)


def _inline(node: dict[str, Any], definitions: dict[str, Any], defaults: bool) -> dict[str, Any]:
    if "anyOf" in node:
        node = _without_union(node)
    if "$ref" in node:
        beside = {k: v for k, v in node.items() if k != "$ref"}
        node = {**definitions[node["$ref"].rpartition("/")[2]], **beside}
    inlined: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            inlined[key] = {n: _inline(v, definitions, defaults) for n, v in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            inlined[key] = _inline(value, definitions, defaults)
        elif key == "default":
            if defaults and value not in (None, "", []):
                inlined[key] = value
        elif key != "title" and not (key == "required" and not value):
            inlined[key] = value
    if "enum" in inlined:
        inlined.setdefault("type", "string")
    return inlined


def _without_union(value: dict[str, Any]) -> dict[str, Any]:
    options = [o for o in value["anyOf"] if o.get("type") != "null"]
    beside = {k: v for k, v in value.items() if k != "anyOf"}
    if len(options) == 1:
        return {**options[0], **beside}
    return {"x-kubernetes-int-or-string": True, "anyOf": options, **beside}
