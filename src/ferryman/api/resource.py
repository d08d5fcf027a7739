"""Names of kinds and of objects: which API, which plural, which scope.

``api.scheme`` says what a kind is like; this module only how it is called.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Object = dict[str, Any]
"""An object as JSON has it. What a client or a store hands out is the caller's own copy."""


class Resource(Struct, frozen=True):
    """A kind's coordinates, such as ("apps", "v1", "deployments", "Deployment", True).

    ``group`` is empty for Kubernetes' core kinds.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """As objects carry it: ``apps/v1``, ``v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """As error messages say it: ``deployments.apps``, ``pods``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def __str__(self) -> str:
        return self.full_name


class Name(Struct, frozen=True, order=True):
    """Which object of a kind; ``namespace`` is empty for cluster-scoped kinds."""

    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def name_of(obj: Object) -> Name:
    """The name that an object carries in its metadata."""
    meta = obj["metadata"]
    return Name(meta["name"], meta.get("namespace", ""))
