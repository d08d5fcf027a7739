"""Cluster: Tilt's kind for a Kubernetes cluster that the other kinds name.

It names a context of the kubeconfig, never a file or a command: an object must not decide what is
read or run on this machine. ``controllers.cluster`` connects, and says in the status what it met.
Source: Tilt ``pkg/apis/core/v1alpha1/cluster_types.go``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from ferryman.api import codec
from ferryman.api.openapi import object_schema
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.api.tables import age

CLUSTERS = Resource("tilt.dev", "v1alpha1", "clusters", "Cluster", namespaced=False)


class KubernetesConnection(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Which cluster."""

    context: Annotated[
        str, Meta(description="A kubeconfig's context; the current one by default.")
    ] = ""
    namespace: Annotated[
        str, Meta(description="The default namespace; the context's own by default.")
    ] = ""


class Connection(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """How to reach the cluster."""

    kubernetes: KubernetesConnection | None = None


class ClusterSpec(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What a person wants connected; the current context if nothing is said."""

    connection: Connection | None = None


class KubernetesConnectionStatus(
    Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True
):
    """The context as the kubeconfig has it; here as soon as it is read, connected or not."""

    context: str
    namespace: str
    cluster: str = ""
    product: str = ""
    config_path: str = ""


class ConnectionStatus(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What the connection came to."""

    kubernetes: KubernetesConnectionStatus | None = None


class ClusterStatus(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What is so: ``error`` is empty while the cluster answers."""

    arch: str = ""
    error: str = ""
    version: str = ""
    connected_at: str | None = None
    connection: ConnectionStatus | None = None


def spec_of(cluster: Object) -> ClusterSpec:
    """The spec as it came out of a store; BadRequest if it is none."""
    return codec.decode(ClusterSpec, cluster.get("spec") or {})


def status_of(cluster: Object) -> ClusterStatus:
    """The status; an empty one if nobody has written any."""
    return codec.decode(ClusterStatus, cluster.get("status") or {})


def new_cluster(name: str, context: str = "", namespace: str = "") -> Object:
    """A Cluster to create."""
    wanted = KubernetesConnection(context=context, namespace=namespace)
    return {
        "apiVersion": CLUSTERS.api_version,
        "kind": CLUSTERS.kind,
        "metadata": {"name": name},
        "spec": codec.encode(ClusterSpec(connection=Connection(kubernetes=wanted))),
    }


def connection_of(cluster: Object) -> KubernetesConnectionStatus | None:
    """The context that a Cluster came to; None if that is not known (yet)."""
    connection = status_of(cluster).connection
    return connection.kubernetes if connection is not None else None


def _default(cluster: Object) -> None:
    cluster.setdefault("spec", {})


def _status_text(cluster: Object, _: datetime) -> str:
    status = cluster.get("status") or {}
    if status.get("error"):
        return "Error"
    return "Connected" if status.get("connectedAt") else "Connecting"


def _kubernetes(field: str) -> Any:
    def cell(cluster: Object, _: datetime) -> str:
        connection = (cluster.get("status") or {}).get("connection") or {}
        return str((connection.get("kubernetes") or {}).get(field, ""))

    return cell


def _said(field: str) -> Any:
    def cell(cluster: Object, _: datetime) -> str:
        return str((cluster.get("status") or {}).get(field, ""))

    return cell


CLUSTER = Kind(
    resource=CLUSTERS,
    singular="cluster",
    categories=("all", "tilt"),
    columns=(
        Column("Name", lambda cluster, _: str(cluster["metadata"]["name"])),
        Column("Status", _status_text, description="Whether the cluster answers."),
        Column("Context", _kubernetes("context"), description="The kubeconfig's context."),
        Column("Version", _said("version"), description="Of Kubernetes."),
        Column("Age", age),
        Column("Namespace", _kubernetes("namespace"), wide=True),
        Column("Product", _kubernetes("product"), wide=True, description="kind, minikube, gke, …"),
        Column("Arch", _said("arch"), wide=True, description="The nodes' architecture."),
        Column("Error", _said("error"), wide=True, description="Why it does not answer."),
    ),
    schema={
        **object_schema(CLUSTERS, ClusterSpec, ClusterStatus, "A Kubernetes cluster (Tilt)."),
        "required": [],  # without a spec it means the current context
    },
    default=_default,
)
