"""What the demo's controllers all ask of objects: whose, ready, which version; pure."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from ferryman.api.conditions import rfc3339
from ferryman.api.resource import Name, Object, Resource

_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words, as k8s.io/apimachinery/util/rand


def safe_hash(value: Any, length: int = 10) -> str:
    """A short name for a value, the same wherever it is equal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(_SAFE))
        letters.append(_SAFE[index])
    return "".join(letters)


def owner_reference(owner: Object, resource: Resource) -> Object:
    """The reference by which a controller's objects belong to it, and die with it."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Object) -> Object | None:
    """The owner that is the object's controller."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def owner_names(kind: str) -> Callable[[Object], Iterable[Name]]:
    """For watching dependents: whose controller of a kind is to look, when one changes."""

    def names(obj: Object) -> Iterable[Name]:
        owner = controller_of(obj)
        if owner is not None and owner.get("kind") == kind:
            yield Name(str(owner["name"]), str(obj["metadata"].get("namespace", "")))

    return names


def owned_by(objects: Iterable[Object], owner: Object) -> list[Object]:
    """Those that the owner controls, told by its uid."""
    uid = owner["metadata"]["uid"]
    return [obj for obj in objects if (controller_of(obj) or {}).get("uid") == uid]


def deleting(obj: Object) -> bool:
    """Whether the object is on its way out."""
    return "deletionTimestamp" in obj["metadata"]


def active(pod: Object) -> bool:
    """Whether the pod counts: it is not on its way out and has not ended."""
    return not deleting(pod) and phase(pod) not in ("Succeeded", "Failed")


def phase(pod: Object) -> str:
    """The pod's phase."""
    return str((pod.get("status") or {}).get("phase", "Pending"))


def condition(obj: Object, kind: str) -> Object:
    """A condition of the object, empty if it has none of the kind."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == kind), {})


def ready(pod: Object) -> bool:
    """Whether the pod's Ready condition holds."""
    return condition(pod, "Ready").get("status") == "True"


def available(pod: Object, min_ready_seconds: int, now: datetime) -> bool:
    """Whether the pod has been ready for long enough."""
    if not ready(pod):
        return False
    if not min_ready_seconds:
        return True
    since = condition(pod, "Ready").get("lastTransitionTime")
    return (
        since is not None
        and (now - datetime.fromisoformat(since)).total_seconds() >= min_ready_seconds
    )


def merged_conditions(
    old: Iterable[Object], fresh: Iterable[Object], now: datetime, *, updated: bool = False
) -> list[Object]:
    """The fresh conditions, each with the time at which its status last turned.

    ``updated`` keeps a lastUpdateTime besides, as deployments have.
    """
    known = {c["type"]: c for c in old}
    stamp = rfc3339(now)
    result = []
    for new in fresh:
        before = known.get(new["type"], {})
        same = before.get("status") == new["status"]
        entry = {**new, "lastTransitionTime": before.get("lastTransitionTime") if same else stamp}
        if updated:
            unchanged = same and before.get("reason") == new.get("reason")
            entry["lastUpdateTime"] = before.get("lastUpdateTime") if unchanged else stamp
        result.append(entry)
    return result


def pod_of(owner: Object, resource: Resource, labels: dict[str, str] | None = None) -> Object:
    """A pod made of the owner's template, with further labels; its name is still to be set."""
    template = copy.deepcopy(owner["spec"]["template"])
    meta = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": owner["metadata"].get("namespace", ""),
            "labels": {**(meta.get("labels") or {}), **(labels or {})},
            **({"annotations": meta["annotations"]} if meta.get("annotations") else {}),
            "ownerReferences": [owner_reference(owner, resource)],
        },
        "spec": template["spec"],
    }
