"""Kubernetes' kinds as the demo has them: plain objects, unknown fields kept, one file a kind."""

from __future__ import annotations

from ferryman.api.scheme import Scheme
from ferryman.demo.kinds.configmaps import CONFIG_MAP, CONFIG_MAPS
from ferryman.demo.kinds.deployments import DEPLOYMENT, DEPLOYMENTS
from ferryman.demo.kinds.endpointslices import ENDPOINT_SLICE, ENDPOINT_SLICES
from ferryman.demo.kinds.events import EVENT, EVENTS
from ferryman.demo.kinds.namespaces import NAMESPACE, NAMESPACES
from ferryman.demo.kinds.nodes import NODE, NODES
from ferryman.demo.kinds.pods import POD, PODS
from ferryman.demo.kinds.replicasets import REPLICA_SET, REPLICA_SETS
from ferryman.demo.kinds.services import SERVICE, SERVICES
from ferryman.demo.kinds.statefulsets import STATEFUL_SET, STATEFUL_SETS

SCHEME = Scheme(
    (
        NAMESPACE,
        NODE,
        POD,
        SERVICE,
        EVENT,
        CONFIG_MAP,
        DEPLOYMENT,
        REPLICA_SET,
        STATEFUL_SET,
        ENDPOINT_SLICE,
    )
)
"""Everything that the demo's API serves, in the order of its discovery."""

__all__ = [
    "CONFIG_MAPS",
    "DEPLOYMENTS",
    "ENDPOINT_SLICES",
    "EVENTS",
    "NAMESPACES",
    "NODES",
    "PODS",
    "REPLICA_SETS",
    "SCHEME",
    "SERVICES",
    "STATEFUL_SETS",
]
