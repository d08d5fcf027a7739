"""What a relay's status says: its conditions and ports, in words that a person can act on; pure.

``plan`` puts them together; where the ports lead has been found out by ``resolving``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field

from ferryman.access.credentials import CredentialFailed
from ferryman.addresses import TcpAddress
from ferryman.api.kinds.kubernetesdiscovery import KUBERNETES_DISCOVERIES
from ferryman.api.kinds.relay import EndpointStatus, Port, PortStatus, RelaySpec
from ferryman.api.kinds.relay import Target as RelayTarget
from ferryman.api.status import Forbidden, Unauthorized, is_busy
from ferryman.controllers.relay.claims import binds, listener_of
from ferryman.controllers.relay.resolving import Resolved, Seen, endpoint_statuses, target_of
from ferryman.controllers.relay.troubles import Trouble
from ferryman.dataplane.contract import (
    Applied,
    Bind,
    Bound,
    ListenerCounters,
    Listeners,
    NotBound,
)
from ferryman.errors import FerrymanError, UserError
from ferryman.kube import rbac
from ferryman.kube.targets import UnknownKind, check_has_pods


class World(Struct, frozen=True):
    """Everything that a plan depends on besides the relay itself.

    ``listeners`` is what is listened on for whom, ``applied`` what came of it; ``lost`` (claims),
    ``troubles`` and ``counters`` go by listener. ``refused`` says why the cluster does not accept
    the credential for new wires, if it does not; ``no_credential`` why there is no other.
    """

    now: datetime
    seen: Seen = field(default_factory=Seen)
    applied: Applied = field(default_factory=dict)
    lost: Mapping[str, Mapping[Bind, str]] = field(default_factory=dict)
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    refused: str = ""
    no_credential: str = ""
    counters: Mapping[str, ListenerCounters] = field(default_factory=dict)
    listeners: Listeners = field(default_factory=dict)


class Verdict(Struct, frozen=True):
    """What becomes a condition."""

    status: bool | None
    reason: str
    message: str


def verdicts(
    name: str, spec: RelaySpec, resolved: Mapping[str, Resolved], world: World
) -> dict[str, Verdict]:
    """The relay's conditions, ``Ready`` last."""
    found = {
        "Bound": _bound(name, spec, world),
        "TargetReady": _target_ready(spec, resolved, world.seen),
        "Reachable": _reachable(name, spec, resolved, world),
    }
    return {**found, "Ready": _ready(found)}


def port_status(name: str, port: Port, resolved: Resolved, world: World) -> PortStatus:
    """Where a port is listened on, where it leads to, and what is wrong with it."""
    listener = listener_of(name, port.name)
    # What it is to have, then what it still has until it gets that.
    all_binds = (*binds(name, port), *(b for b, of in world.listeners.items() if of == listener))
    bound = [
        b.address
        for bind in dict.fromkeys(all_binds)
        if isinstance(b := world.applied.get(bind), Bound) and world.listeners.get(bind) == listener
    ]
    numbers = [a.port for a in bound if isinstance(a, TcpAddress)]
    errors = [text for _, text in _not_bound(name, port, world)]
    if resolved.error is not None:
        errors.append(resolved.error.message)
    if trouble := _trouble(name, port.name, resolved, world):
        errors.append(_trouble_text(trouble, resolved))
    return PortStatus(
        name=port.name,
        addresses=tuple(str(address) for address in bound),
        port=numbers[0] if numbers else 0,
        target_port=resolved.port,
        error="; ".join(dict.fromkeys(errors)),
    )


def _not_bound(name: str, port: Port, world: World) -> list[tuple[str, str]]:
    """Reason and message for each address that cannot be listened on.

    One that this machine does not have (no IPv6, say) is not missed if another is listened on.
    """
    lost = world.lost.get(listener_of(name, port.name), {})
    wanted = binds(name, port)
    some = any(isinstance(world.applied.get(bind), Bound) for bind in wanted)
    failures = []
    for bind in wanted:
        if bind in lost:
            failures.append(("PortClaimed", f"{bind.address} is claimed by relay/{lost[bind]}"))
            continue
        failure = world.applied.get(bind)
        if isinstance(failure, NotBound) and not (failure.absent and some):
            reason = "AddressInUse" if failure.holder else "NotBound"
            failures.append((reason, str(failure)))
    return failures


def _bound(name: str, spec: RelaySpec, world: World) -> Verdict:
    if spec.suspend:
        return Verdict(False, "Suspended", "suspended: nothing is listened on")
    failures = [f for port in spec.ports for f in _not_bound(name, port, world)]
    if failures:
        return Verdict(False, failures[0][0], "; ".join(message for _, message in failures))
    outcomes = [world.applied.get(bind) for port in spec.ports for bind in binds(name, port)]
    if None in outcomes:
        return Verdict(None, "Binding", "about to listen")
    bound = [str(outcome.address) for outcome in outcomes if isinstance(outcome, Bound)]
    return Verdict(True, "Bound", f"listening on {', '.join(bound)}")


def _target_ready(spec: RelaySpec, resolved: Mapping[str, Resolved], seen: Seen) -> Verdict:
    if spec.target.address:
        return Verdict(True, "Address", f"{spec.target.address} is dialled at each connection")
    what = _target_text(spec.target)
    if isinstance(seen.error, UnknownKind):
        return Verdict(False, "KindNotFound", str(seen.error))
    if seen.object is None:
        if not seen.synced:
            return Verdict(None, "Resolving", f"{what} has not been seen yet")
        return Verdict(False, "TargetNotFound", _not_found(spec.target, seen))
    try:
        if spec.target.workload is not None:
            related = seen.related if seen.synced else None
            check_has_pods(target_of(spec.target.workload), seen.object, related)
    except UserError as error:
        return Verdict(False, "NoSelector", str(error))
    for port in resolved.values():
        if port.error is not None:
            return Verdict(False, "PortNotFound", str(port.error))
    statuses = endpoint_statuses(resolved)
    active = [s.pod for s in statuses if s.state == "Active"]
    if active:
        return Verdict(True, "PodReady", f"pod/{active[0]} is {_reason(statuses, 'Active')}")
    if not seen.synced:
        return Verdict(None, "Resolving", f"the pods of {what} have not been seen yet")
    if not statuses:
        return Verdict(False, "NoPods", f"{what} has no pods")
    return Verdict(False, "NoReadyPod", f"pod/{statuses[0].pod} is {statuses[0].reason}")


def _target_text(target: RelayTarget) -> str:
    if target.workload is not None:
        return str(target_of(target.workload))
    return f"discovery/{target.discovery.name}" if target.discovery is not None else ""


def _not_found(target: RelayTarget, seen: Seen) -> str:
    """In Kubernetes' words."""
    if target.workload is not None:
        resource = target_of(target.workload).resource or seen.resource
        kind = resource.full_name if resource is not None else target.workload.kind
        return f'{kind} "{target.workload.name}" not found'
    name = target.discovery.name if target.discovery is not None else ""
    return f'{KUBERNETES_DISCOVERIES.full_name} "{name}" not found'


def _reason(statuses: tuple[EndpointStatus, ...], state: str) -> str:
    return next(s.reason for s in statuses if s.state == state)


def _reachable(
    name: str, spec: RelaySpec, resolved: Mapping[str, Resolved], world: World
) -> Verdict:
    if world.seen.error is not None and not isinstance(world.seen.error, UnknownKind):
        return _unreadable(spec, world.seen.error)
    if world.no_credential:
        return Verdict(False, "CredentialFailed", world.no_credential)
    for port, found in resolved.items():
        if trouble := _trouble(name, port, found, world):
            return _dialled_in_vain(spec, trouble, found)
    if world.refused:
        return Verdict(
            False, "Unauthorized", f"the cluster refuses the credential: {world.refused}"
        )
    return Verdict(True, "Reachable", "no dial has failed lately")


def _trouble(name: str, port: str, resolved: Resolved, world: World) -> Trouble | None:
    """Why a port's dials fail; what failed with an endpoint that is gone went with it."""
    trouble = world.troubles.get(listener_of(name, port))
    dialled = {endpoint.id for endpoint in resolved.endpoints if endpoint.state == "Active"}
    return trouble if trouble is not None and trouble.endpoint in dialled else None


def _dialled_in_vain(spec: RelaySpec, trouble: Trouble, found: Resolved) -> Verdict:
    """What the API server refuses is told in the same words, whoever was refused."""
    if trouble.kind == "forbidden":
        return _forbidden(spec, Forbidden(trouble.message))
    if trouble.kind == "unauthorized":
        text = f"the cluster refuses the credential: {trouble.message}"
        return Verdict(False, "Unauthorized", text)
    return Verdict(False, f"Dial{trouble.kind.title()}", _trouble_text(trouble, found))


def _trouble_text(trouble: Trouble, found: Resolved) -> str:
    """Who failed, and how. What a node says of a refused port fills five lines."""
    uid, _, port = trouble.endpoint.partition(":")
    pod = next((status.pod for status in found.statuses if status.uid == uid), "")
    if not pod:
        return trouble.message
    if trouble.kind == "refused":
        return f"{pod} refuses connections on port {port}"
    return f"{pod}: {trouble.message}"


def _forbidden(spec: RelaySpec, error: Forbidden) -> Verdict:
    workload = spec.target.workload
    needed = rbac.needed(target_of(workload)) if workload is not None else ()
    return Verdict(False, "Forbidden", str(rbac.explain(error, needed)))


def _unreadable(spec: RelaySpec, error: FerrymanError) -> Verdict:
    if isinstance(error, Forbidden):
        return _forbidden(spec, error)
    return Verdict(False, _reason_of(error), str(error))


def _reason_of(error: FerrymanError) -> str:
    """Why a cluster cannot be read, in one word."""
    if isinstance(error, Unauthorized):
        return "Unauthorized"
    if isinstance(error, CredentialFailed):
        return "CredentialFailed"
    return "ClusterBusy" if is_busy(error) else "ClusterUnreachable"


def _ready(verdicts: Mapping[str, Verdict]) -> Verdict:
    """The first thing that is wrong, or else the first that is not known."""
    wrong = [v for v in verdicts.values() if v.status is False]
    unknown = [v for v in verdicts.values() if v.status is None]
    if wrong:
        return Verdict(False, wrong[0].reason, wrong[0].message)
    if unknown:
        return Verdict(False, unknown[0].reason, unknown[0].message)
    return Verdict(True, "Ready", "connections go through")
