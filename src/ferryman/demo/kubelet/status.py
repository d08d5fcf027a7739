"""The status of a pod, from what its containers are doing; pure.

Source of phases, reasons and conditions: ``k8s.io/kubernetes/pkg/kubelet/status``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ferryman.api.conditions import rfc3339
from ferryman.api.resource import Object
from ferryman.demo.controllers.objects import merged_conditions
from ferryman.demo.kubelet.process import Exit


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What is known about one container; ``waiting`` is a reason while it does not run."""

    name: str
    image: str
    waiting: str = "ContainerCreating"
    message: str = ""
    started: datetime | None = None
    ended: Exit | None = None
    last: Exit | None = None
    ready: bool = False
    restarts: int = 0
    id: str = ""


def pod_status(
    pod: Object,
    containers: Sequence[ContainerState],
    *,
    host_ip: str,
    pod_ip: str,
    start: datetime,
    now: datetime,
) -> Object:
    """The whole status, with the conditions' times kept where nothing turned."""
    ready = all(c.ready for c in containers)
    phase = _phase(containers)
    over = phase in ("Succeeded", "Failed")
    unready = {} if ready else _why_unready(containers, over)
    conditions = [
        {"type": "PodReadyToStartContainers", "status": _boolean(bool(pod_ip))},
        {"type": "Initialized", "status": "True"},
        {"type": "Ready", "status": _boolean(ready), **unready},
        {"type": "ContainersReady", "status": _boolean(ready), **unready},
        {"type": "PodScheduled", "status": "True"},
    ]
    old = (pod.get("status") or {}).get("conditions") or ()
    return {
        "phase": phase,
        "observedGeneration": pod["metadata"].get("generation", 1),
        "conditions": merged_conditions(old, conditions, now),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        **({"podIP": pod_ip, "podIPs": [{"ip": pod_ip}]} if pod_ip else {}),
        "startTime": rfc3339(start),
        "containerStatuses": [_container_status(c) for c in containers],
        "qosClass": "BestEffort",
    }


def _phase(containers: Sequence[ContainerState]) -> str:
    """Pending until the first start; over when all have ended for good."""
    if containers and all(c.ended for c in containers):
        return "Failed" if any(c.ended and c.ended.code for c in containers) else "Succeeded"
    began = all(c.started or c.last or c.ended for c in containers)
    return "Running" if began else "Pending"


def _why_unready(containers: Sequence[ContainerState], over: bool) -> Object:
    if over:
        return {"reason": "PodCompleted"}
    names = " ".join(c.name for c in containers if not c.ready)
    return {
        "reason": "ContainersNotReady",
        "message": f"containers with unready status: [{names}]",
    }


def _container_status(container: ContainerState) -> Object:
    status = {
        "name": container.name,
        "image": container.image,
        "imageID": f"demo://{container.image}",
        "ready": container.ready,
        "started": container.started is not None,
        "restartCount": container.restarts,
        "state": _state(container),
        "lastState": {"terminated": _terminated(container.last)} if container.last else {},
    }
    return {**status, "containerID": f"demo://{container.id}"} if container.id else status


def _state(container: ContainerState) -> Object:
    if container.ended:
        return {"terminated": _terminated(container.ended)}
    if container.started:
        return {"running": {"startedAt": rfc3339(container.started)}}
    message = {"message": container.message} if container.message else {}
    return {"waiting": {"reason": container.waiting, **message}}


def _terminated(end: Exit) -> Object:
    return {
        "exitCode": end.code,
        "reason": "Completed" if end.code == 0 else "Error",
        "startedAt": rfc3339(end.started),
        "finishedAt": rfc3339(end.finished),
    }


def _boolean(value: bool) -> str:
    return "True" if value else "False"
