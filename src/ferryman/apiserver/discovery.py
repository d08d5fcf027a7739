"""What a server serves, for clients that ask before they act; pure.

Both ways to ask: one aggregated document for each of ``/api`` and ``/apis`` (kubectl), and the
older lists of groups, versions and resources (most libraries). Sources: ``apidiscovery/v2`` and
``metav1.APIResourceList``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Kind

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

_CHANGEABLE = ("get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Shown:
    """A subresource as discovery shows it; without ``kind`` it answers with its parent's."""

    verbs: tuple[str, ...] = ("get",)
    kind: str = ""
    group: str = ""
    version: str = ""


BUILT_IN: Mapping[str, Shown] = {
    "status": Shown(_CHANGEABLE),
    "scale": Shown(_CHANGEABLE, "Scale", "autoscaling", "v1"),
}


@dataclass(frozen=True, slots=True)
class Served:
    """A resource with all that can be said about it in discovery."""

    resource: Resource
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    subresources: Mapping[str, Shown] = field(default_factory=dict)


def served(kind: Kind, more: Mapping[str, Shown]) -> Served:
    """A kind with its own subresources and those that are hooked in."""
    own = {name: BUILT_IN[name] for name in sorted(kind.subresources)}
    singular = kind.singular or kind.resource.kind.lower()
    return Served(
        kind.resource, singular, kind.short_names, kind.categories, VERBS, {**own, **more}
    )


class Discovery:
    """The documents; made once, because what is served does not change."""

    def __init__(self, resources: Iterable[Served]) -> None:
        self._groups: dict[str, dict[str, list[Served]]] = {}
        for entry in resources:
            versions = self._groups.setdefault(entry.resource.group, {})
            versions.setdefault(entry.resource.version, []).append(entry)

    @property
    def paths(self) -> list[str]:
        """The roots of all versions, such as ``/api/v1`` and ``/apis/apps/v1``."""
        return [
            f"/apis/{group}/{version}" if group else f"/api/{version}"
            for group, versions in self._groups.items()
            for version in versions
        ]

    def aggregated(self, *, legacy: bool) -> Object:
        """``APIGroupDiscoveryList`` of the core group (``/api``) or of all others."""
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": [
                {
                    "metadata": {"name": group} if group else {},
                    "versions": [
                        {
                            "version": version,
                            "freshness": "Current",
                            "resources": [_aggregated(entry) for entry in entries],
                        }
                        for version, entries in versions.items()
                    ],
                }
                for group, versions in self._groups.items()
                if (group == "") == legacy
            ],
        }

    def versions(self) -> Object:
        """``/api``: the versions of the core group; none if nothing is in it."""
        return {
            "kind": "APIVersions",
            "versions": list(self._groups.get("", {})),
            "serverAddressByClientCIDRs": [],
        }

    def groups(self) -> Object:
        """``/apis``: all groups but the core one."""
        named = [self._group(group) for group in self._groups if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}

    def group(self, name: str) -> Object | None:
        """``/apis/GROUP``; None if there is no such group."""
        if not name or name not in self._groups:
            return None
        return {"kind": "APIGroup", "apiVersion": "v1", **self._group(name)}

    def resources(self, group: str, version: str) -> Object | None:
        """``/api/VERSION`` and ``/apis/GROUP/VERSION``; None if there is no such version."""
        entries = self._groups.get(group, {}).get(version)
        if entries is None:
            return None
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version}" if group else version,
            "resources": [listed for entry in entries for listed in _listed(entry)],
        }

    def _group(self, name: str) -> Object:
        versions = [{"groupVersion": f"{name}/{v}", "version": v} for v in self._groups[name]]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _aggregated(entry: Served) -> Object:
    resource = entry.resource
    shown: Object = {
        "resource": resource.plural,
        "responseKind": _group_version_kind(resource),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": entry.singular,
        "verbs": entry.verbs,
    }
    if entry.short_names:
        shown["shortNames"] = entry.short_names
    if entry.categories:
        shown["categories"] = entry.categories
    if entry.subresources:
        shown["subresources"] = [
            {
                "subresource": name,
                "responseKind": _response_kind(resource, subresource),
                "verbs": subresource.verbs,
            }
            for name, subresource in entry.subresources.items()
        ]
    return shown


def _listed(entry: Served) -> Sequence[Object]:
    resource = entry.resource
    own: Object = {
        "name": resource.plural,
        "singularName": entry.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": entry.verbs,
    }
    if entry.short_names:
        own["shortNames"] = entry.short_names
    if entry.categories:
        own["categories"] = entry.categories
    return [
        own,
        *(
            {
                "name": f"{resource.plural}/{name}",
                "singularName": "",
                "namespaced": resource.namespaced,
                **_response_kind(resource, subresource),
                "verbs": subresource.verbs,
            }
            for name, subresource in entry.subresources.items()
        ),
    ]


def _response_kind(resource: Resource, subresource: Shown) -> Object:
    if not subresource.kind:
        return _group_version_kind(resource)
    return {
        "group": subresource.group,
        "version": subresource.version or resource.version,
        "kind": subresource.kind,
    }


def _group_version_kind(resource: Resource) -> Object:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}
