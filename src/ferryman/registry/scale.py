"""The ``scale`` subresource: how many replicas, as ``autoscaling/v1`` Scale; pure."""

from __future__ import annotations

from typing import Any

from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.api.selectors import Selector, from_label_selector
from ferryman.api.status import BadRequest, NotFound, invalid
from ferryman.api.validation import bad, type_name

_META = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def to_scale(kind: Kind, obj: Object) -> Object:
    """What ``kubectl scale`` reads; NotFound if the kind does not scale."""
    if "scale" not in kind.subresources:
        raise NotFound("the server could not find the requested resource")
    spec, status = obj.get("spec", {}), obj.get("status", {})
    labels = from_label_selector(spec.get("selector") or {})
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {key: obj["metadata"][key] for key in _META if key in obj["metadata"]},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {
            "replicas": status.get("replicas", 0),
            "selector": Selector(labels=labels).label_text,
        },
    }


def from_scale(kind: Kind, obj: Object, scale: Any) -> Object:
    """The object with the replicas that a Scale asks for, based on the version that it names."""
    spec = scale.get("spec") if isinstance(scale, dict) else None
    if not isinstance(spec, dict):
        raise BadRequest(f"a Scale expected, not {type_name(scale)}")
    replicas = spec.get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        why = bad("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid(kind.resource, obj["metadata"]["name"], [why])
    meta = scale.get("metadata") if isinstance(scale.get("metadata"), dict) else {}
    version = meta.get("resourceVersion") or obj["metadata"]["resourceVersion"]
    return {
        **obj,
        "metadata": {**obj["metadata"], "resourceVersion": version},
        "spec": {**obj["spec"], "replicas": replicas},
    }
