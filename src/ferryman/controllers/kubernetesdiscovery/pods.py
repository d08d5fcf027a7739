"""A Kubernetes pod in the words of a KubernetesDiscovery's status; pure.

The words are kubectl's, which Tilt took over. Sources: Tilt ``internal/store/k8sconv/pod.go``,
kubectl's ``printPod``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ferryman.api.kinds.kubernetesdiscovery import (
    Container,
    ContainerRunning,
    ContainerState,
    ContainerTerminated,
    ContainerWaiting,
    Pod,
    PodCondition,
    PodOwner,
)
from ferryman.api.resource import Object

TEMPLATE_HASH_LABEL = "tilt.dev/pod-template-hash"


def pod_of(pod: Object, ancestor_uid: str, owner_created: str | None) -> Pod:
    """The pod as the status has it; ``owner_created`` is when its owner was, if that is known."""
    meta, status = pod["metadata"], pod.get("status") or {}
    return Pod(
        uid=meta.get("uid", ""),
        name=meta["name"],
        namespace=meta.get("namespace", ""),
        created_at=meta.get("creationTimestamp"),
        phase=status.get("phase", ""),
        deleting=bool(meta.get("deletionTimestamp")),
        conditions=tuple(map(_condition, status.get("conditions") or ())),
        init_containers=_containers(pod, "initContainers", "initContainerStatuses"),
        containers=_containers(pod, "containers", "containerStatuses"),
        ancestor_uid=ancestor_uid,
        pod_template_spec_hash=(meta.get("labels") or {}).get(TEMPLATE_HASH_LABEL, ""),
        status=summary(pod),
        errors=tuple(_errors(status)),
        owner=_owner(meta, owner_created),
    )


def summary(pod: Object) -> str:
    """In a word, as in kubectl's STATUS: ``Running``, ``CrashLoopBackOff``, ``Init:0/2``."""
    status = pod.get("status") or {}
    initializing = _initializing(pod, status)
    if initializing:
        return initializing
    word = str(status.get("reason") or status.get("phase") or "")
    for container in reversed(status.get("containerStatuses") or ()):
        state = container.get("state") or {}
        waiting, terminated = state.get("waiting"), state.get("terminated")
        if waiting and waiting.get("reason"):
            word = str(waiting["reason"])
        elif terminated:
            word = _ended(terminated)
    return word


def _initializing(pod: Object, status: Mapping[str, Any]) -> str:
    """What the first init container that is not done is at; empty once all are."""
    written = (pod.get("spec") or {}).get("initContainers") or ()
    sidecars = {c.get("name") for c in written if c.get("restartPolicy") == "Always"}
    for i, container in enumerate(status.get("initContainerStatuses") or ()):
        state = container.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated")
        if terminated and not terminated.get("exitCode"):
            continue
        if container.get("name") in sidecars and container.get("started"):
            continue
        if terminated:
            return f"Init:{_ended(terminated)}"
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}"
        return f"Init:{i}/{len(written)}"
    return ""


def _ended(terminated: Mapping[str, Any]) -> str:
    if reason := terminated.get("reason"):
        return str(reason)
    if signal := terminated.get("signal"):
        return f"Signal:{signal}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _errors(status: Mapping[str, Any]) -> Iterable[str]:
    """What the containers say for people."""
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            state = container.get("state") or {}
            waiting, terminated = state.get("waiting"), state.get("terminated")
            if waiting:
                last = (container.get("lastState") or {}).get("terminated") or {}
                yield from filter(None, (last.get("message"), waiting.get("message")))
            elif terminated and terminated.get("message"):
                yield terminated["message"]


def _condition(said: Mapping[str, Any]) -> PodCondition:
    return PodCondition(
        type=said.get("type", ""),
        status=said.get("status", ""),
        last_transition_time=said.get("lastTransitionTime"),
        reason=said.get("reason") or "",
        message=said.get("message") or "",
    )


def _containers(pod: Object, written: str, said: str) -> tuple[Container, ...]:
    """The containers that the kubelet has a status of, with the ports that the spec documents."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    ports = {
        c["name"]: tuple(int(p["containerPort"]) for p in c.get("ports") or ())
        for c in spec.get(written) or ()
    }
    return tuple(
        Container(
            name=container.get("name", ""),
            id=_bare(container.get("containerID") or ""),
            ready=bool(container.get("ready")),
            image=container.get("image") or "",
            restarts=int(container.get("restartCount") or 0),
            state=_state(container.get("state") or {}),
            ports=ports.get(container.get("name", ""), ()),
        )
        for container in status.get(said) or ()
    )


def _bare(container_id: str) -> str:
    """Without the runtime: ``containerd://4f…``."""
    return container_id.rpartition("//")[2]


def _state(state: Mapping[str, Any]) -> ContainerState:
    if (waiting := state.get("waiting")) is not None:
        return ContainerState(waiting=ContainerWaiting(reason=waiting.get("reason") or ""))
    if (running := state.get("running")) is not None:
        return ContainerState(running=ContainerRunning(started_at=running.get("startedAt")))
    if (terminated := state.get("terminated")) is not None:
        return ContainerState(
            terminated=ContainerTerminated(
                started_at=terminated.get("startedAt"),
                finished_at=terminated.get("finishedAt"),
                exit_code=int(terminated.get("exitCode") or 0),
                reason=terminated.get("reason") or "",
            )
        )
    return ContainerState()


def _owner(meta: Mapping[str, Any], created: str | None) -> PodOwner | None:
    references = meta.get("ownerReferences") or ()
    if not references:
        return None
    first = next((r for r in references if r.get("controller")), references[0])
    return PodOwner(
        name=first.get("name", ""),
        api_version=first.get("apiVersion", ""),
        kind=first.get("kind", ""),
        creation_timestamp=created,
    )
