"""Namespaces; the demo does not empty one that is deleted."""

from __future__ import annotations

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.demo.kinds.cells import status_of
from ferryman.demo.kinds.schema import CONDITIONS, STRING, kind_schema, struct, unique

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", False)


def _default(namespace: Object) -> None:
    """The phase, and the label by which policies select a namespace."""
    meta = namespace["metadata"]
    meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta["name"]
    namespace.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    namespace.setdefault("status", {}).setdefault("phase", "Active")


NAMESPACE = Kind(
    resource=NAMESPACES,
    short_names=("ns",),
    columns=(NAME, Column("Status", lambda o, _: status_of(o).get("phase") or "Active"), AGE),
    schema=kind_schema(
        NAMESPACES,
        "Namespace provides a scope for names.",
        spec=struct(finalizers=unique(STRING)),
        status=struct(phase=STRING, conditions=CONDITIONS),
    ),
    default=_default,
)
