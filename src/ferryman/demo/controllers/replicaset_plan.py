"""How many pods a replica set has to make, which it deletes, and what its status is; pure.

Which to delete first is ``ActivePodsWithRanks`` of ``k8s.io/kubernetes/pkg/controller``: those
that do the least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ferryman.api.resource import Object
from ferryman.demo.controllers.objects import active, available, deleting, phase, ready

BURST = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """``create`` so many pods, ``delete`` these, write ``status``."""

    create: int
    delete: tuple[Object, ...]
    status: Object


def plan(replica_set: Object, pods: Sequence[Object], now: datetime) -> Plan:
    """What is to be done, from all the pods that the replica set owns."""
    wanted = replica_set["spec"].get("replicas", 1)
    counted = [pod for pod in pods if active(pod)]
    surplus = len(counted) - wanted
    if deleting(replica_set):
        surplus = 0
    return Plan(
        create=min(max(-surplus, 0), BURST),
        delete=tuple(sorted(counted, key=_worth)[:surplus]) if surplus > 0 else (),
        status=_status(replica_set, pods, counted, now),
    )


def _worth(pod: Object) -> tuple[bool, bool, bool, str]:
    """What is least is deleted first: unassigned, pending, unready; then the newest."""
    running = phase(pod) == "Running"
    created = pod["metadata"].get("creationTimestamp", "")
    newest_first = "".join(chr(0x10FFFF - ord(c)) for c in created)
    return bool(pod["spec"].get("nodeName")), running, ready(pod), newest_first


def _status(
    replica_set: Object, pods: Sequence[Object], counted: Sequence[Object], now: datetime
) -> Object:
    wait = replica_set["spec"].get("minReadySeconds") or 0
    labels = (replica_set["spec"].get("template", {}).get("metadata") or {}).get("labels") or {}
    status = {
        "replicas": len(counted),
        "fullyLabeledReplicas": sum(
            labels.items() <= (pod["metadata"].get("labels") or {}).items() for pod in counted
        ),
        "readyReplicas": sum(ready(pod) for pod in counted),
        "availableReplicas": sum(available(pod, wait, now) for pod in counted),
        "terminatingReplicas": sum(deleting(pod) for pod in pods),
        "observedGeneration": replica_set["metadata"].get("generation", 1),
    }
    return {key: value for key, value in status.items() if value or key == "replicas"}
