"""Applies a kind's schema to objects: defaults, types, limits, unknown fields; pure.

Only what Kubernetes calls a structural schema is read: ``type``, ``properties``, ``items``,
``additionalProperties``, ``required``, ``enum``, limits, ``default``, and the extensions
``x-kubernetes-int-or-string``, ``-list-type``, ``-list-map-keys`` and
``-preserve-unknown-fields``. A schema that leaves something out allows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ferryman.api import codec
from ferryman.api.status import Cause
from ferryman.api.validation import bad, duplicate, mistyped, required, too_many, unsupported

Schema = dict[str, Any]

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
_INTEGERS = {"int32": 2**31 - 1, "int64": 2**63 - 1}


def complete(schema: Schema, value: Any) -> None:
    """Fill in defaults, in place; a null where none may be counts as left out.

    A default below an absent object applies only if that object has a default itself.
    """
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for name, inner in properties.items():
            if name in value and value[name] is None and not inner.get("nullable"):
                del value[name]
            if name not in value and "default" in inner:
                value[name] = codec.copy(inner["default"])
            if name in value:
                complete(inner, value[name])
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            for name, held in value.items():
                if name not in properties:
                    complete(additional, held)
    elif isinstance(value, list) and isinstance(items := schema.get("items"), dict):
        for item in value:
            complete(items, item)


def causes(schema: Schema, value: Any, at: str = "") -> Iterator[Cause]:
    """Everything in which a value differs from its schema, field by field."""
    if value is None and schema.get("nullable"):
        return
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            yield mistyped(at, value, "integer or string")
        return
    expected = schema.get("type")
    if expected in _TYPES and not _is(value, expected):
        yield mistyped(at, value, expected)
        return
    if "enum" in schema and value not in schema["enum"]:
        yield unsupported(at, value, map(str, schema["enum"]))
    match value:
        case dict():
            yield from _object_causes(schema, value, at)
        case list():
            yield from _list_causes(schema, value, at)
        case str():
            yield from _string_causes(schema, value, at)
        case int() | float() if not isinstance(value, bool):
            yield from _number_causes(schema, value, at)


def unknown_fields(schema: Schema, value: Any, at: str = "") -> Iterator[str]:
    """The paths of fields that the schema does not know, for ``fieldValidation``."""
    if isinstance(value, dict):
        properties, additional = schema.get("properties"), schema.get("additionalProperties")
        for name, held in value.items():
            path = _join(at, name)
            if properties is not None and name in properties:
                yield from unknown_fields(properties[name], held, path)
            elif isinstance(additional, dict):
                yield from unknown_fields(additional, held, path)
            elif properties is not None and not (
                additional or schema.get("x-kubernetes-preserve-unknown-fields")
            ):
                yield path
    elif isinstance(value, list) and isinstance(items := schema.get("items"), dict):
        for i, item in enumerate(value):
            yield from unknown_fields(items, item, f"{at}[{i}]")


def _object_causes(schema: Schema, value: dict[str, Any], at: str) -> Iterator[Cause]:
    for name in schema.get("required", ()):
        if value.get(name) is None:
            yield required(_join(at, name))
    properties = schema.get("properties", {})
    additional = schema.get("additionalProperties")
    for name, held in value.items():
        inner = properties.get(name, additional)
        if isinstance(inner, dict) and (held is not None or name not in properties):
            yield from causes(inner, held, _join(at, name))


def _list_causes(schema: Schema, value: list[Any], at: str) -> Iterator[Cause]:
    if len(value) < schema.get("minItems", 0):
        yield required(at, f"at least {schema['minItems']}")
    if len(value) > schema.get("maxItems", len(value)):
        yield too_many(at, len(value), schema["maxItems"])
        return
    before = len(value)
    if isinstance(items := schema.get("items"), dict):
        for i, item in enumerate(value):
            for cause in causes(items, item, f"{at}[{i}]"):
                before = min(before, i)
                yield cause
    yield from _duplicates(schema, value[:before], at)


def _duplicates(schema: Schema, value: list[Any], at: str) -> Iterator[Cause]:
    match schema.get("x-kubernetes-list-type"):
        case "map":
            keys = schema.get("x-kubernetes-list-map-keys", ())
            names = [tuple(item.get(key) for key in keys) for item in value]
        case "set":
            names = [(item,) for item in value]
        case _:
            return
    seen: set[bytes] = set()
    for i, name in enumerate(names):
        if any(part is not None for part in name):
            key = codec.to_json(name)
            if key in seen:
                yield duplicate(f"{at}[{i}]", name[0])
            seen.add(key)


def _string_causes(schema: Schema, value: str, at: str) -> Iterator[Cause]:
    if len(value) < schema.get("minLength", 0):
        yield required(at, f"at least {schema['minLength']} characters")
    if len(value) > schema.get("maxLength", len(value)):
        yield bad(at, value, f"must have at most {schema['maxLength']} characters")


def _number_causes(schema: Schema, value: float, at: str) -> Iterator[Cause]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None and not least <= value <= most:
        yield bad(at, value, f"must be between {least} and {most}, inclusive")
    elif least is not None and value < least:
        yield bad(at, value, f"must be greater than or equal to {least}")
    elif most is not None and value > most:
        yield bad(at, value, f"must be less than or equal to {most}")
    elif schema.get("type") == "integer":
        limit = _INTEGERS.get(schema.get("format", ""), _INTEGERS["int64"])
        if abs(value) > limit:
            yield bad(at, value, f"must be an integer of at most {limit}")


def _is(value: Any, expected: str) -> bool:
    if isinstance(value, bool):
        return expected == "boolean"
    return isinstance(value, _TYPES[expected])


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
