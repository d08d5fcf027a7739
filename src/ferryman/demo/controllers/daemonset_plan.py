"""On which nodes a daemon set has to make pods, which it deletes, and what its status is; pure.

A rolling update replaces one pod at a time, whatever maxUnavailable says: a demo has one node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ferryman.api.resource import Object
from ferryman.demo.controllers.objects import (
    available,
    condition,
    deleting,
    phase,
    ready,
    safe_hash,
)
from ferryman.demo.controllers.statefulset_plan import REVISION


@dataclass(frozen=True, slots=True)
class Plan:
    """``create`` a pod on each of these nodes, ``delete`` these pods, write ``status``."""

    create: tuple[str, ...]
    delete: tuple[Object, ...]
    status: Object
    revision: str


def plan(
    daemon_set: Object, pods: Sequence[Object], nodes: Sequence[Object], now: datetime
) -> Plan:
    """What is to be done, from all the pods that the daemon set owns."""
    revision = safe_hash(daemon_set["spec"]["template"])
    wanted = {str(node["metadata"]["name"]) for node in nodes if _fit(daemon_set, node)}
    placed = {str(pod["spec"].get("nodeName", "")) for pod in pods}  # a leaving pod keeps its place
    staying = [pod for pod in pods if not deleting(pod)]
    delete = [
        pod
        for pod in staying
        if phase(pod) in ("Succeeded", "Failed") or pod["spec"].get("nodeName") not in wanted
    ]
    outdated = [pod for pod in staying if pod not in delete and _revision(pod) != revision]
    rolls = (daemon_set["spec"].get("updateStrategy") or {}).get("type") != "OnDelete"
    if rolls and not delete and len(staying) == len(pods):
        delete = outdated[:1]
    status = _status(daemon_set, staying, wanted, revision, now)
    if deleting(daemon_set):
        return Plan((), (), status, revision)
    return Plan(tuple(sorted(wanted - placed)), tuple(delete), status, revision)


def _fit(daemon_set: Object, node: Object) -> bool:
    selector = (daemon_set["spec"]["template"].get("spec") or {}).get("nodeSelector") or {}
    labels = node["metadata"].get("labels") or {}
    return selector.items() <= labels.items() and condition(node, "Ready").get("status") == "True"


def _revision(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(REVISION, ""))


def _status(
    daemon_set: Object, staying: Sequence[Object], wanted: set[str], revision: str, now: datetime
) -> Object:
    placed = [pod for pod in staying if pod["spec"].get("nodeName") in wanted]
    wait = daemon_set["spec"].get("minReadySeconds") or 0
    usable = sum(available(pod, wait, now) for pod in placed)
    status = {
        "observedGeneration": daemon_set["metadata"].get("generation", 1),
        "desiredNumberScheduled": len(wanted),
        "currentNumberScheduled": len(placed),
        "updatedNumberScheduled": sum(_revision(pod) == revision for pod in placed),
        "numberMisscheduled": len(staying) - len(placed),
        "numberReady": sum(map(ready, placed)),
        "numberAvailable": usable,
        "numberUnavailable": len(wanted) - usable,
    }
    always = ("desiredNumberScheduled", "currentNumberScheduled", "numberMisscheduled")
    return {k: v for k, v in status.items() if v or k in (*always, "numberReady")}
