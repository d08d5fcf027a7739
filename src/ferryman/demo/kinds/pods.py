"""Pods: containers that are started and stopped together; here, one small process each.

``demo.kubelet`` runs them and writes their status; deleting one is graceful: the object stays
until the kubelet has stopped the process.
"""

from __future__ import annotations

from datetime import datetime

from ferryman.api.columns import AGE, NAME, since
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.demo.kinds.cells import status_of
from ferryman.demo.kinds.podspec import POD_SPEC, default_pod_spec, pod_spec_causes
from ferryman.demo.kinds.schema import (
    ANYTHING,
    BOOLEAN,
    CONDITIONS,
    INTEGER,
    LONG,
    STRING,
    TIME,
    array,
    described,
    keyed,
    kind_schema,
    struct,
)

PODS = Resource("", "v1", "pods", "Pod", True)

_CONTAINER_STATUS = struct(
    required=("name",),
    name=STRING,
    state=ANYTHING,
    lastState=ANYTHING,
    ready=BOOLEAN,
    started=BOOLEAN,
    restartCount=INTEGER,
    image=STRING,
    imageID=STRING,
    containerID=STRING,
)

_STATUS = struct(
    "What is known about the pod; written by the kubelet.",
    phase=described(STRING, "Pending, Running, Succeeded, Failed or Unknown."),
    conditions=CONDITIONS,
    message=STRING,
    reason=STRING,
    hostIP=STRING,
    hostIPs=array(struct(ip=STRING)),
    podIP=STRING,
    podIPs=keyed(struct(ip=STRING), "ip"),
    startTime=TIME,
    qosClass=STRING,
    observedGeneration=LONG,
    containerStatuses=array(_CONTAINER_STATUS),
    initContainerStatuses=array(_CONTAINER_STATUS),
)


def _default(pod: Object) -> None:
    spec = pod.get("spec")
    if spec is not None:
        default_pod_spec(spec)
    pod.setdefault("status", {}).setdefault("phase", "Pending")


def containers_ready(pod: Object) -> tuple[int, int]:
    """How many of the pod's containers are ready, of how many."""
    statuses = status_of(pod).get("containerStatuses") or []
    return sum(bool(s.get("ready")) for s in statuses), len(pod["spec"].get("containers") or [])


def display_status(pod: Object) -> str:
    """The STATUS column, as ``printPod`` in kubectl's server-side printers finds it."""
    status = status_of(pod)
    reason = str(status.get("reason") or status.get("phase") or "Unknown")
    running = False
    for container in reversed(status.get("containerStatuses") or []):
        state = container.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            terminated = state["terminated"]
            reason = terminated.get("reason") or (
                f"Signal:{terminated['signal']}"
                if terminated.get("signal")
                else f"ExitCode:{terminated.get('exitCode', 0)}"
            )
        elif container.get("ready") and "running" in state:
            running = True
    if reason == "Completed" and running:
        reason = "Running"
    return "Terminating" if "deletionTimestamp" in pod["metadata"] else reason


def _restarts(pod: Object, now: datetime) -> str:
    statuses = status_of(pod).get("containerStatuses") or []
    count = sum(int(s.get("restartCount", 0)) for s in statuses)
    ended = [
        s["lastState"]["terminated"].get("finishedAt", "")
        for s in statuses
        if "terminated" in (s.get("lastState") or {})
    ]
    return f"{count} ({since(max(ended), now)} ago)" if count and ended else str(count)


def _ready(pod: Object, _: datetime) -> str:
    ready, total = containers_ready(pod)
    return f"{ready}/{total}"


POD = Kind(
    resource=PODS,
    short_names=("po",),
    categories=("all",),
    columns=(
        NAME,
        Column("Ready", _ready, description="Ready containers of all containers."),
        Column("Status", lambda pod, _: display_status(pod)),
        Column("Restarts", _restarts),
        AGE,
        Column("IP", lambda pod, _: status_of(pod).get("podIP") or "<none>", wide=True),
        Column("Node", lambda pod, _: pod["spec"].get("nodeName") or "<none>", wide=True),
        Column("Nominated Node", lambda _, __: "<none>", wide=True),
        Column("Readiness Gates", lambda _, __: "<none>", wide=True),
    ),
    schema=kind_schema(
        PODS,
        "A pod is a collection of containers that run on a node.",
        spec=POD_SPEC,
        status=_STATUS,
    ),
    default=_default,
    validate=lambda pod: pod_spec_causes(pod.get("spec"), "spec"),
    selectable_fields=frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    graceful=True,
)
