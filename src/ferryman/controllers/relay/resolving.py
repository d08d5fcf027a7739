"""Where the ports of a relay lead, given what is seen of its target; pure.

``kube`` judges pods and finds their ports; ``following`` and ``discovered`` see targets, ``plan``
and ``verdicts`` go on with what is resolved here.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from ferryman.addresses import TcpAddress, parse
from ferryman.api.kinds.relay import EndpointStatus, Port, RelaySpec, Workload
from ferryman.api.resource import Object, Resource
from ferryman.controllers.relay.claims import listener_of
from ferryman.dataplane.contract import Endpoint
from ferryman.errors import FerrymanError, UserError
from ferryman.kube.dialspec import Resolution, resolve, resolve_found
from ferryman.kube.targets import (
    NOTHING_RELATED,
    Related,
    Target,
    parse_kind,
    resolve_port,
    template_of,
)


class Seen(Struct, frozen=True):
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


def target_of(workload: Workload) -> Target:
    """The workload as ``kube`` knows it; UserError for what cannot be a kind's name."""
    return Target(parse_kind(workload.kind), workload.namespace, workload.name, workload.selector)


def endpoints(name: str, spec: RelaySpec, seen: Seen) -> dict[str, tuple[Endpoint, ...]]:
    """Where each listener leads now, best first; what cannot be resolved leads nowhere."""
    return {
        listener_of(name, port.name): _resolve(spec, port, seen).endpoints for port in spec.ports
    }


class Resolved(Struct, frozen=True):
    """A port's endpoints and what status says of them; ``port`` is 0 while it is not known."""

    endpoints: tuple[Endpoint, ...] = ()
    statuses: tuple[EndpointStatus, ...] = ()
    port: int = 0
    error: UserError | None = None


def _resolve(spec: RelaySpec, port: Port, seen: Seen) -> Resolved:
    target = spec.target
    if target.address:
        return _plain(target.address)
    if seen.object is None:
        return Resolved()
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
        return Resolved(error=error)
    statuses = tuple(
        EndpointStatus(pod=p.pod, uid=p.uid, port=p.port, state=p.state, reason=p.reason)
        for p in found.places
    )
    number = found.port or _port_of_template(seen, seen.object, wanted)
    return Resolved(found.endpoints, statuses, number, _lacking(found))


def _plain(text: str) -> Resolved:
    address = parse(text)
    port = address.port if isinstance(address, TcpAddress) else 0
    status = EndpointStatus(port=port, state="Active", reason=f"dialled at {address}")
    return Resolved((Endpoint(text, address),), (status,), port)


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


def resolve_ports(spec: RelaySpec, seen: Seen) -> dict[str, Resolved]:
    """By the ports' names."""
    return {port.name: _resolve(spec, port, seen) for port in spec.ports}


def endpoint_statuses(resolved: Mapping[str, Resolved]) -> tuple[EndpointStatus, ...]:
    """What status says of all endpoints, each once."""
    return tuple(dict.fromkeys(s for port in resolved.values() for s in port.statuses))
