"""What controllers write: a status where it differs, the end of an object that they made.

An object that is gone meanwhile is no trouble: the request that says so is on its way.
"""

from __future__ import annotations

from msgspec import Struct

from ferryman.api import codec
from ferryman.api.client import ObjectClient, Preconditions
from ferryman.api.resource import Object, Resource
from ferryman.api.status import NotFound


async def write_status(
    client: ObjectClient, resource: Resource, obj: Object, status: Struct, manager: str
) -> bool:
    """Have a cluster-scoped object's status be this; whether it was something else."""
    encoded = codec.encode(status)
    if obj.get("status") == encoded:
        return False
    try:
        await client.apply_status(resource, obj["metadata"]["name"], encoded, manager=manager)
    except NotFound:
        return False
    return True


async def remove(client: ObjectClient, resource: Resource, obj: Object) -> None:
    """Delete this cluster-scoped object, and no other that has its name now."""
    meta = obj["metadata"]
    try:
        await client.delete(resource, meta["name"], preconditions=Preconditions(meta["uid"]))
    except NotFound:
        pass
