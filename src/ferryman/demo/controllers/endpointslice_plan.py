"""Which addresses are behind a service, as an endpoint slice; pure.

A pod that is going away is no longer ready but still serving while its container is, so that those
who look closely (``conditions.serving``) can finish with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ferryman.api.resource import Object
from ferryman.demo.controllers.objects import (
    deleting,
    owner_reference,
    phase,
    ready,
    safe_hash,
)
from ferryman.demo.kinds import SERVICES

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


def selects(service: Object, pod: Object) -> bool:
    """Whether the service's selector matches the pod; without a selector it selects nothing."""
    selector = service["spec"].get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    return bool(selector) and selector.items() <= labels.items()


def slice_name(service: Object) -> str:
    """The name of the service's one slice."""
    name = service["metadata"]["name"]
    return f"{name}-{safe_hash([service['metadata'].get('uid'), name], 5)}"


def plan(service: Object, pods: Sequence[Object]) -> Object:
    """The slice that there should be, from all pods of the namespace."""
    meta = service["metadata"]
    behind = sorted(
        (
            pod
            for pod in pods
            if selects(service, pod)
            and (pod.get("status") or {}).get("podIP")
            and phase(pod) not in ("Succeeded", "Failed")
        ),
        key=lambda pod: str(pod["metadata"]["name"]),
    )
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": slice_name(service),
            "namespace": meta.get("namespace", ""),
            "labels": {
                **(meta.get("labels") or {}),
                SERVICE_NAME: meta["name"],
                MANAGED_BY: "endpointslice-controller.k8s.io",
            },
            "ownerReferences": [owner_reference(service, SERVICES)],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(pod) for pod in behind],
        "ports": [
            {
                "name": port.get("name", ""),
                "protocol": port.get("protocol", "TCP"),
                "port": number,
            }
            for port in service["spec"].get("ports") or ()
            if (number := _target(port, behind)) is not None
        ],
    }


def _endpoint(pod: Object) -> Object:
    meta = pod["metadata"]
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": ready(pod) and not deleting(pod),
            "serving": ready(pod),
            "terminating": deleting(pod),
        },
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {
            "kind": "Pod",
            "namespace": meta.get("namespace", ""),
            "name": meta["name"],
            "uid": meta["uid"],
        },
    }


def _target(port: Object, pods: Sequence[Object]) -> int | None:
    """The port's number in the pods; a name is that of the first pod which has it."""
    target = port.get("targetPort", port.get("port"))
    if isinstance(target, int):
        return target
    for pod in pods:
        for container in pod["spec"].get("containers") or ():
            for candidate in container.get("ports") or ():
                if candidate.get("name") == target:
                    return int(candidate["containerPort"])
    return None
