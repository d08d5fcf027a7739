"""Which pod, and why: judges pods one by one and puts them in the order of choice; pure.

Order: those that stay before those going away, ready before not ready, then the newest, then by
name. kubectl prefers a ready pod that is being deleted to a new one that is not ready, and the
oldest to the newest: right for one connection, wrong for a forward that outlives its pods.
``targets`` says which pods belong to a target, ``dialspec`` makes endpoints of what is said here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ferryman.api.resource import Object

State = Literal["Active", "Unready", "Draining"]


class Judged(Struct, frozen=True):
    """A pod, whether it may get connections (Active), and why, in words for a person."""

    pod: Object
    state: State
    reason: str

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"].get("uid", ""))


def usable(pod: Object) -> bool:
    """Whether new connections may go to it: running, with an IP, ready, and here to stay."""
    return judge(pod).state == "Active"


def running(pod: Object) -> bool:
    """Whether its containers were started and it has an address, ready or not."""
    status = pod.get("status") or {}
    return status.get("phase") == "Running" and bool(status.get("podIP"))


def judge(pod: Object) -> Judged:
    """What to think of one pod."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return Judged(pod, "Draining", "going away")
    phase = status.get("phase", "Pending")
    if phase in ("Succeeded", "Failed"):
        return Judged(pod, "Unready", _with(f"it has {phase.lower()}", status))
    ready = _condition(status, "Ready")
    if running(pod) and ready.get("status") == "True":
        return Judged(pod, "Active", "ready")
    return Judged(pod, "Unready", f"not ready: {_why_not_ready(pod, status, ready)}")


def rank(pods: Iterable[Object], *, last_name: bool = False) -> list[Judged]:
    """All pods, the one to choose first; a reason says why the first comes first.

    Of equals the first name is chosen, or with ``last_name`` (Tilt's rule) the last.
    """
    judged = sorted((judge(pod) for pod in pods), key=lambda j: j.name, reverse=last_name)
    judged.sort(key=lambda j: str(j.pod["metadata"].get("creationTimestamp", "")), reverse=True)
    judged.sort(key=lambda j: ("Active", "Unready", "Draining").index(j.state))
    if len(judged) > 1 and judged[1].state == "Active":
        judged[0] = replace(judged[0], reason="ready, newest")
    return judged


def _why_not_ready(pod: Object, status: Mapping[str, Any], ready: Mapping[str, Any]) -> str:
    """The first thing that stands in the way, in the order in which a pod starts."""
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return _with("not scheduled", scheduled)
    for container in (
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ):
        trouble = _container_trouble(container)
        if trouble:
            return trouble
    for gate in (pod.get("spec") or {}).get("readinessGates") or ():
        kind = gate.get("conditionType", "")
        if _condition(status, kind).get("status") != "True":
            return f"readiness gate {kind} is not met"
    if ready.get("reason") or ready.get("message"):
        return _with("", ready)
    phase = status.get("phase", "Pending")
    return "it has no IP address yet" if phase == "Running" else f"its phase is {phase}"


def _container_trouble(container: Mapping[str, Any]) -> str:
    """What keeps a container from being ready, or empty."""
    state, name = container.get("state") or {}, container.get("name", "")
    if container.get("ready"):
        return ""
    if waiting := state.get("waiting"):
        reason = waiting.get("reason", "")
        # The kubelet's word for "its turn has not come": the cause is another container or nothing.
        return "" if reason == "PodInitializing" else f"container {name} waiting {reason}".rstrip()
    if terminated := state.get("terminated"):
        code = terminated.get("exitCode", 0)
        return f"container {name} ended with exit code {code}" if code else ""
    if "running" in state:
        if container.get("started") is False:
            return f"container {name} is starting"
        return f"container {name} has not passed its readiness probe"
    return ""


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind:
            return dict(condition)
    return {}


def _with(text: str, said: Mapping[str, Any]) -> str:
    """``text: reason: message``, as far as the cluster said them."""
    return ": ".join(filter(None, (text, said.get("reason"), said.get("message"))))
