"""What a Cluster's status says after each attempt to reach it, and when the next is due; pure.

Tilt's rules: a cluster that does not answer is tried again every 30 s; one that did is asked every
15 s, and called broken after four failures in a row, so that a hiccup alarms nobody. What uses
the cluster meets trouble sooner, and tells it in its own status.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ferryman.api.conditions import rfc3339_micro
from ferryman.api.kinds.cluster import (
    ClusterSpec,
    ClusterStatus,
    ConnectionStatus,
    KubernetesConnectionStatus,
)

RETRY = 30.0
POLL = 15.0
FAILURES = 4
UNKNOWN = "unknown"

_PRODUCTS = (
    ("minikube", "minikube"),
    ("docker-for-desktop", "docker-desktop"),
    ("docker-desktop", "docker-desktop"),
    ("gke_", "gke"),
    ("kind-", "kind"),
    ("microk8s-cluster", "microk8s"),
    ("api-crc-testing", "crc"),
    ("krucible-", "krucible"),
    ("k3d-", "k3d"),
    ("rancher-desktop", "rancher-desktop"),
    ("colima", "colima"),
)
"""Beginnings of a kubeconfig's cluster names, by which Tilt knows who made the cluster."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A context as the kubeconfig has it."""

    context: str
    namespace: str
    cluster: str
    config_path: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a cluster said of itself."""

    version: str
    arch: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The status, the failures in a row that it counts, and the seconds to the next attempt."""

    status: ClusterStatus
    failures: int
    wait: float


def product(cluster: str) -> str:
    """Who made a cluster, by the name that its maker gave it."""
    if cluster == "kind":
        return "kind"
    return next((name for prefix, name in _PRODUCTS if cluster.startswith(prefix)), UNKNOWN)


def introduced(spec: ClusterSpec, before: ClusterStatus, facts: Facts) -> ClusterStatus:
    """What to say before the cluster is asked: where it is, so that others can go there."""
    connection = _connection(spec, facts)
    return before if before.connection == connection else ClusterStatus(connection=connection)


def after(
    spec: ClusterSpec,
    before: ClusterStatus,
    facts: Facts | None,
    answer: Answer | str,
    failures: int,
    now: datetime,
) -> Plan:
    """What an attempt comes to. ``facts`` are None if the kubeconfig has no such context;
    ``answer`` is what the cluster said, or why it said nothing; ``failures`` came before.
    """
    connection = _connection(spec, facts)
    known = before if before.connection == connection else ClusterStatus()
    if isinstance(answer, Answer):
        connected = known.connected_at if known.connected_at and not known.error else None
        status = ClusterStatus(
            arch=answer.arch,
            version=answer.version,
            connected_at=connected or rfc3339_micro(now),
            connection=connection,
        )
        return Plan(status, 0, POLL)
    failures += 1
    if known.connected_at and not known.error and failures < FAILURES:
        return Plan(known, failures, POLL)
    status = ClusterStatus(
        arch=known.arch, version=known.version, error=answer, connection=connection
    )
    return Plan(status, failures, RETRY)


def _connection(spec: ClusterSpec, facts: Facts | None) -> ConnectionStatus | None:
    if facts is None:
        return None
    wanted = spec.connection.kubernetes if spec.connection is not None else None
    return ConnectionStatus(
        kubernetes=KubernetesConnectionStatus(
            context=facts.context,
            namespace=(wanted.namespace if wanted is not None else "") or facts.namespace,
            cluster=facts.cluster,
            product=product(facts.cluster),
            config_path=facts.config_path,
        )
    )
