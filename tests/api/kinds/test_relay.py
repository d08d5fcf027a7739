"""The rules of Relay, through the registry as every write goes."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from ferryman.api import codec
from ferryman.api.conditions import Condition
from ferryman.api.kinds.relay import (
    RELAY,
    Connections,
    EndpointStatus,
    Listen,
    Port,
    PortStatus,
    RelaySpec,
    RelayStatus,
    Target,
    Workload,
    listen_hosts,
    new_relay,
    spec_of,
    status_of,
)
from ferryman.api.resource import Object
from ferryman.api.status import Invalid
from ferryman.registry.prepare import Stamp, prepare_create
from ferryman.registry.structural import unknown_fields

NOW = datetime(2026, 1, 1, 12, 5, tzinfo=UTC)
STAMP = Stamp("uid", "2026-01-01T12:00:00Z", "abcde")
WORKLOAD = {"workload": {"kind": "deployment", "name": "web"}}


def created(spec: Object) -> Object:
    return prepare_create(RELAY, {"metadata": {"name": "x"}, "spec": deepcopy(spec)}, STAMP)


def test_the_shortest_relay_gets_every_default() -> None:
    relay = created({"ports": [{"listen": {"port": 8080}}], "target": WORKLOAD})
    assert relay["spec"] == {
        "ports": [
            {
                "name": "main",
                "listen": {"hosts": ["127.0.0.1", "::1"], "port": 8080},
                "targetPort": 8080,
            }
        ],
        "target": WORKLOAD,
        "balance": "Newest",
        "hold": {"timeout": "30s", "maxConnections": 256},
        "retry": {"ambiguous": "IdempotentHTTP", "bufferBytes": 65536},
        "drain": {"timeout": "0s"},
        "inspect": {"mode": "Off"},
        "suspend": False,
    }
    assert created(relay["spec"])["spec"] == relay["spec"]  # nothing more the second time


def test_the_struct_says_the_same_as_the_object() -> None:
    relay = created({"ports": [{"listen": {"port": 8080}}], "target": WORKLOAD})
    hosts = ("127.0.0.1", "::1")
    port = Port(name="main", listen=Listen(hosts=hosts, port=8080), target_port=8080)
    spec = RelaySpec(ports=(port,), target=Target(workload=Workload(kind="deployment", name="web")))
    assert spec_of(relay) == spec
    assert spec_of(created(new_relay("x", spec)["spec"])) == spec
    assert hash(spec) == hash(spec_of(relay))


def test_a_part_of_a_default_may_be_chosen() -> None:
    spec = {
        "ports": [{"listen": {"port": 1}}],
        "target": WORKLOAD,
        "hold": {"timeout": "0s"},
    }
    assert created(spec)["spec"]["hold"] == {"timeout": "0s", "maxConnections": 256}


def test_a_unix_listener_gets_neither_hosts_nor_port() -> None:
    spec = {
        "ports": [{"listen": {"address": "/run/x.sock"}, "targetPort": "http"}],
        "target": WORKLOAD,
    }
    (port,) = spec_of(created(spec)).ports
    assert port.listen == Listen(address="/run/x.sock")
    assert listen_hosts(port.listen) == ()


def test_localhost_means_both_loopback_addresses() -> None:
    assert listen_hosts(Listen(hosts=("localhost", "::1", "10.0.0.1"))) == (
        "127.0.0.1",
        "::1",
        "10.0.0.1",
    )


def ports(*given: Any) -> Object:
    return {"ports": list(given), "target": WORKLOAD}


def one(**changes: Any) -> Object:
    return {"ports": [{"listen": {"port": 80}}], "target": WORKLOAD, **changes}


def test_with_a_discovery_the_pods_may_say_which_port_is_meant() -> None:
    target = {"discovery": {"name": "d"}}
    port = {"listen": {"port": 80}, "targetPort": 0}
    assert created({"ports": [port], "target": target})["spec"]["ports"][0]["targetPort"] == 0
    with pytest.raises(Invalid):
        created({"ports": [port], "target": WORKLOAD})


INVALID = [
    ("no ports", ports(), ["spec.ports"]),
    ("ports missing", {"target": WORKLOAD}, ["spec.ports"]),
    ("no target", one(target={}), ["spec.target"]),
    (
        "three targets",
        one(target={**WORKLOAD, "discovery": {"name": "d"}, "address": "localhost:1"}),
        ["spec.target.discovery", "spec.target.address"],
    ),
    (
        "empty names",
        one(target={"workload": {"kind": "pod", "name": ""}}),
        ["spec.target.workload.name"],
    ),
    (
        "what is no kind",
        one(target={"workload": {"kind": "no kind", "name": "x"}}),
        ["spec.target.workload.kind"],
    ),
    (
        "a workload without a name",
        one(target={"workload": {"kind": "rollout.argoproj.io"}}),
        ["spec.target.workload.name"],
    ),
    (
        "a selector and a name",
        one(target={"workload": {"kind": "pod", "name": "x", "selector": "a=b"}}),
        ["spec.target.workload.selector"],
    ),
    (
        "a selector of something else than pods",
        one(target={"workload": {"kind": "service", "selector": "a=b"}}),
        ["spec.target.workload.kind"],
    ),
    (
        "a selector that is none",
        one(target={"workload": {"kind": "pod", "selector": "a b"}}),
        ["spec.target.workload.selector"],
    ),
    (
        "a selector of everything",
        one(target={"workload": {"kind": "pod", "selector": " "}}),
        ["spec.target.workload.selector"],
    ),
    ("a bad address", one(target={"address": "nope"}), ["spec.target.address"]),
    (
        "an address has the port",
        {"ports": [{"listen": {"port": 1}, "targetPort": 2}], "target": {"address": "localhost:1"}},
        ["spec.ports[0].targetPort"],
    ),
    (
        "several ports without names",
        ports({"listen": {"port": 1}}, {"listen": {"port": 2}}),
        ["spec.ports[0].name", "spec.ports[1].name"],
    ),
    (
        "a name twice",
        ports({"name": "a", "listen": {"port": 1}}, {"name": "a", "listen": {"port": 2}}),
        ["spec.ports[1]"],
    ),
    ("a bad name", ports({"name": "A_", "listen": {"port": 1}}), ["spec.ports[0].name"]),
    (
        "a port twice on one host",
        ports(
            {"name": "a", "listen": {"port": 1, "hosts": ["localhost"]}},
            {"name": "b", "listen": {"port": 1, "hosts": ["::1"]}},
        ),
        ["spec.ports[1].listen.port"],
    ),
    (
        "a path twice",
        ports(
            {"name": "a", "listen": {"address": "/x"}, "targetPort": 1},
            {"name": "b", "listen": {"address": "/x"}, "targetPort": 1},
        ),
        ["spec.ports[1].listen.address"],
    ),
    (
        "an address and a port",
        ports({"listen": {"address": "/x", "port": 1}}),
        ["spec.ports[0].listen.port"],
    ),
    ("a random port leads nowhere", ports({"listen": {}}), ["spec.ports[0].targetPort"]),
    ("no hosts", ports({"listen": {"port": 1, "hosts": []}}), ["spec.ports[0].listen.hosts"]),
    (
        "bad hosts",
        ports({"listen": {"port": 1, "hosts": ["[::1]", "a b"]}}),
        ["spec.ports[0].listen.hosts[0]", "spec.ports[0].listen.hosts[1]"],
    ),
    ("a huge port", ports({"listen": {"port": 65536}}), ["spec.ports[0].listen.port"]),
    (
        "target port 0",
        ports({"listen": {"port": 1}, "targetPort": 0}),
        ["spec.ports[0].targetPort"],
    ),
    (
        "a target port that is neither",
        ports({"listen": {"port": 1}, "targetPort": True}),
        ["spec.ports[0].targetPort"],
    ),
    (
        "a long name of a target port",
        ports({"listen": {"port": 1}, "targetPort": "a" * 16}),
        ["spec.ports[0].targetPort"],
    ),
    ("a path", ports({"listen": {"port": 1}, "path": "x"}), ["spec.ports[0].path"]),
    (
        "durations",
        one(hold={"timeout": "soon"}, drain={"timeout": "3"}),
        ["spec.hold.timeout", "spec.drain.timeout"],
    ),
    (
        "faults",
        one(faults=["latency=200ms", "slow=5s", "reset@much"]),
        ["spec.faults[1]", "spec.faults[2]"],
    ),
    ("too many faults", one(faults=["blackhole"] * 17), ["spec.faults"]),
    (
        "enums and limits",
        one(
            balance="Best",
            retry={"ambiguous": "Sometimes", "bufferBytes": -1},
            inspect={"mode": "All"},
            suspend="no",
        ),
        [
            "spec.balance",
            "spec.retry.ambiguous",
            "spec.retry.bufferBytes",
            "spec.inspect.mode",
            "spec.suspend",
        ],
    ),
]


@pytest.mark.parametrize(("spec", "fields"), [c[1:] for c in INVALID], ids=[c[0] for c in INVALID])
def test_what_is_wrong_is_named_field_by_field(spec: Object, fields: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        created(spec)
    assert [cause.field for cause in caught.value.causes] == fields


@pytest.mark.parametrize(
    "spec",
    [
        one(target={"discovery": {"name": "d"}}),
        {"ports": [{"listen": {"port": 0}}], "target": {"address": "[::1]:80"}},
        {"ports": [{"listen": {}, "targetPort": "http"}], "target": WORKLOAD},
        ports(
            {"name": "a", "listen": {"port": 1, "hosts": ["127.0.0.1"]}},
            {"name": "b", "listen": {"port": 1, "hosts": ["::1"]}},
        ),
        ports(
            {"name": "a", "listen": {"port": 0}, "targetPort": 1},
            {"name": "b", "listen": {"port": 0}, "targetPort": 2},
        ),
        one(target={"workload": {"kind": "pod", "name": "x", "namespace": "n", "cluster": "c"}}),
    ],
)
def test_what_may_be_is_taken(spec: Object) -> None:
    created(spec)


def test_the_schema_knows_every_field_and_no_other() -> None:
    relay = created(one())
    relay["spec"]["hold"]["timout"] = "3s"
    relay["spec"]["ports"][0]["listen"]["colour"] = "red"
    assert list(unknown_fields(RELAY.schema, relay)) == [
        "spec.ports[0].listen.colour",
        "spec.hold.timout",
    ]


def test_a_status_goes_out_and_comes_back() -> None:
    status = RelayStatus(
        observed_generation=3,
        ports=(PortStatus(name="main", addresses=("127.0.0.1:8080",), port=8080),),
        endpoints=(EndpointStatus(pod="web-7f", uid="u", port=8000, state="Active"),),
        connections=Connections(open=2, total=5),
        conditions=(Condition(type="Ready", status="True", reason="Connected"),),
    )
    relay = {**created(one()), "status": codec.encode(status)}
    assert status_of(relay) == status
    assert status_of(created(one())) == RelayStatus()


def test_columns_show_what_a_person_wants_to_know() -> None:
    relay = created(one())
    cells = {c.name: c.cell(relay, NOW) for c in RELAY.columns}
    assert cells == {
        "Name": "x", "Ready": "", "Listen": "80", "Target": "deployment/web", "Pod": "",
        "Connections": 0, "Age": "5m", "Held": 0, "Total": 0, "Failed": 0, "Reason": "",
    }  # fmt: skip
    relay["status"] = {
        "ports": [{"name": "main", "addresses": ["127.0.0.1:80", "[::1]:80"]}],
        "endpoints": [
            {"pod": "web-1", "state": "Draining"},
            {"pod": "web-2", "state": "Active"},
        ],
        "connections": {"open": 3, "total": 9},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Connected"}],
    }
    cells = {c.name: c.cell(relay, NOW) for c in RELAY.columns}
    assert cells["Ready"] == "True"
    assert cells["Listen"] == "127.0.0.1:80"
    assert cells["Pod"] == "web-2"
    assert (cells["Connections"], cells["Total"], cells["Reason"]) == (3, 9, "Connected")
