"""What a stateful set does next; pure.

Pods are called NAME-0, NAME-1 …; one is made when those before it are ready, and one is replaced
(the last first) when all are. Revisions are template hashes: the demo keeps no history of them, so
a ``partition`` holds back updates but a held pod that dies comes back as the new revision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ferryman.api.resource import Object
from ferryman.demo.controllers.objects import (
    available,
    deleting,
    phase,
    ready,
    safe_hash,
)

REVISION = "controller-revision-hash"
INDEX = "apps.kubernetes.io/pod-index"
POD_NAME = "statefulset.kubernetes.io/pod-name"


@dataclass(frozen=True, slots=True)
class Plan:
    """``create`` pods of these ordinals, ``delete`` these pods, write ``status``."""

    create: tuple[int, ...]
    delete: tuple[Object, ...]
    status: Object
    revision: str


def plan(stateful_set: Object, pods: Sequence[Object], now: datetime) -> Plan:
    """What is to be done, from all the pods that the stateful set owns."""
    name, spec = stateful_set["metadata"]["name"], stateful_set["spec"]
    revision = f"{name}-{safe_hash(spec['template'])}"
    start = (spec.get("ordinals") or {}).get("start") or 0
    wanted = range(start, start + spec.get("replicas", 1))
    by_ordinal = {ordinal(pod): pod for pod in pods}
    create: tuple[int, ...] = ()
    delete: tuple[Object, ...] = ()
    if not deleting(stateful_set):
        create, delete = _scale(spec, wanted, by_ordinal)
        if not create and not delete:
            delete = _replace(spec, wanted, by_ordinal, revision)
    status = _status(stateful_set, pods, wanted, revision, now)
    return Plan(create, delete, status, revision)


def ordinal(pod: Object) -> int:
    """The number at the end of the pod's name, or -1."""
    number = str(pod["metadata"]["name"]).rpartition("-")[2]
    return int(number) if number.isdigit() else -1


def _scale(
    spec: Object, wanted: range, pods: dict[int, Object]
) -> tuple[tuple[int, ...], tuple[Object, ...]]:
    """Fill up from the first, then shrink from the last; in order, one at a time."""
    missing = tuple(number for number in wanted if number not in pods)
    ended = tuple(pod for pod in pods.values() if _ended(pod) and not deleting(pod))
    surplus = [pods[number] for number in sorted(pods, reverse=True) if number not in wanted]
    if spec.get("podManagementPolicy") == "Parallel":
        return missing, ended or tuple(pod for pod in surplus if not deleting(pod))
    for number in wanted:
        if number not in pods:
            return (number,), ()
        if _ended(pods[number]) and not deleting(pods[number]):
            return (), (pods[number],)
        if not _settled(pods[number]):
            return (), ()
    if surplus and not deleting(surplus[0]):
        return (), (surplus[0],)
    return (), ()


def _replace(
    spec: Object, wanted: range, pods: dict[int, Object], revision: str
) -> tuple[Object, ...]:
    """The last pod of an old revision, once all after it are of the new one and ready."""
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return ()
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    for number in reversed(wanted):
        pod = pods.get(number)
        if pod is None or number < partition or deleting(pod):
            return ()
        if (pod["metadata"].get("labels") or {}).get(REVISION) != revision:
            return (pod,)
        if not _settled(pod):
            return ()
    return ()


def _settled(pod: Object) -> bool:
    return ready(pod) and not deleting(pod)


def _ended(pod: Object) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def _status(
    stateful_set: Object, pods: Sequence[Object], wanted: range, revision: str, now: datetime
) -> Object:
    old = stateful_set.get("status") or {}
    living = [pod for pod in pods if not deleting(pod) and not _ended(pod)]
    updated = [p for p in living if (p["metadata"].get("labels") or {}).get(REVISION) == revision]
    wait = stateful_set["spec"].get("minReadySeconds") or 0
    whole = len(updated) == len(pods) == len(wanted) and all(map(ready, updated))
    current = revision if whole else old.get("currentRevision") or revision
    status = {
        "observedGeneration": stateful_set["metadata"].get("generation", 1),
        "replicas": len(pods),
        "readyReplicas": sum(map(ready, living)),
        "availableReplicas": sum(available(pod, wait, now) for pod in living),
        "updatedReplicas": len(updated),
        "currentReplicas": len(updated) if current == revision else len(living) - len(updated),
        "currentRevision": current,
        "updateRevision": revision,
        "collisionCount": 0,
    }
    always = ("replicas", "availableReplicas", "collisionCount")
    return {key: value for key, value in status.items() if value or key in always}
