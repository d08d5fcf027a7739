"""Objects that a controller makes for an object: their names, and whose they are.

A child's name follows from its owner's, so that a second attempt meets the first one's child and
not a twin; ``gc`` takes children away with their owner. A child of an owner that was deleted and
made again is taken over, so that what it stands for (a listener) never stops.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

from ferryman.api.client import ObjectClient
from ferryman.api.resource import Name, Object, Resource
from ferryman.api.status import AlreadyExists, NotFound
from ferryman.errors import UserError

_LONGEST = 253
"""Bytes of an object's name."""


class NotOurs(UserError):
    """Somebody else has an object under the name that a child was to have."""


def child_name(*parts: str) -> str:
    """The parts joined by dashes; too long a name is cut and ends in a digest of the whole."""
    name = "-".join(parts)
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: _LONGEST - 13].rstrip('-.')}-{digest}"


def owner_reference(owner: Object) -> Object:
    """The reference by which a child belongs to its owner, and goes with it."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Object) -> Object | None:
    """The reference to the owner that made an object."""
    owners: Iterable[Object] = obj["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def is_child(obj: Object, kind: Resource, name: str) -> bool:
    """Whether an object was made for one of that kind and name, or for its former self."""
    return _owner(controller_of(obj) or {}) == (kind.api_version, kind.kind, name)


async def ensure_child(
    client: ObjectClient,
    resource: Resource,
    known: Mapping[Name, Object],
    wanted: Object,
    owner: Object,
    *,
    spec_of: Callable[[Object], object],
    manager: str,
) -> None:
    """Create a cluster-scoped child, or make its spec and annotations what is wanted.

    ``known`` is a cache; ``spec_of`` makes specs comparable. Raises NotOurs if somebody else has
    the name, StaleVersion if the cache is behind.
    """
    meta = {**wanted["metadata"], "ownerReferences": [owner_reference(owner)]}
    there = known.get(Name(meta["name"]))
    if there is None:
        try:
            await client.create(resource, {**wanted, "metadata": meta}, manager=manager)
        except AlreadyExists:
            pass  # the cache is behind; its news will bring us back
        return
    of = (owner["apiVersion"], owner["kind"], owner["metadata"]["name"])
    if _owner(controller_of(there) or {}) != of:
        raise NotOurs(
            f'{resource.full_name} "{meta["name"]}" exists already and belongs to somebody else'
        )
    annotations = {**there["metadata"].get("annotations", {}), **meta.get("annotations", {})}
    if annotations:
        meta["annotations"] = annotations
    changed = {**there, "metadata": {**there["metadata"], **meta}, "spec": wanted["spec"]}
    if changed["metadata"] != there["metadata"] or spec_of(changed) != spec_of(there):
        try:
            await client.update(resource, changed, manager=manager)
        except NotFound:
            pass  # it has just gone: the same


def _owner(named: Object) -> tuple[object, object, object]:
    """Of a reference to an owner: which one."""
    return named.get("apiVersion"), named.get("kind"), named.get("name")
