"""Small Kubernetes objects for tests of the demo's plans."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

from ferryman.api.resource import Object

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_uids = count(1)


def workload(kind: str, name: str, **spec: object) -> Object:
    """A deployment, replica set or stateful set with one container."""
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"u{next(_uids)}",
            "generation": 1,
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": template(name),
            **spec,
        },
    }


def template(name: str, image: str = "web") -> Object:
    """A pod template."""
    ports = [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": image, "ports": ports}]},
    }


def pod(
    name: str,
    *,
    ready: bool = True,
    phase: str = "Running",
    deleting: bool = False,
    labels: dict[str, str] | None = None,
    node: str = "node",
    created: str = "2026-03-01T11:00:00Z",
    ip: str = "127.9.9.2",
) -> Object:
    """A pod in some state."""
    meta: Object = {
        "name": name,
        "namespace": "default",
        "uid": f"u{next(_uids)}",
        "labels": labels or {"app": "x"},
        "creationTimestamp": created,
    }
    if deleting:
        meta["deletionTimestamp"] = "2026-03-01T11:30:00Z"
    status: Object = {
        "phase": phase,
        "conditions": [
            {
                "type": "Ready",
                "status": "True" if ready else "False",
                "lastTransitionTime": created,
            }
        ],
    }
    if ip:
        status["podIP"] = ip
    spec = {**template("x")["spec"], "nodeName": node}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status}
