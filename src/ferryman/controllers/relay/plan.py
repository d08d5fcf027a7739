"""What a relay comes to, given what is seen of the world; pure.

``claims`` has decided who listens where. Here: which endpoints each port leads to (``resolving``),
how connections are treated, and a status (``verdicts``) that says what is so and why.
``reconciler`` gathers the world and acts on the plan.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from ferryman import faults
from ferryman.api.conditions import Conditions, set_condition
from ferryman.api.durations import parse_duration
from ferryman.api.kinds.relay import Connections, RelaySpec, RelayStatus
from ferryman.controllers.relay.claims import listener_of
from ferryman.controllers.relay.resolving import endpoint_statuses, resolve_ports
from ferryman.controllers.relay.verdicts import World, port_status, verdicts
from ferryman.dataplane.contract import Endpoint, ListenerCounters, Policy


class Plan(Struct, frozen=True):
    """What to do: ``endpoints`` go by listener."""

    endpoints: Mapping[str, tuple[Endpoint, ...]]
    policy: Policy
    status: RelayStatus


def plan(name: str, generation: int, spec: RelaySpec, before: RelayStatus, world: World) -> Plan:
    """Decide; ``before`` is the present status, whose times are kept where nothing turned."""
    resolved = resolve_ports(spec, world.seen)
    found = verdicts(name, spec, resolved, world)
    conditions: Conditions = tuple(c for c in before.conditions if c.type in found)
    for kind, verdict in found.items():
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
        ports=tuple(port_status(name, port, resolved[port.name], world) for port in spec.ports),
        endpoints=endpoint_statuses(resolved),
        connections=_connections(name, spec, world.counters),
        conditions=conditions,
    )
    led = {listener_of(name, port): at.endpoints for port, at in resolved.items()}
    return Plan(led, policy(spec), status)


def policy(spec: RelaySpec) -> Policy:
    """How connections are treated."""
    return Policy(
        balance=spec.balance,
        hold=parse_duration(spec.hold.timeout),
        hold_connections=spec.hold.max_connections,
        ambiguous=spec.retry.ambiguous,
        replay_bytes=spec.retry.buffer_bytes,
        drain=parse_duration(spec.drain.timeout),
        observe=spec.inspect.mode,
        faults=faults.parse_all(spec.faults),
    )


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
