"""What a KubernetesDiscovery comes to: its status, its Relay, and its view; pure.

``membership`` says which pods belong, ``pods`` how the status says them. With a template there is
one Relay, which follows whatever is found and listens from the first moment to the last; and one
PortForward, named as Tilt names it, which shows that Relay as a forward into the best pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ferryman.api.conditions import rfc3339, rfc3339_micro
from ferryman.api.kinds import relay as relays
from ferryman.api.kinds.annotations import VIEW, treatment
from ferryman.api.kinds.kubernetesdiscovery import (
    KubernetesDiscoverySpec,
    KubernetesDiscoveryStatus,
    Pod,
    Running,
    Waiting,
    spec_of,
)
from ferryman.api.kinds.portforward import Forward, PortForwardSpec, new_port_forward
from ferryman.api.kinds.relay import Discovery, RelaySpec, Target, new_relay
from ferryman.api.resource import Object
from ferryman.controllers.children import child_name
from ferryman.controllers.forwards import Hosts, relay_ports
from ferryman.controllers.kubernetesdiscovery.membership import Member
from ferryman.errors import UserError
from ferryman.kube.documented import documented_port
from ferryman.kube.pods import rank

UNAVAILABLE = "ClusterUnavailable"
MOST_PODS = 500
"""That a status names, the newest: an object has its limits, and nobody forwards to more."""
_TILTS_OWN = ("tilt.dev/resource", "tilt.dev/log-span-id")
"""Annotations by which Tilt finds the resource of an object; its views carry them, too."""
_COMPLETED = ("Succeeded", "Failed")


def status(
    available: bool | None,
    monitoring_since: datetime,
    before: KubernetesDiscoveryStatus,
    pods: Sequence[Pod],
    now: datetime,
) -> KubernetesDiscoveryStatus:
    """What to say; ``before`` is the present status. ``pods`` are what is known, though the
    cluster may not be ``available`` now; None means that it has just been asked.
    """
    since = rfc3339_micro(monitoring_since)
    running = None
    if available:
        same = before.running is not None and before.monitor_start_time == since
        running = before.running if same else Running(start_time=rfc3339(now))
    return KubernetesDiscoveryStatus(
        monitor_start_time=since,
        waiting=Waiting(reason=UNAVAILABLE) if available is False else None,
        running=running,
        pods=tuple(pods)[-MOST_PODS:],
    )


def kept(
    spec: KubernetesDiscoverySpec,
    before: Iterable[Pod],
    found: Sequence[Member],
    *,
    same_spec: bool,
) -> tuple[Pod, ...]:
    """The pod to remember though it was deleted: one that had completed, of which nothing else is
    left (a Job's, whose outcome somebody wants to see); the newest of several.

    It must be the present spec's: a selector cannot be asked again without the pod's labels.
    """
    uids = {member.pod["metadata"].get("uid") for member in found}
    watched = {watch.uid for watch in spec.watches if watch.uid}
    if uids:
        return ()
    gone = [
        pod
        for pod in before
        if pod.phase in _COMPLETED and (same_spec or pod.ancestor_uid in watched)
    ]
    return tuple(sorted(gone, key=lambda pod: (pod.created_at or "", pod.name))[-1:])


def wanted_relay(
    discovery: Object, hosts: Hosts, there: Object | None, *, enabled: bool
) -> Object | None:
    """The Relay to have; None without a template, or while none of its hosts has an address."""
    template = spec_of(discovery).port_forward_template_spec
    before = relays.spec_of(there).ports if there is not None else ()
    forwards = template.forwards if template is not None else ()
    ports = tuple(p for p in relay_ports(forwards, hosts, before) if p is not None)
    if not ports:
        return None
    name, treated = discovery["metadata"]["name"], treatment(discovery)
    wanted = RelaySpec(
        ports=ports,
        target=Target(discovery=Discovery(name=name)),
        hold=treated.hold,
        balance=treated.balance,
        inspect=treated.inspect,
        suspend=not enabled,
    )
    return new_relay(name, wanted)


def wanted_view(discovery: Object, found: Iterable[Member]) -> Object | None:
    """The PortForward into the best pod; None without a template or a pod that has ever run."""
    spec, meta = spec_of(discovery), discovery["metadata"]
    pod = best([member.pod for member in found])
    if spec.port_forward_template_spec is None or pod is None:
        return None
    forwards = tuple(_resolved(spec.port_forward_template_spec.forwards, pod))
    if not forwards:
        return None
    annotations = {VIEW: meta["name"]}
    own = meta.get("annotations") or {}
    annotations.update({key: own[key] for key in _TILTS_OWN if key in own})
    name = pod["metadata"]["name"]
    shown = PortForwardSpec(
        pod_name=name,
        namespace=pod["metadata"].get("namespace", ""),
        forwards=forwards,
        cluster=spec.cluster,
    )
    return new_port_forward(child_name(meta["name"], name), shown, annotations=annotations)


def best(pods: Iterable[Object]) -> Object | None:
    """The pod to forward to: one that runs, or is on its way out if there is none.

    Of those that run a ready one comes first, which Tilt does not look at: in a rollout it moves
    to a pod that does not serve yet. Then the newest, then the greatest name, as in Tilt.
    """
    eligible = [pod for pod in pods if _phase(pod) == "Running" or _is_deleting(pod)]
    judged = rank(eligible, last_name=True)
    return judged[0].pod if judged else None


def _resolved(forwards: Iterable[Forward], pod: Object) -> Iterable[Forward]:
    """With container ports; a forward whose port cannot be told has its error at the Relay."""
    for forward in forwards:
        try:
            port = forward.container_port or documented_port(pod, forward.local_port)
        except UserError:
            continue
        yield Forward(
            local_port=forward.local_port,
            container_port=port,
            host=forward.host,
            name=forward.name,
            path=forward.path,
        )


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def _is_deleting(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))
