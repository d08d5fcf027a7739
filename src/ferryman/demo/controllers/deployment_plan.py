"""What a deployment does next to its replica sets; pure.

One replica set for each version of the template, named by its hash. A rolling update lets the new
one grow and the old ones shrink within maxSurge and maxUnavailable; the arithmetic is that of
``k8s.io/kubernetes/pkg/controller/deployment/rolling.go``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ferryman.api.resource import Object
from ferryman.demo.controllers.objects import (
    condition,
    deleting,
    merged_conditions,
    owner_reference,
    safe_hash,
)
from ferryman.demo.kinds import DEPLOYMENTS

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
_NOT_COPIED = {REVISION, DESIRED, "kubectl.kubernetes.io/last-applied-configuration"}


@dataclass(frozen=True, slots=True)
class Plan:
    """``create`` a replica set, set the replicas of others (``scale``) and their ``annotations``,
    ``delete`` those that history has no room for, write ``status``; all by name.
    """

    create: Object | None
    scale: Mapping[str, int]
    annotations: Mapping[str, Mapping[str, str]]
    delete: tuple[str, ...]
    status: Object
    revision: str
    events: tuple[str, ...] = field(default=())


def plan(deployment: Object, replica_sets: Sequence[Object], now: datetime) -> Plan:
    """What is to be done, from all the replica sets that the deployment owns."""
    spec = deployment["spec"]
    digest = safe_hash(spec["template"])
    name = f"{deployment['metadata']['name']}-{digest}"
    new = next((rs for rs in replica_sets if rs["metadata"]["name"] == name), None)
    old = [rs for rs in replica_sets if rs is not new]
    if deleting(deployment):
        status = _status(deployment, new, old, now)
        return Plan(None, {}, {}, (), status, _revision_of(deployment))
    create: Object | None = None
    if new is None and not spec.get("paused"):
        create = new = _replica_set(deployment, name, digest, _next_revision(old))
    revision = _revision(new, old) if new else _revision_of(deployment)
    scale = _scale(spec, new, old)
    events = tuple(_event(rs, scale, create) for rs in replica_sets if _name(rs) in scale)
    if create is not None:
        create["spec"]["replicas"] = scale.pop(name, 0)
        events += (_event(create, {name: create["spec"]["replicas"]}, create),)
    return Plan(
        create=create,
        scale=scale,
        annotations=_annotations(deployment, new, revision) if new and new is not create else {},
        delete=_history(spec, old),
        status=_status(deployment, None if new is create else new, old, now, creating=bool(create)),
        revision=revision,
        events=events,
    )


def share(value: Any, total: int, *, up: bool) -> int:
    """A number, or a percentage of the total, rounded up or down."""
    if isinstance(value, str) and value.endswith("%"):
        part = int(value[:-1]) * total / 100
        return math.ceil(part) if up else math.floor(part)
    return int(value or 0)


def bounds(spec: Object) -> tuple[int, int]:
    """How many pods more and fewer there may be; never both nothing, or nothing could ever move."""
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, spec.get("replicas", 1)
    rolling, replicas = strategy.get("rollingUpdate") or {}, spec.get("replicas", 1)
    surge = share(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = share(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    return surge, unavailable if surge or unavailable else 1


def _scale(spec: Object, new: Object | None, old: Sequence[Object]) -> dict[str, int]:
    wanted = spec.get("replicas", 1)
    if spec.get("paused"):
        running = [rs for rs in (*old, *([new] if new else [])) if _replicas(rs)]
        only = running[0] if len(running) == 1 else new
        return {_name(only): wanted} if only and _replicas(only) != wanted else {}
    if new is None:
        return {}
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        scale = {_name(rs): 0 for rs in old if _replicas(rs)}
        left = any(_count(rs, "replicas") or _count(rs, "terminatingReplicas") for rs in old)
        if not scale and not left and _replicas(new) != wanted:
            scale[_name(new)] = wanted
        return scale
    surge, unavailable = bounds(spec)
    grown = _grow(wanted, surge, new, old)
    if grown != _replicas(new):
        return {_name(new): grown}
    return _shrink(wanted - unavailable, new, old)


def _grow(wanted: int, surge: int, new: Object, old: Sequence[Object]) -> int:
    """How many the new replica set may have now."""
    have = _replicas(new)
    if have >= wanted:
        return wanted
    room = wanted + surge - have - sum(map(_replicas, old))
    return have + max(0, min(room, wanted - have))


def _shrink(least: int, new: Object, old: Sequence[Object]) -> dict[str, int]:
    """How many of each old replica set are still needed for ``least`` available pods."""
    everything = [new, *old]
    new_missing = max(0, _replicas(new) - _count(new, "availableReplicas"))
    surplus = sum(map(_replicas, everything)) - least - new_missing
    scale: dict[str, int] = {}
    oldest_first = sorted(old, key=_revision_number)
    for rs in oldest_first:  # those that do not work are no loss
        broken = min(_replicas(rs) - _count(rs, "availableReplicas"), surplus)
        if broken > 0:
            scale[_name(rs)] = _replicas(rs) - broken
            surplus -= broken
    spare = sum(_count(rs, "availableReplicas") for rs in everything) - least
    for rs in oldest_first:
        have = scale.get(_name(rs), _replicas(rs))
        gone = min(have, spare, surplus)
        if gone > 0:
            scale[_name(rs)] = have - gone
            spare -= gone
            surplus -= gone
    return scale


def _replica_set(deployment: Object, name: str, digest: str, revision: int) -> Object:
    spec, meta = deployment["spec"], deployment["metadata"]
    template = copy.deepcopy(spec["template"])
    template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = digest
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH] = digest
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": meta.get("namespace", ""),
            "labels": dict(template["metadata"]["labels"]),
            "annotations": {**_copied(deployment), REVISION: str(revision)},
            "ownerReferences": [owner_reference(deployment, DEPLOYMENTS)],
        },
        "spec": {
            "replicas": 0,
            "selector": selector,
            "template": template,
            **({"minReadySeconds": n} if (n := spec.get("minReadySeconds")) else {}),
        },
    }


def _copied(deployment: Object) -> dict[str, str]:
    """Annotations that a replica set takes over, kubernetes.io/change-cause above all."""
    annotations = deployment["metadata"].get("annotations") or {}
    return {
        **{key: value for key, value in annotations.items() if key not in _NOT_COPIED},
        DESIRED: str(deployment["spec"].get("replicas", 1)),
    }


def _annotations(deployment: Object, new: Object, revision: str) -> dict[str, Mapping[str, str]]:
    wanted = {**_copied(deployment), REVISION: revision}
    have = new["metadata"].get("annotations") or {}
    changed = {key: value for key, value in wanted.items() if have.get(key) != value}
    return {_name(new): changed} if changed else {}


def _revision(new: Object, old: Sequence[Object]) -> str:
    """The new replica set's number; an old template that comes back gets a new one."""
    highest = max(map(_revision_number, old), default=0)
    own = _revision_number(new)
    return str(own if own > highest else highest + 1)


def _next_revision(old: Sequence[Object]) -> int:
    return max(map(_revision_number, old), default=0) + 1


def _revision_of(obj: Object) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _revision_number(obj: Object) -> int:
    revision = _revision_of(obj)
    return int(revision) if revision.isdigit() else 0


def _history(spec: Object, old: Sequence[Object]) -> tuple[str, ...]:
    """Old and empty replica sets beyond the limit, the oldest first."""
    empty = [
        rs for rs in old if not _replicas(rs) and not _count(rs, "replicas") and not deleting(rs)
    ]
    surplus = len(empty) - int(spec.get("revisionHistoryLimit", 10))
    oldest_first = sorted(empty, key=_revision_number)
    return tuple(_name(rs) for rs in oldest_first[: max(surplus, 0)])


def _status(
    deployment: Object,
    new: Object | None,
    old: Sequence[Object],
    now: datetime,
    *,
    creating: bool = False,
) -> Object:
    everything = [*old, *([new] if new else [])]
    total = sum(_count(rs, "replicas") for rs in everything)
    usable = sum(_count(rs, "availableReplicas") for rs in everything)
    updated = _count(new, "replicas") if new else 0
    wanted = deployment["spec"].get("replicas", 1)
    counts = {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": total,
        "updatedReplicas": updated,
        "readyReplicas": sum(_count(rs, "readyReplicas") for rs in everything),
        "availableReplicas": usable,
        "unavailableReplicas": max(0, max(total, wanted) - usable),
        "terminatingReplicas": sum(_count(rs, "terminatingReplicas") for rs in everything),
    }
    complete = new is not None and updated == total == usable == wanted
    conditions = [_available(deployment, usable), _progressing(deployment, new, complete, creating)]
    old_conditions = (deployment.get("status") or {}).get("conditions") or ()
    return {
        **{key: value for key, value in counts.items() if value},
        "conditions": merged_conditions(old_conditions, conditions, now, updated=True),
    }


def _available(deployment: Object, usable: int) -> Object:
    enough = usable >= deployment["spec"].get("replicas", 1) - bounds(deployment["spec"])[1]
    return {
        "type": "Available",
        "status": "True" if enough else "False",
        "reason": f"MinimumReplicas{'Available' if enough else 'Unavailable'}",
        "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
    }


def _progressing(deployment: Object, new: Object | None, complete: bool, creating: bool) -> Object:
    name = _name(new) if new else ""
    before = condition(deployment, "Progressing")
    if deployment["spec"].get("paused"):
        status, reason, message = "Unknown", "DeploymentPaused", "Deployment is paused"
    elif complete:
        status, reason = "True", "NewReplicaSetAvailable"
        message = f'ReplicaSet "{name}" has successfully progressed.'
    elif creating or new is None:
        status, reason, message = "True", "NewReplicaSetCreated", "Created new replica set"
    elif before.get("reason") == "NewReplicaSetAvailable" and name in before.get("message", ""):
        return {k: before[k] for k in ("type", "status", "reason", "message")}  # only scaled
    else:
        status, reason = "True", "ReplicaSetUpdated"
        message = f'ReplicaSet "{name}" is progressing.'
    return {"type": "Progressing", "status": status, "reason": reason, "message": message}


def _event(rs: Object, scale: Mapping[str, int], created: Object | None) -> str:
    before, after = 0 if rs is created else _replicas(rs), scale[_name(rs)]
    way = "up" if after >= before else "down"
    return f"Scaled {way} replica set {_name(rs)} from {before} to {after}"


def _name(rs: Object) -> str:
    return str(rs["metadata"]["name"])


def _replicas(rs: Object) -> int:
    return int(rs["spec"].get("replicas", 1))


def _count(rs: Object, key: str) -> int:
    return int((rs.get("status") or {}).get(key) or 0)
