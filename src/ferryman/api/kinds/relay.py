"""Relay: the one native kind for everything that listens and carries.

``controllers.relay`` turns it into listeners and endpoints of the data plane, and writes its
status. The structs below are its fields; their defaults and limits make the schema, and
``_validate`` has the rules that span fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ferryman import addresses
from ferryman.api import codec
from ferryman.api.conditions import Condition
from ferryman.api.durations import parse_duration
from ferryman.api.openapi import object_schema
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.api.selectors import parse_labels
from ferryman.api.status import Cause
from ferryman.api.tables import age, condition_cell
from ferryman.api.validation import bad, duplicate, forbidden, port_name, port_number, required
from ferryman.errors import UserError

RELAYS = Resource("ferryman.dev", "v1alpha1", "relays", "Relay", namespaced=False)

Balance = Literal["Newest", "RoundRobin", "LeastConnections"]
EndpointState = Literal["Active", "Unready", "Draining"]

Duration = Annotated[str, Meta(extra_json_schema={"format": "duration"})]
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9.-]{1,253})?")
_LIST_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_LIST_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
_ATOMIC = {"x-kubernetes-list-type": "atomic"}


class Listen(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Where to listen: a port on hosts, or an address such as /run/x.sock."""

    hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="IP addresses, or localhost for both loopback addresses; "
            "127.0.0.1 and ::1 if there is no address.",
            max_length=16,
            extra_json_schema=_ATOMIC,
        ),
    ] = ()
    port: Annotated[int, Meta(description="0 is a random port, kept for life.", ge=0, le=65535)] = 0
    address: Annotated[str, Meta(description="Instead of hosts and port: a short form.")] = ""


class Port(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One listener and the port of the target that it leads to."""

    name: Annotated[str, Meta(description="Unique; may be left out if there is one port only.")] = (
        ""
    )
    listen: Listen = Listen()
    target_port: Annotated[
        int | str | None,
        Meta(
            description="A port's number or name; the port that is listened on by default. 0, with "
            "a discovery, is the one that each pod documents for the port that is listened on."
        ),
    ] = None
    path: Annotated[str, Meta(description="The path of the link that is shown to people.")] = ""


class Workload(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A workload in a cluster; resolved by name at every change."""

    cluster: Annotated[
        str, Meta(description="A kubeconfig's context; the current one by default.")
    ] = ""
    namespace: Annotated[
        str, Meta(description="The namespace of the kubeconfig's context by default.")
    ] = ""
    kind: Annotated[
        str,
        Meta(
            description="pod, deployment, service, …, or any kind that owns pods; short names and "
            "groups (rollouts.argoproj.io) as in kubectl."
        ),
    ]
    name: str = ""
    selector: Annotated[
        str, Meta(description="Instead of a name, with kind pod: labels, such as app=web.")
    ] = ""


class Discovery(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The pods that a KubernetesDiscovery has found."""

    name: str


class Target(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Where connections lead to: exactly one of workload, discovery and address."""

    workload: Workload | None = None
    discovery: Discovery | None = None
    address: Annotated[str, Meta(description="localhost:8081, [::1]:80 or /run/x.sock.")] = ""


class Hold(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """How connections wait while there is no endpoint."""

    timeout: Annotated[
        Duration, Meta(description="How long, before they are reset; 0s: at once.")
    ] = "30s"
    max_connections: Annotated[int, Meta(description="How many may wait.", ge=0, le=65536)] = 256


class Retry(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What happens to a connection whose endpoint went away before it answered."""

    ambiguous: Annotated[
        Literal["Never", "IdempotentHTTP", "Always"],
        Meta(description="What is sent again if it may have been delivered already."),
    ] = "IdempotentHTTP"
    buffer_bytes: Annotated[
        int, Meta(description="How much is kept for it.", ge=0, le=16 * 1024 * 1024)
    ] = 65536


class Drain(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What happens to open connections when their endpoint is going away."""

    timeout: Annotated[
        Duration, Meta(description="When they are reset; 0s: they end by themselves.")
    ] = "0s"


class Inspect(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """How much of what is said is shown."""

    mode: Literal["Off", "Summary", "Full"] = "Off"


class RelaySpec(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What a person wants of a relay."""

    ports: Annotated[
        tuple[Port, ...], Meta(min_length=1, max_length=256, extra_json_schema=_LIST_BY_NAME)
    ]
    target: Target
    balance: Annotated[
        Balance, Meta(description="Which of several ready endpoints takes a connection.")
    ] = "Newest"
    hold: Hold = Hold()
    retry: Retry = Retry()
    drain: Drain = Drain()
    inspect: Inspect = Inspect()
    suspend: Annotated[bool, Meta(description="Close the listeners for the time being.")] = False


class PortStatus(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Where a port is really listened on; ``error`` says why it is not, or leads nowhere."""

    name: str
    addresses: Annotated[tuple[str, ...], Meta(extra_json_schema=_ATOMIC)] = ()
    port: int = 0
    target_port: Annotated[
        int, Meta(description="The port inside the pods, once a name or a service's is resolved.")
    ] = 0
    error: str = ""


class EndpointStatus(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One place that connections may lead to; ``pod`` is empty for a plain address."""

    pod: str = ""
    uid: str = ""
    port: int = 0
    state: EndpointState
    reason: str = ""


class Connections(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Counts since the relay began; written at most every 10 s."""

    open: int = 0
    held: int = 0
    total: int = 0
    failed: int = 0


class RelayStatus(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What is so."""

    observed_generation: int = 0
    ports: Annotated[tuple[PortStatus, ...], Meta(extra_json_schema=_LIST_BY_NAME)] = ()
    endpoints: Annotated[tuple[EndpointStatus, ...], Meta(extra_json_schema=_ATOMIC)] = ()
    connections: Connections = Connections()
    conditions: Annotated[tuple[Condition, ...], Meta(extra_json_schema=_LIST_BY_TYPE)] = ()


def spec_of(relay: Object) -> RelaySpec:
    """The spec of a relay as it came out of a store; BadRequest if it is none."""
    return codec.decode(RelaySpec, relay.get("spec"))


def status_of(relay: Object) -> RelayStatus:
    """The status of a relay; an empty one if nobody has written any."""
    return codec.decode(RelayStatus, relay.get("status") or {})


def new_relay(name: str, spec: RelaySpec, **metadata: Any) -> Object:
    """A relay to create."""
    return {
        "apiVersion": RELAYS.api_version,
        "kind": RELAYS.kind,
        "metadata": {"name": name, **metadata},
        "spec": codec.encode(spec),
    }


def listen_hosts(listen: Listen) -> tuple[str, ...]:
    """The IP addresses that ``hosts`` means."""
    hosts: dict[str, None] = {}
    for host in listen.hosts:
        both = ("127.0.0.1", "::1")
        hosts.update(dict.fromkeys(both if host == "localhost" else (host,)))
    return tuple(hosts)


def _default(relay: Object) -> None:
    """What depends on other fields; the schema has said the rest."""
    spec = relay["spec"]
    workload = spec["target"].get("address", "") == ""
    for port in spec["ports"]:
        listen = port["listen"]
        if not listen.get("address") and "hosts" not in listen:
            listen["hosts"] = ["127.0.0.1", "::1"]
        if workload and port.get("targetPort") is None and listen.get("port"):
            port["targetPort"] = listen["port"]
        if not port.get("name") and len(spec["ports"]) == 1:
            port["name"] = "main"


def _validate(relay: Object) -> Iterator[Cause]:
    spec = spec_of(relay)
    yield from _target_causes(spec.target)
    yield from _port_causes(spec)
    for field, text in (
        ("spec.hold.timeout", spec.hold.timeout),
        ("spec.drain.timeout", spec.drain.timeout),
    ):
        try:
            parse_duration(text)
        except UserError as error:
            yield bad(field, text, f"not a duration; {error.hint or 'it is too long'}")


def _target_causes(target: Target) -> Iterator[Cause]:
    given = [
        name
        for name, value in (
            ("workload", target.workload),
            ("discovery", target.discovery),
            ("address", target.address),
        )
        if value
    ]
    if not given:
        yield required("spec.target", "one of workload, discovery and address")
    for name in given[1:]:
        yield forbidden(f"spec.target.{name}", f"may not be set together with {given[0]}")
    if target.workload is not None:
        yield from _workload_causes("spec.target.workload", target.workload)
    if target.discovery is not None and not target.discovery.name:
        yield required("spec.target.discovery.name")
    if target.address:
        yield from _address_causes("spec.target.address", target.address)


def _workload_causes(at: str, workload: Workload) -> Iterator[Cause]:
    if not _KIND.fullmatch(workload.kind):
        yield bad(f"{at}.kind", workload.kind, "must be a kind's name, such as deployment")
    if not workload.selector:
        if not workload.name:
            yield required(f"{at}.name")
        return
    if workload.name:
        yield forbidden(f"{at}.selector", "may not be set together with name")
    if workload.kind != "pod":
        yield bad(f"{at}.kind", workload.kind, "must be pod where there is a selector")
    try:
        empty = not parse_labels(workload.selector)
    except UserError as error:
        yield bad(f"{at}.selector", workload.selector, error.hint or error.message)
    else:
        if empty:
            yield bad(f"{at}.selector", workload.selector, "must select by something")


def _port_causes(spec: RelaySpec) -> Iterator[Cause]:
    names: set[str] = set()
    taken: set[object] = set()
    for i, port in enumerate(spec.ports):
        at = f"spec.ports[{i}]"
        if not port.name:
            yield required(f"{at}.name", "several ports need names")
        elif port.name in names:
            yield duplicate(f"{at}.name", port.name)
        else:
            yield from port_name(f"{at}.name", port.name)
        names.add(port.name)
        yield from _listen_causes(f"{at}.listen", port.listen, taken)
        yield from _target_port_causes(f"{at}.targetPort", port.target_port, spec.target)
        if port.path and not port.path.startswith("/"):
            yield bad(f"{at}.path", port.path, "must start with /")


def _listen_causes(at: str, listen: Listen, taken: set[object]) -> Iterator[Cause]:
    if listen.address:
        for name in ("hosts", "port"):
            if getattr(listen, name):
                yield forbidden(f"{at}.{name}", "may not be set together with address")
        yield from _address_causes(f"{at}.address", listen.address)
        if listen.address in taken:
            yield duplicate(f"{at}.address", listen.address)
        taken.add(listen.address)
        return
    if not listen.hosts:
        yield required(f"{at}.hosts")
    for i, host in enumerate(listen.hosts):
        if not host or any(c in host for c in "[]/% \t\n") or len(host) > 253:
            yield bad(f"{at}.hosts[{i}]", host, "must be an IP address or a host's name")
    if listen.port:
        for host in listen_hosts(listen):
            if (host, listen.port) in taken:
                yield duplicate(f"{at}.port", listen.port)
                break
        taken.update((host, listen.port) for host in listen_hosts(listen))


def _target_port_causes(at: str, port: int | str | None, target: Target) -> Iterator[Cause]:
    if target.address:
        if port is not None:
            yield forbidden(at, "the target's address has the port")
    elif port is None:
        yield required(at, "a random or UNIX listener does not say which port of the target")
    elif isinstance(port, int):
        yield from port_number(at, port, least=0 if target.discovery is not None else 1)
    else:
        yield from port_name(at, port)


def _address_causes(at: str, text: str) -> Iterator[Cause]:
    try:
        addresses.parse(text)
    except UserError as error:
        yield bad(at, text, error.hint or error.message)


def _target_text(relay: Object) -> str:
    target = relay.get("spec", {}).get("target", {})
    if (workload := target.get("workload")) and workload.get("selector"):
        return f"pods with {workload['selector']}"
    if workload:
        return f"{workload.get('kind', '')}/{workload.get('name', '')}"
    if discovery := target.get("discovery"):
        return f"discovery/{discovery.get('name', '')}"
    return str(target.get("address", ""))


def _listen_text(relay: Object, _: datetime) -> str:
    status = {p.get("name"): p for p in relay.get("status", {}).get("ports", ())}
    texts = []
    for port in relay.get("spec", {}).get("ports", ()):
        bound = status.get(port.get("name"), {}).get("addresses") or ()
        listen = port.get("listen", {})
        wanted = listen.get("address") or str(listen.get("port", 0))
        texts.append(str(bound[0]) if bound else wanted)
    return ",".join(texts)


def _pod_text(relay: Object, _: datetime) -> str:
    endpoints = relay.get("status", {}).get("endpoints", ())
    pods = dict.fromkeys(e.get("pod", "") for e in endpoints if e.get("state") == "Active")
    return ",".join(p for p in pods if p)


def _count(name: str) -> Any:
    def cell(relay: Object, _: datetime) -> int:
        return int(relay.get("status", {}).get("connections", {}).get(name, 0))

    return cell


RELAY = Kind(
    resource=RELAYS,
    singular="relay",
    short_names=("rl",),
    categories=("all", "ferryman"),
    columns=(
        Column("Name", lambda relay, _: str(relay["metadata"]["name"])),
        Column("Ready", condition_cell("Ready"), description="Whether connections get through."),
        Column("Listen", _listen_text, description="Where it listens."),
        Column("Target", lambda relay, _: _target_text(relay), description="Where it leads to."),
        Column("Pod", _pod_text, description="The pods that take connections now."),
        Column("Connections", _count("open"), kind="integer", description="Open connections."),
        Column("Age", age),
        Column("Held", _count("held"), wide=True, kind="integer"),
        Column("Total", _count("total"), wide=True, kind="integer"),
        Column("Failed", _count("failed"), wide=True, kind="integer"),
        Column("Reason", condition_cell("Ready", "reason"), wide=True),
    ),
    schema=object_schema(RELAYS, RelaySpec, RelayStatus, "Carries connections to a target."),
    default=_default,
    validate=_validate,
)
