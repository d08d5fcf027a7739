"""The fields of a Relay: their defaults and limits make the schema; ``rules`` has the rest."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ferryman.api import codec
from ferryman.api.conditions import Condition
from ferryman.api.resource import Object, Resource

RELAYS = Resource("ferryman.dev", "v1alpha1", "relays", "Relay", namespaced=False)

Balance = Literal["Newest", "RoundRobin", "LeastConnections"]
EndpointState = Literal["Active", "Unready", "Draining"]

Duration = Annotated[str, Meta(extra_json_schema={"format": "duration"})]
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
    faults: Annotated[
        tuple[Annotated[str, Meta(max_length=128)], ...],
        Meta(
            description="What is done to connections on purpose, such as latency=200ms, "
            "rate=64k,down or reset@1KB,share=10%.",
            max_length=16,
            extra_json_schema=_ATOMIC,
        ),
    ] = ()
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
