from __future__ import annotations

from typing import Any

import pytest

from ferryman.registry.structural import causes, complete, unknown_fields

STRING = {"type": "string"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "count": {"type": "integer", "format": "int32"},
        "least": {"type": "integer", "minimum": 1},
        "most": {"type": "number", "maximum": 2.5},
        "mode": {"type": "string", "enum": ["On", "Off"], "default": "On"},
        "maybe": {"type": "string", "nullable": True},
        "port": {"x-kubernetes-int-or-string": True},
        "hold": {
            "type": "object",
            "default": {},
            "properties": {"timeout": {"type": "string", "default": "30s"}},
        },
        "later": {"type": "object", "properties": {"x": {"type": "integer", "default": 7}}},
        "labels": {"type": "object", "additionalProperties": STRING},
        "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "list": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["a", "b"],
            "items": {"type": "object", "properties": {"a": STRING, "c": {"default": []}}},
        },
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}},
    },
}

CAUSES: list[tuple[dict[str, Any], list[str]]] = [
    ({"name": "x"}, []),
    ({}, ["name: Required value"]),
    ({"name": None}, ["name: Required value"]),
    ({"name": ""}, ["name: Required value: at least 1 characters"]),
    ({"name": "xxxxxx"}, ['name: Invalid value: "xxxxxx": must have at most 5 characters']),
    ({"count": True}, ['count in body must be of type integer: "boolean"']),
    ({"count": 1.5}, ['count in body must be of type integer: "number"']),
    ({"count": 2**31}, ["must be an integer of at most 2147483647"]),
    ({"least": 2**63}, ["must be an integer of at most 9223372036854775807"]),
    ({"least": 0}, ["least: Invalid value: 0: must be greater than or equal to 1"]),
    ({"most": 3}, ["most: Invalid value: 3: must be less than or equal to 2.5"]),
    ({"mode": "Maybe"}, ['mode: Unsupported value: "Maybe": supported values: "On", "Off"']),
    ({"maybe": None}, []),
    ({"port": "http"}, []),
    ({"port": 1.5}, ["port in body must be of type integer or string"]),
    ({"labels": {"a": 1}}, ['labels.a: Invalid value: "integer"']),
    ({"labels": {"a": None}}, ['labels.a: Invalid value: "null"']),
    ({"labels": []}, ['labels: Invalid value: "array"']),
    ({"anything": {"a": [1, None]}}, []),
    ({"unknown": {"a": 1}}, []),
    ({"list": []}, ["list: Required value: at least 1"]),
    ({"list": [{}] * 4}, ["list: Too many: 4: must have at most 3 items"]),
    ({"list": [{"a": "x", "b": 1}, {"a": "x", "b": 2}]}, []),
    ({"list": [{"a": "x"}, {"a": "x"}]}, ['list[1]: Duplicate value: "x"']),
    ({"list": [1, {"a": 1}]}, ['list[0]: Invalid value: "integer"', 'list[1].a: Invalid value']),
    ({"set": [1, 2, 1]}, ["set[2]: Duplicate value: 1"]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), CAUSES)
def test_every_difference_from_the_schema_is_a_cause(
    value: dict[str, Any], expected: list[str]
) -> None:
    if expected != ["name: Required value"]:
        value = {"name": "x", **value}
    found = [str(cause) for cause in causes(SCHEMA, value)]
    assert len(found) == len(expected)
    for text, part in zip(found, expected, strict=True):
        assert part in text


def test_defaults_are_filled_in_and_nulls_count_as_left_out() -> None:
    value: dict[str, Any] = {
        "name": None,
        "mode": None,
        "maybe": None,
        "hold": {"timeout": None},
        "list": [{"a": "x"}, 7],
        "anything": {"kept": None},
    }
    complete(SCHEMA, value)
    assert value == {
        "mode": "On",
        "maybe": None,
        "hold": {"timeout": "30s"},
        "list": [{"a": "x", "c": []}, 7],
        "anything": {"kept": None},
    }


def test_each_object_gets_defaults_of_its_own() -> None:
    one: dict[str, Any] = {"list": [{}]}
    two: dict[str, Any] = {"list": [{}]}
    complete(SCHEMA, one)
    complete(SCHEMA, two)
    one["hold"]["timeout"] = "1s"
    one["list"][0]["c"].append(1)
    assert two["hold"] == {"timeout": "30s"}
    assert two["list"] == [{"c": []}]
    assert SCHEMA["properties"]["hold"]["default"] == {}


def test_defaults_below_an_absent_object_need_that_object() -> None:
    value: dict[str, Any] = {}
    complete(SCHEMA, value)
    assert "later" not in value
    value["later"] = {}
    complete(SCHEMA, value)
    assert value["later"] == {"x": 7}


def test_unknown_fields_are_named_where_the_schema_is_closed() -> None:
    value = {
        "nome": 1,
        "hold": {"timout": 1},
        "anything": {"goes": 1},
        "labels": {"any": "label"},
        "list": [{"a": "x"}, {"d": 1}],
    }
    assert list(unknown_fields(SCHEMA, value)) == ["nome", "hold.timout", "list[1].d"]
