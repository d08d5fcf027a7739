"""Checks a HAR against npm's har-schema 2.0.0, kept beside this file.

It knows as much of JSON Schema as those schemas use: `type`, `required`, `properties`, `items`,
`$ref`, `pattern`, `format`, `oneOf`, and their own `min`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SCHEMAS: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text())["schemas"]
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
}


def _uri(text: str) -> None:
    if not urlsplit(text).scheme or re.search(r"[\s<>\"{}|\\^`]|[^\x21-\x7e]", text):
        raise ValueError(text)


FORMATS: dict[str, Callable[[str], object]] = {
    "date-time": datetime.fromisoformat,
    "uri": _uri,
    "ipv4": IPv4Address,
    "ipv6": IPv6Address,
}
KNOWN = {"type", "required", "properties", "items", "$ref", "pattern", "format", "oneOf", "min"}


def complaints(har: object, schema: Any = SCHEMAS["har.json"], at: str = "har") -> Iterator[str]:
    """What is wrong with it, as `where: what`."""
    unknown = set(schema) - KNOWN - {"optional", "comment"}
    assert not unknown, unknown
    if reference := schema.get("$ref"):
        yield from complaints(har, SCHEMAS[reference.rstrip("#")], at)
    kind = schema.get("type")
    if kind and (not isinstance(har, TYPES[kind]) or isinstance(har, bool)):
        yield f"{at}: no {kind}: {har!r}"
        return
    if isinstance(har, dict):
        yield from (f"{at}: no {name}" for name in schema.get("required", ()) if name not in har)
        for name, inner in schema.get("properties", {}).items():
            if name in har:
                yield from complaints(har[name], inner, f"{at}.{name}")
    if isinstance(har, list) and "items" in schema:
        for number, item in enumerate(har):
            yield from complaints(item, schema["items"], f"{at}[{number}]")
    if isinstance(har, str):
        yield from _of_text(har, schema, at)
    if isinstance(har, int | float) and har < schema.get("min", har):
        yield f"{at}: {har} is less than {schema['min']}"
    if choices := schema.get("oneOf"):
        fitting = [choice for choice in choices if not list(complaints(har, choice, at))]
        if len(fitting) != 1:
            yield f"{at}: {har!r} fits {len(fitting)} of {choices}"


def _of_text(text: str, schema: Any, at: str) -> Iterator[str]:
    if "pattern" in schema and not re.search(schema["pattern"], text):
        yield f"{at}: {text!r} is not like {schema['pattern']}"
    if "format" in schema:
        try:
            FORMATS[schema["format"]](text)
        except ValueError:
            yield f"{at}: {text!r} is no {schema['format']}"
