"""What a PortForward comes to: a Relay into its pod, and a status that mirrors the Relay's; pure.

One that carries ``ferryman.dev/view-of`` and belongs to a KubernetesDiscovery makes none: it shows
the discovery's. ``forwards`` knows which port of the Relay is which forward; ``reconciler``
gathers the world and acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ferryman.api.kinds import relay as relays
from ferryman.api.kinds.annotations import VIEW, treatment
from ferryman.api.kinds.cluster import CLUSTERS, connection_of
from ferryman.api.kinds.kubernetesdiscovery import KUBERNETES_DISCOVERIES
from ferryman.api.kinds.portforward import (
    PORT_FORWARDS,
    PortForwardStatus,
    spec_of,
)
from ferryman.api.kinds.relay import RELAYS, RelaySpec, Target, Workload
from ferryman.api.resource import Object
from ferryman.controllers.children import child_name, controller_of, is_child
from ferryman.controllers.forwards import Hosts, forward_statuses, relay_ports

PREFIX = "pf"


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a plan depends on besides the PortForward: the Relay that it has or shows,
    its Cluster, the addresses of its hosts. Without ``enabled`` no PortForward listens.
    """

    now: datetime
    cluster: Object | None = None
    relay: Object | None = None
    hosts: Hosts = field(default_factory=dict)
    enabled: bool = True


def relay_name(forward: Object) -> str:
    """The name of the Relay that a PortForward has, or shows."""
    if is_view(forward):
        return str(forward["metadata"]["annotations"][VIEW])
    return child_name(PREFIX, forward["metadata"]["name"])


def is_view(forward: Object) -> bool:
    """Whether a KubernetesDiscovery made it, to show its own Relay."""
    owner = controller_of(forward) or {}
    made_by = (owner.get("apiVersion"), owner.get("kind"))
    annotations: Mapping[str, str] = forward["metadata"].get("annotations") or {}
    discovery = (KUBERNETES_DISCOVERIES.api_version, KUBERNETES_DISCOVERIES.kind)
    return VIEW in annotations and made_by == discovery


def is_its_relay(forward: Object, relay: Object) -> bool:
    """Whether a Relay of the right name is the PortForward's, or that of the discovery whose
    view it is.
    """
    if is_view(forward):
        owner = controller_of(forward) or {}
        return is_child(relay, KUBERNETES_DISCOVERIES, str(owner.get("name", "")))
    return is_child(relay, PORT_FORWARDS, forward["metadata"]["name"])


def wanted_relay(forward: Object, world: World) -> RelaySpec | None:
    """The Relay to have; None if it cannot be said yet, in which case one that is there stays.

    A listener outlives its target: a Cluster that is gone for a while ends nothing.
    """
    spec, treated = spec_of(forward), treatment(forward)
    known = connection_of(world.cluster) if world.cluster is not None else None
    before = relays.spec_of(world.relay).ports if world.relay is not None else ()
    ports = tuple(p for p in relay_ports(spec.forwards, world.hosts, before) if p is not None)
    if known is None or not ports:
        return None
    workload = Workload(
        cluster=known.context,
        namespace=spec.namespace or known.namespace,
        kind="pod",
        name=spec.pod_name,
    )
    return RelaySpec(
        ports=ports,
        target=Target(workload=workload),
        hold=treated.hold,
        balance=treated.balance,
        inspect=treated.inspect,
        suspend=not world.enabled,
    )


def status(forward: Object, before: PortForwardStatus, world: World) -> PortForwardStatus:
    """What to say; ``before`` is the present status, whose times are kept where nothing changed."""
    spec, relay = spec_of(forward), world.relay
    trouble = ""
    if relay is not None and not is_its_relay(forward, relay):
        name = relay["metadata"]["name"]
        trouble = f'{RELAYS.full_name} "{name}" exists already and belongs to somebody else'
        relay = None
    elif not is_view(forward):
        trouble = _cluster_trouble(spec.cluster, world.cluster)
    return PortForwardStatus(
        forward_statuses=forward_statuses(
            spec.forwards,
            world.hosts,
            relays.spec_of(relay).ports if relay is not None else (),
            relays.status_of(relay) if relay is not None else None,
            before.forward_statuses,
            trouble,
            world.now,
        )
    )


def _cluster_trouble(name: str, cluster: Object | None) -> str:
    """Why it is not known where to look for the pod. While that is known, what the Relay says is
    newer than what the Cluster does.
    """
    if cluster is None:
        return f'{CLUSTERS.full_name} "{name}" not found'
    if connection_of(cluster) is None:
        return (cluster.get("status") or {}).get("error") or f"cluster/{name} is not connected yet"
    return ""
