"""What may have been meant by a name that a cluster does not know: looks at the names it does.

For a hint below an error. Whatever goes wrong here is no news beside the error itself.
"""

from __future__ import annotations

from difflib import get_close_matches

from ferryman.api.client import ObjectClient
from ferryman.api.resource import Resource
from ferryman.api.status import NotFound
from ferryman.errors import FerrymanError
from ferryman.kube.resources import NAMESPACES
from ferryman.kube.targets import Target

_MOST = 500
_SHOWN = 5


async def near_names(client: ObjectClient, target: Target) -> str:
    """A hint for a target that does not exist; empty if nothing helpful can be known."""
    if target.resource is None:
        return ""
    try:
        known = await names(client, target.resource, target.namespace)
        near = get_close_matches(target.name, known, n=2)
        if near:
            return f"did you mean {' or '.join(f'{target.kind}/{name}' for name in near)}?"
        if not known and (hint := await _near_namespace(client, target.namespace)):
            return hint
    except FerrymanError:
        return ""
    plural, where = target.resource.plural, f'the namespace "{target.namespace}"'
    if not known:
        return f"there are no {plural} in {where}; name another with -n"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"{where} has {plural} {', '.join(known[:_SHOWN])}{more}"


async def names(client: ObjectClient, resource: Resource, namespace: str = "") -> list[str]:
    """The names of the first few hundred objects; raises FerrymanError."""
    page = await client.list(resource, namespace, limit=_MOST)
    return [str(obj["metadata"]["name"]) for obj in page.items]


async def _near_namespace(client: ObjectClient, namespace: str) -> str:
    """A hint if the namespace itself is not there."""
    try:
        await client.get(NAMESPACES, namespace)
    except NotFound:
        near = get_close_matches(namespace, await names(client, NAMESPACES), n=1)
        wrong = f'there is no namespace "{namespace}"'
        return f"{wrong}; did you mean {near[0]}?" if near else wrong
    return ""
