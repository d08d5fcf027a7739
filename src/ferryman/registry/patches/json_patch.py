"""JSON Patch: a list of operations on paths (RFC 6902, pointers RFC 6901); pure.

A patch that is none is a BadRequest; one that does not fit the document (a failing ``test``, a
missing path) is Invalid, as in Kubernetes. ``copy`` may not make a small patch a huge object.
"""

from __future__ import annotations

import re
from typing import Any

from ferryman.api import codec
from ferryman.api.status import BadRequest, Invalid, TooLarge

_MOST_OPERATIONS = 10_000  # as Kubernetes' maxJSONPatchOperations
_MOST_COPIED = 3 * 1024 * 1024  # bytes; as Kubernetes' AccumulatedCopySizeLimit
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")
_NEEDS = {
    "add": ("value",),
    "remove": (),
    "replace": ("value",),
    "move": ("from",),
    "copy": ("from",),
    "test": ("value",),
}

Path = list[str]


def json_patch(document: Any, patch: Any) -> Any:
    """The document after all operations; the arguments stay as they are.

    Raises BadRequest (no JSON Patch), Invalid (does not apply), TooLarge.
    """
    if not isinstance(patch, list):
        raise BadRequest("a JSON patch is a list of operations")
    if len(patch) > _MOST_OPERATIONS:
        raise TooLarge(f"at most {_MOST_OPERATIONS} operations in a JSON patch")
    holder = {"": codec.copy(document)}  # so that the root has a parent too
    copied = 0
    for i, operation in enumerate(patch):
        op, path, origin, value = _read(operation, i)
        if op == "copy":
            value = codec.copy(_get(holder, origin))
            copied += len(codec.to_json(value))
            if copied > _MOST_COPIED:
                raise TooLarge(f"a JSON patch may copy at most {_MOST_COPIED} bytes")
        _apply(holder, op, path, origin, value)
    return holder[""]


def same(a: Any, b: Any) -> bool:
    """Equality as JSON has it: 1 is 1.0, but true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _read(operation: Any, i: int) -> tuple[str, Path, Path, Any]:
    if not isinstance(operation, dict):
        raise BadRequest(f"operation {i} of the JSON patch is not an object")
    op = operation.get("op")
    if not isinstance(op, str) or op not in _NEEDS:
        raise BadRequest(f"operation {i} of the JSON patch: unknown op {op!r}")
    for field in ("path", *_NEEDS[op]):
        if field not in operation:
            raise BadRequest(f"operation {i} of the JSON patch ({op}) has no {field}")
    path = _pointer(operation["path"], i)
    origin = _pointer(operation["from"], i) if op in ("move", "copy") else []
    if op == "move" and path != origin and path[: len(origin)] == origin:
        raise BadRequest(f"operation {i} of the JSON patch moves a value into itself")
    value = codec.copy(operation["value"]) if "value" in _NEEDS[op] else None
    return op, path, origin, value


def _pointer(text: Any, i: int) -> Path:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise BadRequest(f"operation {i} of the JSON patch: not a JSON pointer: {text!r}")
    if re.search("~(?![01])", text):
        raise BadRequest(f"operation {i} of the JSON patch: bad escape in {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")]


def _apply(holder: Any, op: str, path: Path, origin: Path, value: Any) -> None:
    match op:
        case "add" | "copy":
            _add(holder, path, value)
        case "remove":
            _remove(holder, path)
        case "replace":
            _get(holder, path)
            parent, key = _parent(holder, path)
            parent[key] = value
        case "move":
            value = _get(holder, origin)
            if path != origin:
                _remove(holder, origin)
                _add(holder, path, value)
        case "test":
            if not same(_get(holder, path), value):
                raise Invalid(f"testing value {_text(path)} failed")


def _add(holder: Any, path: Path, value: Any) -> None:
    container = _get(holder, path[:-1]) if len(path) > 1 else holder
    if isinstance(container, list):
        end = len(container)
        at = end if path[-1] == "-" else _index(path, end)
        container.insert(at, value)
    elif isinstance(container, dict):
        container[path[-1]] = value
    else:
        raise Invalid(f"there is nothing to add to at {_text(path[:-1])}")


def _remove(holder: Any, path: Path) -> None:
    if len(path) == 1:
        raise Invalid("the whole object cannot be removed")
    _get(holder, path)
    parent, key = _parent(holder, path)
    del parent[key]


def _parent(holder: Any, path: Path) -> tuple[Any, Any]:
    parent = _get(holder, path[:-1]) if len(path) > 1 else holder
    return parent, _index(path, len(parent) - 1) if isinstance(parent, list) else path[-1]


def _get(holder: Any, path: Path) -> Any:
    at = holder
    for depth, part in enumerate(path):
        if isinstance(at, dict) and part in at:
            at = at[part]
        elif isinstance(at, list):
            at = at[_index(path[: depth + 1], len(at) - 1)]
        else:
            raise Invalid(f"there is nothing at {_text(path[: depth + 1])}")
    return at


def _index(path: Path, most: int) -> int:
    if not _INDEX.match(path[-1]) or int(path[-1]) > most:
        raise Invalid(f"no such index: {_text(path)}")
    return int(path[-1])


def _text(path: Path) -> str:
    return "/".join(part.replace("~", "~0").replace("/", "~1") for part in path) or "the root"
