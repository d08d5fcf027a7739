"""A few words in which the OpenAPI v3 schemas of Kubernetes' kinds are written down shortly.

The ``x-kubernetes-*`` extensions say how lists merge: strategic patches (``kubectl apply``,
``rollout restart``), server-side apply and ``kubectl explain`` all read them. Everything is
inlined, so a schema stands alone. Source: Kubernetes' own ``api/openapi-spec/v3`` (1.36).
"""

from __future__ import annotations

from typing import Any

from ferryman.api.openapi import OBJECT_META
from ferryman.api.resource import Resource

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer", "format": "int32"}
LONG: Schema = {"type": "integer", "format": "int64"}
TIME: Schema = {"type": "string", "format": "date-time"}
INT_OR_STRING: Schema = {
    "format": "int-or-string",
    "oneOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}
QUANTITY: Schema = {"oneOf": [{"type": "string"}, {"type": "number"}]}
ANYTHING: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def described(schema: Schema, description: str) -> Schema:
    """The same schema with words for ``kubectl explain``."""
    return {**schema, "description": description}


def struct(
    description: str = "", *, required: tuple[str, ...] = (), **properties: Schema
) -> Schema:
    """An object; a trailing underscore keeps Python's keywords usable as field names."""
    schema: Schema = {
        "type": "object",
        "properties": {name.rstrip("_"): value for name, value in properties.items()},
    }
    if description:
        schema["description"] = description
    if required:
        schema["required"] = list(required)
    return schema


def mapping(value: Schema) -> Schema:
    """An object with any keys, such as labels."""
    return {"type": "object", "additionalProperties": value}


def array(item: Schema) -> Schema:
    """A list that is replaced as a whole."""
    return {"type": "array", "items": item, "x-kubernetes-list-type": "atomic"}


def keyed(item: Schema, *keys: str, strategy: str = "merge") -> Schema:
    """A list whose items are told apart by keys; the first is the strategic merge key."""
    return {
        "type": "array",
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
        "x-kubernetes-patch-merge-key": keys[0],
        "x-kubernetes-patch-strategy": strategy,
    }


def unique(item: Schema) -> Schema:
    """A list of plain values that is a set."""
    return {
        "type": "array",
        "items": item,
        "x-kubernetes-list-type": "set",
        "x-kubernetes-patch-strategy": "merge",
    }


STRINGS = mapping(STRING)

LABEL_SELECTOR = struct(
    "A label query over a set of resources.",
    matchLabels=STRINGS,
    matchExpressions=array(
        struct(required=("key", "operator"), key=STRING, operator=STRING, values=array(STRING))
    ),
)

CONDITIONS = keyed(
    struct(
        required=("type", "status"),
        type=STRING,
        status=STRING,
        reason=STRING,
        message=STRING,
        observedGeneration=LONG,
        lastTransitionTime=TIME,
        lastUpdateTime=TIME,
        lastProbeTime=TIME,
        lastHeartbeatTime=TIME,
    ),
    "type",
)


def kind_schema(resource: Resource, description: str, **properties: Schema) -> Schema:
    """The schema of a whole object: type and metadata besides what is its own."""
    return {
        "type": "object",
        "description": description,
        "properties": {
            "apiVersion": STRING,
            "kind": STRING,
            "metadata": OBJECT_META,
            **properties,
        },
        "x-kubernetes-group-version-kind": [
            {"group": resource.group, "version": resource.version, "kind": resource.kind}
        ],
    }
