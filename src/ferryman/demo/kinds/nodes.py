"""Nodes: the demo has one, the process that it runs in."""

from __future__ import annotations

from datetime import datetime

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.demo.kinds.cells import status_of
from ferryman.demo.kinds.schema import (
    ANYTHING,
    BOOLEAN,
    CONDITIONS,
    QUANTITY,
    STRING,
    array,
    described,
    keyed,
    kind_schema,
    mapping,
    struct,
    unique,
)

NODES = Resource("", "v1", "nodes", "Node", False)

_SPEC = struct(
    podCIDR=STRING,
    podCIDRs=unique(STRING),
    providerID=STRING,
    unschedulable=described(BOOLEAN, "Whether the scheduler leaves the node alone (cordon)."),
    taints=array(struct(key=STRING, value=STRING, effect=STRING)),
)

_STATUS = struct(
    capacity=mapping(QUANTITY),
    allocatable=mapping(QUANTITY),
    conditions=CONDITIONS,
    addresses=keyed(struct(type=STRING, address=STRING), "type"),
    nodeInfo=ANYTHING,
    daemonEndpoints=ANYTHING,
    images=array(ANYTHING),
)


def _ready(node: Object, _: datetime) -> str:
    conditions = {c.get("type"): c.get("status") for c in status_of(node).get("conditions") or []}
    words = ["Ready" if conditions.get("Ready") == "True" else "NotReady"]
    if (node.get("spec") or {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: Object, _: datetime) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    return ",".join(sorted(k.removeprefix(prefix) for k in labels if k.startswith(prefix))) or (
        "<none>"
    )


def _info(key: str) -> Column:
    names = {
        "kubeletVersion": "Version",
        "osImage": "OS-Image",
        "kernelVersion": "Kernel-Version",
        "containerRuntimeVersion": "Container-Runtime",
    }
    return Column(
        names[key],
        lambda node, _: (status_of(node).get("nodeInfo") or {}).get(key) or "<unknown>",
        wide=key != "kubeletVersion",
    )


def _address(name: str, kind: str) -> Column:
    def cell(node: Object, _: datetime) -> str:
        addresses = status_of(node).get("addresses") or []
        return next((a["address"] for a in addresses if a.get("type") == kind), "<none>")

    return Column(name, cell, wide=True)


NODE = Kind(
    resource=NODES,
    short_names=("no",),
    columns=(
        NAME,
        Column("Status", _ready),
        Column("Roles", _roles),
        AGE,
        _info("kubeletVersion"),
        _address("Internal-IP", "InternalIP"),
        _address("External-IP", "ExternalIP"),
        _info("osImage"),
        _info("kernelVersion"),
        _info("containerRuntimeVersion"),
    ),
    schema=kind_schema(NODES, "Node is a worker node in Kubernetes.", spec=_SPEC, status=_STATUS),
)
