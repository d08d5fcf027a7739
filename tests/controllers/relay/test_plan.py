from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from ferryman.addresses import TcpAddress
from ferryman.api.conditions import find_condition
from ferryman.api.kinds.relay import (
    Connections,
    Hold,
    Inspect,
    Listen,
    Port,
    RelaySpec,
    RelayStatus,
    Retry,
    Target,
    Workload,
)
from ferryman.api.resource import Object
from ferryman.api.status import Forbidden
from ferryman.controllers.relay.plan import Plan, plan
from ferryman.controllers.relay.resolving import Seen, endpoints
from ferryman.controllers.relay.troubles import Trouble
from ferryman.controllers.relay.verdicts import World
from ferryman.dataplane.contract import (
    Applied,
    Bind,
    Bound,
    Endpoint,
    ListenerCounters,
    NotBound,
    PodAddress,
    Policy,
)
from ferryman.errors import Unavailable
from ferryman.faults import Fault
from ferryman.kube.targets import unknown_kind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
V4 = Bind(TcpAddress("127.0.0.1", 8080))
V6 = Bind(TcpAddress("::1", 8080))
BOUND: Applied = {V4: Bound(V4.address), V6: Bound(V6.address)}
LABELS = {"app": "web"}
UNKNOWN = RelayStatus()


def spec(kind: Any = "deployment", port: int | str = 8000, name: str = "web") -> RelaySpec:
    workload = Workload(cluster="c", namespace="n", kind=kind, name=name)
    listen = Listen(hosts=("127.0.0.1", "::1"), port=8080)
    return RelaySpec(
        ports=(Port(name="main", listen=listen, target_port=port),),
        target=Target(workload=workload),
    )


def deployment() -> Object:
    container = {"name": "app", "ports": [{"name": "http", "containerPort": 8000}]}
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "n", "uid": "d"},
        "spec": {
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}},
        },
    }


def service(target: int | str = "http") -> Object:
    ports = [{"name": "web", "port": 80, "targetPort": target}]
    return {
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "n"},
        "spec": {"selector": LABELS, "ports": ports},
    }


def pod(name: str, *, ready: bool = True, deleting: bool = False, age: int = 0) -> Object:
    created = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    meta = {"name": name, "namespace": "n", "uid": f"u-{name}", "labels": LABELS}
    if deleting:
        meta["deletionTimestamp"] = created
    container = {"name": "app", "ports": [{"name": "http", "containerPort": 8000}]}
    said = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "kind": "Pod",
        "metadata": {**meta, "creationTimestamp": created},
        "spec": {"containers": [container]},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [said],
            "containerStatuses": [{"name": "app", "ready": ready, "state": {"running": {}}}],
        },
    }


def seen(*pods: Object, target: Object | None = None, **more: Any) -> Seen:
    return Seen(target or deployment(), pods, **{"synced": True, **more})


def decide(relay: RelaySpec, world: World, before: RelayStatus = UNKNOWN) -> Plan:
    world = replace(world, listeners=dict.fromkeys(world.applied, "r/main"))
    return plan("r", 3, relay, before, world)


def verdicts(planned: Plan) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in planned.status.conditions}


def endpoint(name: str, state: Any = "Active", port: int = 8000) -> Endpoint:
    return Endpoint(f"u-{name}:{port}", PodAddress("c", "n", name, f"u-{name}", port), state)


def test_a_ready_pod_makes_a_ready_relay() -> None:
    planned = decide(spec(), World(NOW, seen(pod("web-1")), BOUND))
    assert planned.endpoints == {"r/main": (endpoint("web-1"),)}
    assert verdicts(planned) == {
        "Bound": ("True", "Bound"),
        "TargetReady": ("True", "PodReady"),
        "Reachable": ("True", "Reachable"),
        "Ready": ("True", "Ready"),
    }
    assert planned.status.observed_generation == 3
    [port] = planned.status.ports
    assert (port.addresses, port.port, port.target_port, port.error) == (
        ("127.0.0.1:8080", "[::1]:8080"), 8080, 8000, "",
    )  # fmt: skip
    [place] = planned.status.endpoints
    assert (place.pod, place.uid, place.port, place.state) == ("web-1", "u-web-1", 8000, "Active")


# what is seen -> the endpoints, then TargetReady's reason and words in its message
TARGETS = {
    "nothing read yet": (Seen(), (), "Resolving", "deployment/web has not been seen yet"),
    "not there": (
        Seen(synced=True), (), "TargetNotFound", 'deployments.apps "web" not found',
    ),
    "a kind that there is not": (
        Seen(error=unknown_kind("deploi", ())), (), "KindNotFound", "resource type \"deploi\"",
    ),
    "the pods are still to be read": (seen(synced=False), (), "Resolving", "the pods of"),
    "no pods": (seen(), (), "NoPods", "deployment/web has no pods"),
    "only one that goes": (
        seen(pod("web-1", deleting=True)),
        (endpoint("web-1", "Draining"),), "NoReadyPod", "pod/web-1 is going away",
    ),
    "only one that is not ready": (
        seen(pod("web-1", ready=False)),
        (), "NoReadyPod", "has not passed its readiness probe",
    ),
    "one goes, its successor is not ready": (
        seen(pod("web-1", deleting=True, age=9), pod("web-2", ready=False)),
        (endpoint("web-1", "Draining"),), "NoReadyPod", "pod/web-2 is not ready",
    ),
    "one goes, its successor is ready": (
        seen(pod("web-1", deleting=True, age=9), pod("web-2")),
        (endpoint("web-2"), endpoint("web-1", "Draining")), "PodReady", "pod/web-2 is ready",
    ),
    "several are ready: the newest first": (
        seen(pod("web-1", age=9), pod("web-2", age=3), pod("web-3", age=6)),
        (endpoint("web-2"), endpoint("web-3"), endpoint("web-1")), "PodReady", "pod/web-2",
    ),
    "ready ones go before newer ones that are not": (
        seen(pod("web-1", age=9), pod("web-2", ready=False)),
        (endpoint("web-1"),), "PodReady", "pod/web-1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "expected", "reason", "words"), TARGETS.values(), ids=TARGETS)
def test_the_target_is_followed_through_its_pods(
    seen: Seen, expected: tuple[Endpoint, ...], reason: str, words: str
) -> None:
    planned = decide(spec(), World(NOW, seen, BOUND))
    condition = find_condition(planned.status.conditions, "TargetReady")
    assert planned.endpoints == {"r/main": expected} == endpoints("r", spec(), seen)
    assert condition is not None
    assert condition.reason == reason
    assert words in condition.message


@pytest.mark.parametrize(
    ("port", "target", "pods", "number", "error"),
    [
        ("http", deployment(), [pod("web-1")], 8000, ""),
        ("http", deployment(), [], 8000, ""),
        ("nope", deployment(), [pod("web-1")], 0, "Pod 'web-1' does not have a named port 'nope'"),
        ("nope", deployment(), [], 0, ""),
        (80, service(), [pod("web-1")], 8000, ""),
        (80, service(), [], 0, ""),
        (80, service(9000), [], 9000, ""),
        ("web", service(), [pod("web-1")], 8000, ""),
        (8000, service(), [], 0, "Service web does not have a service port 8000"),
        ("nope", service(), [], 0, "Service 'web' does not have a named port 'nope'"),
    ],
)
def test_the_port_in_the_pod_is_shown_as_soon_as_it_is_known(
    port: int | str, target: Object, pods: list[Object], number: int, error: str
) -> None:
    kind = target["kind"].lower()
    planned = decide(spec(kind, port), World(NOW, seen(*pods, target=target), BOUND))
    [status] = planned.status.ports
    assert status.target_port == number
    assert status.error.startswith(error)
    assert bool(status.error) == bool(error)
    if error:
        assert verdicts(planned)["TargetReady"] == ("False", "PortNotFound")


def test_a_pod_asked_for_by_name_is_dialled_though_it_is_not_ready() -> None:
    one = pod("web-1", ready=False)
    relay = spec("pod", name="web-1")
    planned = decide(relay, World(NOW, seen(one, target=one), BOUND))
    assert planned.endpoints == {"r/main": (endpoint("web-1"),)}
    assert planned.status.endpoints[0].reason.endswith("readiness probe; asked for by name")
    assert verdicts(planned)["TargetReady"] == ("True", "PodReady")


def test_a_pod_asked_for_by_name_that_goes_away_gets_nothing_new() -> None:
    one = pod("web-1", deleting=True)
    planned = decide(spec("pod", name="web-1"), World(NOW, seen(one, target=one), BOUND))
    assert planned.endpoints == {"r/main": (endpoint("web-1", "Draining"),)}


def test_what_was_known_of_a_cluster_stays_in_use_while_it_cannot_be_reached() -> None:
    known = seen(pod("web-1"), error=Unavailable("connection refused by 127.0.0.1:6443"))
    planned = decide(spec(), World(NOW, known, BOUND))
    assert planned.endpoints == {"r/main": (endpoint("web-1"),)}
    assert verdicts(planned)["Reachable"] == ("False", "ClusterUnreachable")
    assert verdicts(planned)["Ready"] == ("False", "ClusterUnreachable")


def test_a_403_names_the_rule_that_is_missing() -> None:
    refused = Forbidden(
        'pods is forbidden: User "jane" cannot list resource "pods" in API group ""'
        ' in the namespace "n"'
    )
    planned = decide(spec(), World(NOW, Seen(error=refused), BOUND))
    condition = find_condition(planned.status.conditions, "Reachable")
    assert condition is not None
    assert condition.reason == "Forbidden"
    assert 'user "jane" may not list pods in the namespace "n"' in condition.message
    assert "--verb=get,list,watch" in condition.message


def test_a_refused_port_reaches_status_though_the_pod_is_ready() -> None:
    trouble = {"r/main": Trouble("u-web-1:8000", "refused", "connection refused by port 8000")}
    planned = decide(spec(), World(NOW, seen(pod("web-1")), BOUND, troubles=trouble))
    assert verdicts(planned)["Reachable"] == ("False", "DialRefused")
    assert verdicts(planned)["Ready"] == ("False", "DialRefused")


def test_a_refusal_by_a_pod_that_is_going_away_is_no_longer_of_interest() -> None:
    trouble = {"r/main": Trouble("u-web-1:8000", "refused", "connection refused by port 8000")}
    now_seen = seen(pod("web-1", deleting=True), pod("web-2"))
    planned = decide(spec(), World(NOW, now_seen, BOUND, troubles=trouble))
    assert verdicts(planned)["Reachable"] == ("True", "Reachable")


@pytest.mark.parametrize(
    ("applied", "lost", "reason", "message"),
    [
        ({}, {}, "Binding", "about to listen"),
        (
            {V4: NotBound("address already in use on 127.0.0.1:8080", "socat (pid 123)"),
             V6: Bound(V6.address)},
            {}, "AddressInUse",
            "address already in use on 127.0.0.1:8080 by socat (pid 123)",
        ),
        (
            {V4: NotBound("permission denied on 127.0.0.1:80"), V6: Bound(V6.address)},
            {}, "NotBound", "permission denied on 127.0.0.1:80",
        ),
        (
            {V6: Bound(V6.address)}, {"r/main": {V4: "other"}}, "PortClaimed",
            "127.0.0.1:8080 is claimed by relay/other",
        ),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_listened_on_is_an_error_that_says_why(
    applied: Applied, lost: dict[str, dict[Bind, str]], reason: str, message: str
) -> None:
    planned = decide(spec(), World(NOW, seen(pod("web-1")), applied, lost))
    condition = find_condition(planned.status.conditions, "Bound")
    assert condition is not None
    assert condition.status != "True"
    assert (condition.reason, condition.message) == (reason, message)
    assert find_condition(planned.status.conditions, "Ready").status == "False"  # type: ignore[union-attr]  # it is there
    assert planned.status.ports[0].error == (message if reason != "Binding" else "")


def test_a_machine_without_ipv6_is_content_with_ipv4() -> None:
    none = NotBound("cannot assign requested address on [::1]:8080", absent=True)
    planned = decide(spec(), World(NOW, seen(pod("web-1")), {V4: Bound(V4.address), V6: none}))
    assert verdicts(planned)["Ready"] == ("True", "Ready")
    assert planned.status.ports[0].addresses == ("127.0.0.1:8080",)
    planned = decide(spec(), World(NOW, seen(pod("web-1")), {V4: none, V6: none}))
    assert verdicts(planned)["Bound"] == ("False", "NotBound")


def test_a_suspended_relay_is_not_ready_and_not_bound() -> None:
    relay = RelaySpec(ports=spec().ports, target=spec().target, suspend=True)
    planned = decide(relay, World(NOW, seen(pod("web-1"))))
    assert verdicts(planned)["Bound"] == ("False", "Suspended")
    assert verdicts(planned)["Ready"] == ("False", "Suspended")


def test_a_plain_address_is_always_an_endpoint() -> None:
    relay = RelaySpec(
        ports=(Port(name="main", listen=Listen(hosts=("127.0.0.1",), port=8080)),),
        target=Target(address="localhost:9000"),
    )
    planned = decide(relay, World(NOW, applied=BOUND))
    address = TcpAddress("localhost", 9000)
    assert planned.endpoints == {"r/main": (Endpoint("localhost:9000", address),)}
    assert verdicts(planned)["Ready"] == ("True", "Ready")


def test_the_policy_is_the_specs() -> None:
    relay = RelaySpec(
        ports=spec().ports,
        target=spec().target,
        balance="RoundRobin",
        hold=Hold(timeout="1m", max_connections=7),
        retry=Retry(ambiguous="Never", buffer_bytes=1),
    )
    assert decide(relay, World(NOW)).policy == Policy("RoundRobin", 60.0, 7, "Never", 1, 0.0)


def test_what_is_seen_and_done_to_connections_on_purpose_is_in_the_policy_too() -> None:
    relay = replace(spec(), inspect=Inspect(mode="Full"), faults=("rate=64k,down", "reset@1KB"))
    made = decide(relay, World(NOW)).policy
    assert made.observe == "Full"
    assert made.faults == (
        Fault("rate", 64000.0, direction="down"),
        Fault("reset", after=1000),
    )


def test_connections_are_counted_over_all_ports() -> None:
    ports = (Port(name="a", listen=Listen(port=1)), Port(name="b", listen=Listen(port=2)))
    relay = RelaySpec(ports=ports, target=Target(address="localhost:9"))
    counters = {
        "r/a": ListenerCounters(open=1, held=2, total=9, failed=3),
        "r/b": ListenerCounters(open=10, total=10),
        "other/a": ListenerCounters(open=100),
    }
    planned = decide(relay, World(NOW, counters=counters))
    assert planned.status.connections == Connections(open=11, held=2, total=19, failed=3)


def test_an_equal_world_makes_an_equal_status_later() -> None:
    before = decide(spec(), World(NOW, seen(pod("web-1")), BOUND)).status
    later = World(NOW + timedelta(hours=1), seen(pod("web-1")), BOUND)
    assert decide(spec(), later, before).status == before


def test_only_what_turns_gets_a_new_time() -> None:
    before = decide(spec(), World(NOW, seen(pod("web-1")), BOUND)).status
    later = World(NOW + timedelta(hours=1), seen(), BOUND)
    since = {
        c.type: c.last_transition_time for c in decide(spec(), later, before).status.conditions
    }
    assert since["Bound"] == since["Reachable"] == "2026-01-01T00:00:00Z"
    assert since["TargetReady"] == since["Ready"] == "2026-01-01T01:00:00Z"
