"""Strategic merge patch: as a merge patch, but lists may merge by key; pure.

How a list merges is the schema's: ``x-kubernetes-patch-strategy`` and ``-patch-merge-key``, or
``x-kubernetes-list-type`` and ``-list-map-keys`` where the former are missing; without either it
is replaced. The directives are ``$patch`` (replace, delete, merge), ``$retainKeys``,
``$setElementOrder/<list>`` and ``$deleteFromPrimitiveList/<list>``. Source: apimachinery
``pkg/util/strategicpatch/patch.go`` (1.36), whose order of merged lists is kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ferryman.api import codec
from ferryman.api.status import BadRequest
from ferryman.api.validation import type_name

Schema = dict[str, Any]

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


class _Strategy(NamedTuple):
    merges: bool
    retain_keys: bool
    keys: tuple[str, ...]


def strategic_patch(document: dict[str, Any], patch: Any, schema: Schema) -> dict[str, Any]:
    """The document as the patch wants it; the arguments stay as they are. Raises BadRequest."""
    if not isinstance(patch, dict):
        raise BadRequest(f"a strategic merge patch is an object, not {type_name(patch)}")
    return _merge_map(codec.copy(document), codec.copy(patch), schema)


def _merge_map(old: dict[str, Any], patch: dict[str, Any], schema: Schema) -> dict[str, Any]:
    directive = patch.pop(_PATCH, "merge")
    if directive == "replace":
        return _merge_map({}, patch, schema)
    if directive == "delete":
        return {}
    if directive != "merge":
        raise BadRequest(f"unknown directive $patch: {directive!r}")
    _retain(old, patch)
    properties = schema.get("properties", {})
    additional = schema.get("additionalProperties")
    fallback = additional if isinstance(additional, dict) else {}
    orders = _directives(patch, _ORDER)
    for name, values in _directives(patch, _DELETE).items():
        if isinstance(kept := old.get(name), list):
            unwanted = {_key(value, ()) for value in values}
            old[name] = [value for value in kept if _key(value, ()) not in unwanted]
    for name, value in patch.items():
        inner = properties.get(name, fallback)
        if value is None:
            old.pop(name, None)
        elif isinstance(value, dict):
            below = old.get(name)
            old[name] = _merge_map(below if isinstance(below, dict) else {}, value, inner)
        elif isinstance(value, list):
            old[name] = _merge_list(old.get(name), value, inner, orders.pop(name, None), name)
        else:
            old[name] = value
    for name, order in orders.items():  # lists that only change their order
        if isinstance(old.get(name), list):
            inner = properties.get(name, fallback)
            old[name] = _merge_list(old[name], [], inner, order, name)
    return old


def _retain(old: dict[str, Any], patch: dict[str, Any]) -> None:
    keys = patch.pop(_RETAIN, None)
    if keys is None:
        return
    if not isinstance(keys, list) or any(k not in keys for k in patch if k[:1] != "$"):
        raise BadRequest("$retainKeys must list every key of its patch")
    for name in [name for name in old if name not in keys]:
        del old[name]


def _directives(patch: dict[str, Any], prefix: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for key in [key for key in patch if key.startswith(prefix)]:
        values = patch.pop(key)
        if not isinstance(values, list):
            raise BadRequest(f"{key} must be a list")
        found[key.removeprefix(prefix)] = values
    return found


def _strategy(schema: Schema) -> _Strategy:
    said = str(schema.get("x-kubernetes-patch-strategy", "")).split(",")
    keys: tuple[str, ...] = ()
    if key := schema.get("x-kubernetes-patch-merge-key"):
        keys = (key,)
    elif schema.get("x-kubernetes-list-type") == "map":
        keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
    if said == [""]:
        return _Strategy(schema.get("x-kubernetes-list-type") in ("map", "set"), False, keys)
    return _Strategy("merge" in said, "retainKeys" in said, keys)


def _merge_list(
    old: Any, patch: list[Any], schema: Schema, order: list[Any] | None, name: str
) -> list[Any]:
    strategy = _strategy(schema)
    before: list[Any] = old if isinstance(old, list) else []
    items = schema.get("items")
    if not strategy.merges:
        return [_plain(item, items or {}) for item in patch]
    if not strategy.keys:
        merged = list({_key(value, ()): value for value in (*before, *patch)}.values())
        return _arranged(merged, before, patch if order is None else order, ())
    for item in (*before, *patch, *(order or ())):
        if not isinstance(item, dict):
            raise BadRequest(f"{name} merges by key: objects expected, not {type_name(item)}")
    return _merge_keyed(before, patch, items or {}, order, strategy.keys)


def _merge_keyed(
    before: list[Any],
    patch: list[dict[str, Any]],
    items: Schema,
    order: list[Any] | None,
    keys: tuple[str, ...],
) -> list[Any]:
    """Items of equal keys merge; where the list has a key twice, with the first, as Kubernetes."""
    for item in patch:
        if keys[0] not in item and item != {_PATCH: "replace"}:
            raise BadRequest(f"an item of a list that merges by {keys[0]} has no {keys[0]}")
    deleted = {_key(item, keys) for item in patch if item.get(_PATCH) == "delete"}
    merged = [item for item in before if _key(item, keys) not in deleted]
    if {_PATCH: "replace"} in patch:
        merged = []
    first = _places(merged, keys)
    said = [i for i in patch if i.get(_PATCH) != "delete" and i != {_PATCH: "replace"}]
    wanted = [{name: item.get(name) for name in keys} for item in said]
    for item in said:
        at = first.setdefault(_key(item, keys), len(merged))
        merged[at : at + 1] = [_merge_map(merged[at] if at < len(merged) else {}, item, items)]
    return _arranged(merged, before, wanted if order is None else order, keys)


def _arranged(
    merged: list[Any], before: list[Any], wanted: list[Any], keys: tuple[str, ...]
) -> list[Any]:
    """Items that were asked for in the order that was asked for, the others where they were.

    Two runs are merged: where both heads were there before, the earlier goes first, else the
    one that was asked for.
    """
    place, rank = _places(before, keys), _places(wanted, keys)
    asked = [(rank[key], item) for item in merged if (key := _key(item, keys)) in rank]
    asked.sort(key=lambda pair: pair[0])
    others = [item for item in merged if _key(item, keys) not in rank]
    result: list[Any] = []
    i = j = 0
    while i < len(others) and j < len(asked):
        left, right = place.get(_key(others[i], keys)), place.get(_key(asked[j][1], keys))
        if left is not None and right is not None and left < right:
            result.append(others[i])
            i += 1
        else:
            result.append(asked[j][1])
            j += 1
    return result + others[i:] + [item for _, item in asked[j:]]


def _places(values: list[Any], keys: tuple[str, ...]) -> dict[str, int]:
    places: dict[str, int] = {}
    for i, value in enumerate(values):
        places.setdefault(_key(value, keys), i)
    return places


def _key(item: Any, keys: tuple[str, ...]) -> str:
    """What tells an item of a list from the others: some of its fields, or itself."""
    return codec.to_json([item.get(key) for key in keys] if keys else item).decode()


def _plain(value: Any, schema: Schema) -> Any:
    """A new value without the directives and nulls that only a merge understands."""
    return _merge_map({}, value, schema) if isinstance(value, dict) else value
