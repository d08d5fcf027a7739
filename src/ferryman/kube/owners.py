"""Whose an object is, through ownerReferences; pure.

``ownertree`` reads the owners that are not known yet; ``targets`` asks here which pods descend from
a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ferryman.api.resource import Object

Reference = Mapping[str, Any]


def references(obj: Object) -> tuple[Reference, ...]:
    """Who owns the object."""
    return tuple(obj["metadata"].get("ownerReferences") or ())


def controller(obj: Object) -> Reference | None:
    """The one of its owners that manages it."""
    return next((r for r in references(obj) if r.get("controller")), None)


def ancestry(obj: Object, owners: Mapping[str, Object]) -> Iterator[Reference]:
    """Its owners, then theirs as far as they are known (``owners``, by uid); each once."""
    seen: set[str] = set()
    left = list(references(obj))
    while left:
        reference = left.pop(0)
        uid = str(reference.get("uid", ""))
        if uid in seen:
            continue
        seen.add(uid)
        yield reference
        if (owner := owners.get(uid)) is not None:
            left += references(owner)


def descends(obj: Object, uid: str, owners: Mapping[str, Object]) -> bool:
    """Whether the object belongs, however indirectly, to the one with the uid."""
    return any(reference.get("uid") == uid for reference in ancestry(obj, owners))
