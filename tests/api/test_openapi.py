from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ferryman.api.openapi import OBJECT_META, object_schema, schema_of
from ferryman.api.resource import Resource


class Inner(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What is inside."""

    how_long: str = "30s"


class Outer(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    name: Annotated[str, Meta(description="Its name.", max_length=9)]
    port: int | str | None = None
    mode: Literal["On", "Off"] = "On"
    inner: Inner = Inner()
    other: Annotated[Inner | None, Meta(description="Another.")] = None
    items: Annotated[
        tuple[Inner, ...], Meta(extra_json_schema={"x-kubernetes-list-type": "atomic"})
    ] = ()
    labels: dict[str, Inner] = {}


INNER = {
    "type": "object",
    "description": "What is inside.",
    "properties": {"howLong": {"type": "string", "default": "30s"}},
}


def test_a_struct_becomes_a_structural_schema() -> None:
    assert schema_of(Outer) == {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "description": "Its name.", "maxLength": 9},
            "port": {
                "x-kubernetes-int-or-string": True,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
            },
            "mode": {"type": "string", "enum": ["Off", "On"], "default": "On"},
            "inner": {**INNER, "default": {}},
            "other": {**INNER, "description": "Another."},
            "items": {"type": "array", "items": INNER, "x-kubernetes-list-type": "atomic"},
            "labels": {"type": "object", "additionalProperties": INNER, "default": {}},
        },
    }


def test_a_status_has_no_defaults() -> None:
    assert "default" not in str(schema_of(Outer, defaults=False))


def test_an_object_has_type_and_metadata_besides() -> None:
    resource = Resource("example.com", "v1", "outers", "Outer", namespaced=False)
    schema = object_schema(resource, Outer, Inner, "An example.")
    assert list(schema["properties"]) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert schema["properties"]["metadata"] is OBJECT_META
    assert schema["required"] == ["spec"]
    assert schema["x-kubernetes-group-version-kind"] == [
        {"group": "example.com", "version": "v1", "kind": "Outer"}
    ]
