"""Services: a stable name for the ready pods behind a selector.

There is no proxy in the demo, so a cluster IP leads nowhere; port-forward resolves a service to
one of its pods, as it does everywhere. ``controllers.endpointslices`` keeps its endpoints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.api.status import Cause
from ferryman.api.validation import port_number, required
from ferryman.demo.kinds.cells import selector_text
from ferryman.demo.kinds.schema import (
    ANYTHING,
    BOOLEAN,
    CONDITIONS,
    INT_OR_STRING,
    INTEGER,
    STRING,
    STRINGS,
    array,
    described,
    keyed,
    kind_schema,
    struct,
)

SERVICES = Resource("", "v1", "services", "Service", True)

_PORT = struct(
    required=("port",),
    name=STRING,
    protocol={**STRING, "default": "TCP"},
    port=INTEGER,
    targetPort=described(INT_OR_STRING, "A number, or the name of a container's port."),
    nodePort=INTEGER,
    appProtocol=STRING,
)

_SPEC = struct(
    "Which pods, by which ports.",
    selector=described(STRINGS, "The labels of the pods behind the service."),
    ports=keyed(_PORT, "port", "protocol"),
    type=STRING,
    clusterIP=STRING,
    clusterIPs=array(STRING),
    externalIPs=array(STRING),
    externalName=STRING,
    sessionAffinity=STRING,
    sessionAffinityConfig=ANYTHING,
    ipFamilies=array(STRING),
    ipFamilyPolicy=STRING,
    internalTrafficPolicy=STRING,
    externalTrafficPolicy=STRING,
    trafficDistribution=STRING,
    publishNotReadyAddresses=BOOLEAN,
    loadBalancerIP=STRING,
    loadBalancerClass=STRING,
    loadBalancerSourceRanges=array(STRING),
    allocateLoadBalancerNodePorts=BOOLEAN,
    healthCheckNodePort=INTEGER,
)


def _default(service: Object) -> None:
    spec = service.get("spec")
    if spec is None:
        return
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port["port"])
    if spec["type"] != "ExternalName":
        spec.setdefault("clusterIP", _cluster_ip(service))
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    service.setdefault("status", {}).setdefault("loadBalancer", {})


def _cluster_ip(service: Object) -> str:
    """An address out of Kubernetes' usual range that follows from the name: nothing to keep."""
    meta = service.get("metadata", {})
    digest = hashlib.sha256(f"{meta.get('namespace')}/{meta.get('name')}".encode()).digest()
    return f"10.{96 + digest[0] % 16}.{digest[1]}.{1 + digest[2] % 254}"


def _causes(service: Object) -> Iterator[Cause]:
    spec = service.get("spec")
    if spec is None:
        yield required("spec")
        return
    ports = spec.get("ports") or []
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    for index, port in enumerate(ports):
        yield from port_number(f"spec.ports[{index}].port", port["port"])
        if len(ports) > 1 and not port.get("name"):
            yield required(f"spec.ports[{index}].name")


def _ports(service: Object, _: datetime) -> str:
    ports = service["spec"].get("ports") or []
    return ",".join(f"{p.get('port')}/{p.get('protocol', 'TCP')}" for p in ports) or "<none>"


SERVICE = Kind(
    resource=SERVICES,
    short_names=("svc",),
    categories=("all",),
    columns=(
        NAME,
        Column("Type", lambda o, _: str(o["spec"].get("type", "ClusterIP"))),
        Column("Cluster-IP", lambda o, _: o["spec"].get("clusterIP") or "<none>"),
        Column("External-IP", lambda o, _: o["spec"].get("externalName") or "<none>"),
        Column("Port(s)", _ports),
        AGE,
        Column("Selector", lambda o, _: selector_text(o["spec"].get("selector")), wide=True),
    ),
    schema=kind_schema(
        SERVICES,
        "Service is a named abstraction of software service.",
        spec=_SPEC,
        status=struct(loadBalancer=ANYTHING, conditions=CONDITIONS),
    ),
    default=_default,
    validate=_causes,
)
