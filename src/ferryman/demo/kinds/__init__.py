"""Kubernetes' kinds as the demo has them: plain objects, unknown fields kept, one file a kind."""

from __future__ import annotations

from ferryman.api.kinds.event import EVENT, EVENTS
from ferryman.api.scheme import Scheme
from ferryman.demo.kinds.configmaps import CONFIG_MAP, CONFIG_MAPS
from ferryman.demo.kinds.cronjobs import CRON_JOB, CRON_JOBS
from ferryman.demo.kinds.daemonsets import DAEMON_SET, DAEMON_SETS
from ferryman.demo.kinds.deployments import DEPLOYMENT, DEPLOYMENTS
from ferryman.demo.kinds.endpointslices import ENDPOINT_SLICE, ENDPOINT_SLICES
from ferryman.demo.kinds.jobs import JOB, JOBS
from ferryman.demo.kinds.namespaces import NAMESPACE, NAMESPACES
from ferryman.demo.kinds.nodes import NODE, NODES
from ferryman.demo.kinds.pods import POD, PODS
from ferryman.demo.kinds.replicasets import REPLICA_SET, REPLICA_SETS
from ferryman.demo.kinds.replicationcontrollers import (
    REPLICATION_CONTROLLER,
    REPLICATION_CONTROLLERS,
)
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
        DAEMON_SET,
        REPLICATION_CONTROLLER,
        JOB,
        CRON_JOB,
        ENDPOINT_SLICE,
    )
)
"""Everything that the demo's API serves, in the order of its discovery."""

__all__ = [
    "CONFIG_MAPS",
    "CRON_JOBS",
    "DAEMON_SETS",
    "DEPLOYMENTS",
    "ENDPOINT_SLICES",
    "EVENTS",
    "JOBS",
    "NAMESPACES",
    "NODES",
    "PODS",
    "REPLICATION_CONTROLLERS",
    "REPLICA_SETS",
    "SCHEME",
    "SERVICES",
    "STATEFUL_SETS",
]
