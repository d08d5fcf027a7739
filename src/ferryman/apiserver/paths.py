"""Which object, list or subresource a URL path means; pure.

The grammar is Kubernetes': ``/api/v1/…`` for the core group, ``/apis/GROUP/VERSION/…`` for others,
``namespaces/N`` before the plural of a namespaced kind. ``app`` routes with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ferryman.api.scheme import Kind, Scheme
from ferryman.api.status import NotFound


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about; without ``name`` it is a list.

    A namespaced kind without ``namespace`` is the list over all namespaces.
    """

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def unknown_path() -> NotFound:
    """Kubernetes' words for a path that nobody serves."""
    return NotFound("the server could not find the requested resource")


def resolve(scheme: Scheme, path: str) -> Target:
    """The target of a decoded path; raises NotFound if there is no such resource."""
    match path.strip("/").split("/"):
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest] if group:
            pass
        case _:
            raise unknown_path()
    return _resource(scheme, group, version, rest)


def _resource(scheme: Scheme, group: str, version: str, rest: list[str]) -> Target:
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and not _of_a_namespace(scheme, group, rest):
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 3 or not all(rest):
        raise unknown_path()
    plural, name, subresource = (*rest, "", "")[:3]
    kind = scheme.by_plural(group, version, plural)
    if kind is None or (namespace and not kind.resource.namespaced):
        raise unknown_path()
    if name and kind.resource.namespaced and not namespace:
        raise unknown_path()
    return Target(kind, namespace, name, subresource)


def _of_a_namespace(scheme: Scheme, group: str, rest: list[str]) -> bool:
    """Whether ``namespaces/N/x`` is a subresource of the namespace itself, not a list inside it."""
    kind = scheme.by_plural(group, "v1", "namespaces") if group == "" else None
    return kind is not None and len(rest) == 3 and rest[2] in (*kind.subresources, "finalize")
