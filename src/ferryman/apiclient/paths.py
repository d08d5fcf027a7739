"""URL paths and queries of API requests; pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from ferryman.api.resource import Resource
from ferryman.errors import UserError

Query = Sequence[tuple[str, str | int | bool | None]]


def path(resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The path of a list (no name), an object, or its subresource.

    Raises UserError for a name that would lead to somewhere else.
    """
    if {namespace, name} & {".", ".."}:
        raise UserError(f"not a name: {name or namespace}")
    parts = ["apis", resource.group] if resource.group else ["api"]
    parts.append(resource.version)
    if resource.namespaced and namespace:
        parts += ["namespaces", namespace]
    parts += [resource.plural, *filter(None, (name, subresource))]
    return "/" + "/".join(quote(part, safe="") for part in parts)


def with_query(path: str, query: Query) -> str:
    """The path with those parameters that are neither empty, 0, False nor None."""
    said = [(key, "true" if value is True else str(value)) for key, value in query if value]
    return f"{path}?{urlencode(said)}" if said else path
