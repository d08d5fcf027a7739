"""Endpoint slices: the addresses behind a service, and whether they are ready."""

from __future__ import annotations

from datetime import datetime

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.demo.kinds.schema import (
    ANYTHING,
    BOOLEAN,
    INTEGER,
    STRING,
    STRINGS,
    array,
    kind_schema,
    struct,
    unique,
)

ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True)


def _ports(obj: Object, _: datetime) -> str:
    return ",".join(str(p.get("port", "*")) for p in obj.get("ports") or []) or "<unset>"


def _endpoints(obj: Object, _: datetime) -> str:
    """The first three addresses, as kubectl shows them."""
    addresses = [a for e in obj.get("endpoints") or [] for a in e.get("addresses") or []]
    more = f" + {len(addresses) - 3} more..." if len(addresses) > 3 else ""
    return ",".join(addresses[:3]) + more if addresses else "<unset>"


ENDPOINT_SLICE = Kind(
    resource=ENDPOINT_SLICES,
    subresources=frozenset(),
    columns=(
        NAME,
        Column("AddressType", lambda o, _: str(o.get("addressType", ""))),
        Column("Ports", _ports),
        Column("Endpoints", _endpoints),
        AGE,
    ),
    schema=kind_schema(
        ENDPOINT_SLICES,
        "EndpointSlice represents a set of service endpoints.",
        addressType=STRING,
        endpoints=array(
            struct(
                required=("addresses",),
                addresses=unique(STRING),
                conditions=struct(ready=BOOLEAN, serving=BOOLEAN, terminating=BOOLEAN),
                hostname=STRING,
                nodeName=STRING,
                zone=STRING,
                hints=ANYTHING,
                deprecatedTopology=STRINGS,
                targetRef=struct(kind=STRING, namespace=STRING, name=STRING, uid=STRING),
            )
        ),
        ports=array(struct(name=STRING, protocol=STRING, port=INTEGER, appProtocol=STRING)),
    ),
)
