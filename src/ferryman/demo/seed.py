"""What a new demo holds: a node, the namespaces, and the workloads of the tour."""

from __future__ import annotations

import platform
from datetime import datetime

from ferryman.api.client import ObjectClient
from ferryman.api.conditions import rfc3339
from ferryman.api.resource import Object
from ferryman.apiserver.app import VERSION
from ferryman.demo.kinds import DEPLOYMENTS, NAMESPACES, NODES, SERVICES, STATEFUL_SETS
from ferryman.demo.network import PODS

NODE = "ferryman-demo"
NAMESPACE = "default"


async def seed(client: ObjectClient, node_ip: str, now: datetime) -> None:
    """Create everything; the store is empty."""
    for namespace in (NAMESPACE, "kube-system"):
        await client.create(NAMESPACES, _object("v1", "Namespace", namespace))
    await client.create(NODES, _node())
    await client.apply_status(NODES, NODE, _node_status(node_ip, now), manager="kubelet")
    for workload in (
        _deployment("example-go", 1, 8000, "http"),
        _deployment("web", 3, 8080, "http"),
    ):
        await client.create(DEPLOYMENTS, workload)
    await client.create(STATEFUL_SETS, _stateful_set("cache", 6379))
    await client.create(SERVICES, _service("example-go", "http"))
    await client.create(SERVICES, _service("web", "http"))
    await client.create(SERVICES, _headless("cache", 6379))


def _object(api_version: str, kind: str, name: str, namespace: str = "") -> Object:
    meta: Object = {"name": name}
    if namespace:
        meta |= {"namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}


def _node() -> Object:
    node = _object("v1", "Node", NODE)
    node["metadata"]["labels"] = {
        "kubernetes.io/hostname": NODE,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": platform.machine(),
        "node-role.kubernetes.io/control-plane": "",
    }
    return {**node, "spec": {}}


def _node_status(node_ip: str, now: datetime) -> Object:
    resources = {"cpu": "2", "memory": "2Gi", "pods": str(PODS)}
    stamp = rfc3339(now)
    return {
        "addresses": [
            {"type": "InternalIP", "address": node_ip},
            {"type": "Hostname", "address": NODE},
        ],
        "capacity": resources,
        "allocatable": resources,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "KubeletReady",
                "message": "kubelet is posting ready status",
                "lastHeartbeatTime": stamp,
                "lastTransitionTime": stamp,
            }
        ],
        "nodeInfo": {
            "architecture": platform.machine(),
            "operatingSystem": platform.system().lower(),
            "osImage": platform.platform(terse=True),
            "kernelVersion": platform.release(),
            "containerRuntimeVersion": f"demo://{platform.python_version()}",
            "kubeletVersion": VERSION,
            "kubeProxyVersion": "",
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
        },
    }


def _template(name: str, port: int, port_name: str, probe: Object) -> Object:
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "containers": [
                {
                    "name": name,
                    "image": name,
                    "ports": [{"name": port_name, "containerPort": port}],
                    "readinessProbe": {**probe, "periodSeconds": 1},
                }
            ]
        },
    }


def _deployment(name: str, replicas: int, port: int, port_name: str) -> Object:
    return {
        **_object("apps/v1", "Deployment", name, NAMESPACE),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": _template(name, port, port_name, {"httpGet": {"port": port_name}}),
        },
    }


def _stateful_set(name: str, port: int) -> Object:
    return {
        **_object("apps/v1", "StatefulSet", name, NAMESPACE),
        "spec": {
            "replicas": 1,
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": _template(name, port, "tcp", {"tcpSocket": {"port": "tcp"}}),
        },
    }


def _service(name: str, target: str) -> Object:
    return {
        **_object("v1", "Service", name, NAMESPACE),
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": target}],
        },
    }


def _headless(name: str, port: int) -> Object:
    return {
        **_object("v1", "Service", name, NAMESPACE),
        "spec": {
            "clusterIP": "None",
            "selector": {"app": name},
            "ports": [{"name": "tcp", "port": port, "targetPort": "tcp"}],
        },
    }
