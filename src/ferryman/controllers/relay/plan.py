"""What a relay comes to, given what is seen of the world; pure.

``claims`` has decided who listens where. Here: which endpoints each port leads to (``kube``
judges pods), how connections are treated, and a status that says what is so and why, in words
that a person can act on. ``reconciler`` gathers the world and acts on the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ferryman.access.credentials import CredentialFailed
from ferryman.addresses import TcpAddress, parse
from ferryman.api.conditions import Conditions, set_condition
from ferryman.api.durations import parse_duration
from ferryman.api.kinds.kubernetesdiscovery import KUBERNETES_DISCOVERIES
from ferryman.api.kinds.relay import (
    Connections,
    EndpointStatus,
    Port,
    PortStatus,
    RelaySpec,
    RelayStatus,
    Workload,
)
from ferryman.api.kinds.relay import Target as RelayTarget
from ferryman.api.resource import Object, Resource
from ferryman.api.status import Forbidden, Unauthorized, is_busy
from ferryman.controllers.relay.claims import binds, listener_of
from ferryman.controllers.relay.troubles import Trouble
from ferryman.dataplane.contract import (
    Applied,
    Bind,
    Bound,
    Endpoint,
    ListenerCounters,
    Listeners,
    NotBound,
    Policy,
)
from ferryman.errors import FerrymanError, UserError
from ferryman.kube import rbac
from ferryman.kube.dialspec import Resolution, resolve, resolve_found
from ferryman.kube.targets import (
    NOTHING_RELATED,
    Related,
    Target,
    UnknownKind,
    check_has_pods,
    parse_kind,
    resolve_port,
    template_of,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a workload or a discovery: ``object`` is None if it is not there.

    ``synced`` says whether everything was read at least once; ``error`` why it cannot be read
    now, in which case the rest is what was known before. ``cluster`` is the context that a
    discovery's pods are in; ``related`` is what else decides which pods are the target's, and
    ``resource`` what kind a target turned out to be that only the cluster knows.
    """

    object: Object | None = None
    pods: tuple[Object, ...] = ()
    synced: bool = False
    error: FerrymanError | None = None
    cluster: str = ""
    related: Related = NOTHING_RELATED
    resource: Resource | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a plan depends on besides the relay itself.

    ``listeners`` is what is listened on for whom, ``applied`` what came of it; ``lost`` (claims),
    ``troubles`` and ``counters`` go by listener. ``refused`` says why the cluster does not accept
    the credential for new wires, if it does not; ``no_credential`` why there is no other.
    """

    now: datetime
    seen: Seen = Seen()
    applied: Applied = field(default_factory=dict)
    lost: Mapping[str, Mapping[Bind, str]] = field(default_factory=dict)
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    refused: str = ""
    no_credential: str = ""
    counters: Mapping[str, ListenerCounters] = field(default_factory=dict)
    listeners: Listeners = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: ``endpoints`` go by listener."""

    endpoints: Mapping[str, tuple[Endpoint, ...]]
    policy: Policy
    status: RelayStatus


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What becomes a condition."""

    status: bool | None
    reason: str
    message: str


def target_of(workload: Workload) -> Target:
    """The workload as ``kube`` knows it; UserError for what cannot be a kind's name."""
    return Target(parse_kind(workload.kind), workload.namespace, workload.name, workload.selector)


def plan(name: str, generation: int, spec: RelaySpec, before: RelayStatus, world: World) -> Plan:
    """Decide; ``before`` is the present status, whose times are kept where nothing turned."""
    resolved = {port.name: _resolve(spec, port, world.seen) for port in spec.ports}
    verdicts = {
        "Bound": _bound(name, spec, world),
        "TargetReady": _target_ready(spec, resolved, world.seen),
        "Reachable": _reachable(name, spec, resolved, world),
    }
    conditions: Conditions = tuple(c for c in before.conditions if c.type in (*verdicts, "Ready"))
    for kind, verdict in {**verdicts, "Ready": _ready(verdicts)}.items():
        conditions = set_condition(
            conditions,
            kind,
            "Unknown" if verdict.status is None else verdict.status,
            verdict.reason,
            verdict.message,
            now=world.now,
            generation=generation,
        )
    status = RelayStatus(
        observed_generation=generation,
        ports=tuple(_port_status(name, port, resolved[port.name], world) for port in spec.ports),
        endpoints=_endpoint_statuses(resolved),
        connections=_connections(name, spec, world.counters),
        conditions=conditions,
    )
    led = {listener_of(name, port): found.endpoints for port, found in resolved.items()}
    return Plan(led, policy(spec), status)


def endpoints(name: str, spec: RelaySpec, seen: Seen) -> dict[str, tuple[Endpoint, ...]]:
    """Where each listener leads now, best first; what cannot be resolved leads nowhere."""
    return {
        listener_of(name, port.name): _resolve(spec, port, seen).endpoints for port in spec.ports
    }


def policy(spec: RelaySpec) -> Policy:
    """How connections are treated."""
    return Policy(
        balance=spec.balance,
        hold=parse_duration(spec.hold.timeout),
        hold_connections=spec.hold.max_connections,
        ambiguous=spec.retry.ambiguous,
        replay_bytes=spec.retry.buffer_bytes,
        drain=parse_duration(spec.drain.timeout),
    )


# -- where a port leads --


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A port's endpoints and what status says of them; ``port`` is 0 while it is not known."""

    endpoints: tuple[Endpoint, ...] = ()
    statuses: tuple[EndpointStatus, ...] = ()
    port: int = 0
    error: UserError | None = None


def _resolve(spec: RelaySpec, port: Port, seen: Seen) -> _Resolved:
    target = spec.target
    if target.address:
        return _plain(target.address)
    if seen.object is None:
        return _Resolved()
    wanted = port.target_port if port.target_port is not None else port.listen.port
    try:
        if target.workload is None:
            found = resolve_found(seen.cluster, seen.pods, wanted, port.listen.port)
        else:
            workload = target_of(target.workload)
            found = resolve(
                target.workload.cluster, workload, seen.object, seen.pods, wanted, seen.related
            )
    except UserError as error:
        return _Resolved(error=error)
    statuses = tuple(
        EndpointStatus(pod=p.pod, uid=p.uid, port=p.port, state=p.state, reason=p.reason)
        for p in found.places
    )
    number = found.port or _port_of_template(seen, seen.object, wanted)
    return _Resolved(found.endpoints, statuses, number, _lacking(found))


def _plain(text: str) -> _Resolved:
    address = parse(text)
    port = address.port if isinstance(address, TcpAddress) else 0
    status = EndpointStatus(port=port, state="Active", reason=f"dialled at {address}")
    return _Resolved((Endpoint(text, address),), (status,), port)


def _port_of_template(seen: Seen, target_object: Object, wanted: int | str) -> int:
    """The port that the pods to come will have, as far as it can be told without one."""
    pod = {**template_of(target_object), "metadata": target_object["metadata"]}
    try:
        return resolve_port(target_object, pod, wanted, seen.related)
    except UserError:
        return 0


def _lacking(found: Resolution) -> UserError | None:
    """The reason if there are pods that stay and none of them has the port."""
    staying = [place for place in found.places if place.state != "Draining"]
    if staying and not any(place.port for place in staying):
        return UserError(staying[0].reason)
    return None


def _endpoint_statuses(resolved: Mapping[str, _Resolved]) -> tuple[EndpointStatus, ...]:
    return tuple(dict.fromkeys(s for port in resolved.values() for s in port.statuses))


# -- what status says --


def _port_status(name: str, port: Port, resolved: _Resolved, world: World) -> PortStatus:
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


def _bound(name: str, spec: RelaySpec, world: World) -> _Verdict:
    if spec.suspend:
        return _Verdict(False, "Suspended", "suspended: nothing is listened on")
    failures = [f for port in spec.ports for f in _not_bound(name, port, world)]
    if failures:
        return _Verdict(False, failures[0][0], "; ".join(message for _, message in failures))
    outcomes = [world.applied.get(bind) for port in spec.ports for bind in binds(name, port)]
    if None in outcomes:
        return _Verdict(None, "Binding", "about to listen")
    bound = [str(outcome.address) for outcome in outcomes if isinstance(outcome, Bound)]
    return _Verdict(True, "Bound", f"listening on {', '.join(bound)}")


def _target_ready(spec: RelaySpec, resolved: Mapping[str, _Resolved], seen: Seen) -> _Verdict:
    if spec.target.address:
        return _Verdict(True, "Address", f"{spec.target.address} is dialled at each connection")
    what = _target_text(spec.target)
    if isinstance(seen.error, UnknownKind):
        return _Verdict(False, "KindNotFound", str(seen.error))
    if seen.object is None:
        if not seen.synced:
            return _Verdict(None, "Resolving", f"{what} has not been seen yet")
        return _Verdict(False, "TargetNotFound", _not_found(spec.target, seen))
    try:
        if spec.target.workload is not None:
            related = seen.related if seen.synced else None
            check_has_pods(target_of(spec.target.workload), seen.object, related)
    except UserError as error:
        return _Verdict(False, "NoSelector", str(error))
    for port in resolved.values():
        if port.error is not None:
            return _Verdict(False, "PortNotFound", str(port.error))
    statuses = _endpoint_statuses(resolved)
    active = [s.pod for s in statuses if s.state == "Active"]
    if active:
        return _Verdict(True, "PodReady", f"pod/{active[0]} is {_reason(statuses, 'Active')}")
    if not seen.synced:
        return _Verdict(None, "Resolving", f"the pods of {what} have not been seen yet")
    if not statuses:
        return _Verdict(False, "NoPods", f"{what} has no pods")
    return _Verdict(False, "NoReadyPod", f"pod/{statuses[0].pod} is {statuses[0].reason}")


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
    name: str, spec: RelaySpec, resolved: Mapping[str, _Resolved], world: World
) -> _Verdict:
    if world.seen.error is not None and not isinstance(world.seen.error, UnknownKind):
        return _unreadable(spec, world.seen.error)
    if world.no_credential:
        return _Verdict(False, "CredentialFailed", world.no_credential)
    for port, found in resolved.items():
        if trouble := _trouble(name, port, found, world):
            return _dialled_in_vain(spec, trouble, found)
    if world.refused:
        return _Verdict(
            False, "Unauthorized", f"the cluster refuses the credential: {world.refused}"
        )
    return _Verdict(True, "Reachable", "no dial has failed lately")


def _trouble(name: str, port: str, resolved: _Resolved, world: World) -> Trouble | None:
    """Why a port's dials fail; what failed with an endpoint that is gone went with it."""
    trouble = world.troubles.get(listener_of(name, port))
    dialled = {endpoint.id for endpoint in resolved.endpoints if endpoint.state == "Active"}
    return trouble if trouble is not None and trouble.endpoint in dialled else None


def _dialled_in_vain(spec: RelaySpec, trouble: Trouble, found: _Resolved) -> _Verdict:
    """What the API server refuses is told in the same words, whoever was refused."""
    if trouble.kind == "forbidden":
        return _forbidden(spec, Forbidden(trouble.message))
    if trouble.kind == "unauthorized":
        text = f"the cluster refuses the credential: {trouble.message}"
        return _Verdict(False, "Unauthorized", text)
    return _Verdict(False, f"Dial{trouble.kind.title()}", _trouble_text(trouble, found))


def _trouble_text(trouble: Trouble, found: _Resolved) -> str:
    """Who failed, and how. What a node says of a refused port fills five lines."""
    uid, _, port = trouble.endpoint.partition(":")
    pod = next((status.pod for status in found.statuses if status.uid == uid), "")
    if not pod:
        return trouble.message
    if trouble.kind == "refused":
        return f"{pod} refuses connections on port {port}"
    return f"{pod}: {trouble.message}"


def _forbidden(spec: RelaySpec, error: Forbidden) -> _Verdict:
    workload = spec.target.workload
    needed = rbac.needed(target_of(workload)) if workload is not None else ()
    return _Verdict(False, "Forbidden", str(rbac.explain(error, needed)))


def _unreadable(spec: RelaySpec, error: FerrymanError) -> _Verdict:
    if isinstance(error, Forbidden):
        return _forbidden(spec, error)
    return _Verdict(False, _reason_of(error), str(error))


def _reason_of(error: FerrymanError) -> str:
    """Why a cluster cannot be read, in one word."""
    if isinstance(error, Unauthorized):
        return "Unauthorized"
    if isinstance(error, CredentialFailed):
        return "CredentialFailed"
    return "ClusterBusy" if is_busy(error) else "ClusterUnreachable"


def _ready(verdicts: Mapping[str, _Verdict]) -> _Verdict:
    """The first thing that is wrong, or else the first that is not known."""
    wrong = [v for v in verdicts.values() if v.status is False]
    unknown = [v for v in verdicts.values() if v.status is None]
    if wrong:
        return _Verdict(False, wrong[0].reason, wrong[0].message)
    if unknown:
        return _Verdict(False, unknown[0].reason, unknown[0].message)
    return _Verdict(True, "Ready", "connections go through")


def _connections(
    name: str, spec: RelaySpec, counters: Mapping[str, ListenerCounters]
) -> Connections:
    ours = [counters.get(listener_of(name, p.name), ListenerCounters()) for p in spec.ports]
    return Connections(
        open=sum(c.open for c in ours),
        held=sum(c.held for c in ours),
        total=sum(c.total for c in ours),
        failed=sum(c.failed for c in ours),
    )
