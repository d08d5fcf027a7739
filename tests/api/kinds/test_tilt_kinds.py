"""The rules of Tilt's kinds, through the registry as every write goes; and what kubectl shows."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from ferryman.api.conditions import rfc3339_micro
from ferryman.api.kinds import cluster, kubernetesdiscovery, portforward
from ferryman.api.kinds.annotations import Treatment, treatment
from ferryman.api.kinds.cluster import CLUSTER
from ferryman.api.kinds.kubernetesdiscovery import KUBERNETES_DISCOVERY
from ferryman.api.kinds.portforward import PORT_FORWARD
from ferryman.api.kinds.relay import Hold, Inspect
from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.api.status import Invalid
from ferryman.registry.prepare import Stamp, prepare_create, prepare_status
from ferryman.registry.structural import unknown_fields

NOW = datetime(2026, 1, 1, 12, 5, tzinfo=UTC)
STAMP = Stamp("uid", "2026-01-01T12:00:00Z", "abcde")


def created(kind: Kind, spec: Any, **annotations: str) -> Object:
    meta: Object = {"name": "x"}
    if annotations:
        meta["annotations"] = {f"ferryman.dev/{key}": text for key, text in annotations.items()}
    return prepare_create(kind, {"metadata": meta, "spec": deepcopy(spec)}, STAMP)


def forward(local: Any = 8080, container: Any = 8000, **more: Any) -> Object:
    return {"localPort": local, "containerPort": container, **more}


def pf(*forwards: Object, **more: Any) -> Object:
    return {"podName": "p", "forwards": list(forwards or [forward()]), **more}


def kd(**more: Any) -> Object:
    return {"watches": [{"uid": "u", "namespace": "n", "name": "web"}], **more}


def template(*forwards: Object) -> Object:
    return {"portForwardTemplateSpec": {"forwards": list(forwards)}}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (PORT_FORWARD, ("portforwards", "portforward", "pf")),
        (KUBERNETES_DISCOVERY, ("kubernetesdiscoveries", "kubernetesdiscovery", "kd", "kdisco")),
        (CLUSTER, ("clusters", "cluster")),
    ],
)
def test_kinds_are_called_and_scoped_as_in_tilt(kind: Kind, names: tuple[str, ...]) -> None:
    assert kind.names == names
    assert kind.resource.api_version == "tilt.dev/v1alpha1"
    assert not kind.resource.namespaced
    assert kind.subresources == {"status"}


def test_the_cluster_is_the_default_one_unless_named() -> None:
    for kind, spec in ((PORT_FORWARD, pf()), (KUBERNETES_DISCOVERY, kd())):
        assert created(kind, spec)["spec"]["cluster"] == "default"
        assert created(kind, {**spec, "cluster": ""})["spec"]["cluster"] == "default"
        assert created(kind, {**spec, "cluster": "east"})["spec"]["cluster"] == "east"


def test_a_cluster_without_a_spec_is_the_current_context() -> None:
    obj = prepare_create(CLUSTER, {"metadata": {"name": "default"}}, STAMP)
    assert cluster.spec_of(obj) == cluster.ClusterSpec()


def test_a_cluster_names_a_context_and_never_a_file_or_a_command() -> None:
    spec = {"connection": {"kubernetes": {"context": "c", "configPath": "/x", "exec": {}}}}
    assert set(unknown_fields(CLUSTER.schema, {"spec": spec})) == {
        "spec.connection.kubernetes.configPath",
        "spec.connection.kubernetes.exec",
    }


VALID = [
    ("a random port, twice", PORT_FORWARD, pf(forward(0), forward(0))),
    ("one container port twice", PORT_FORWARD, pf(forward(1), forward(2))),
    ("hosts", PORT_FORWARD, pf(forward(host="0.0.0.0"), forward(1, host="a.example"))),
    ("an IPv6 address", PORT_FORWARD, pf(forward(host="::1"))),
    ("the last ports", PORT_FORWARD, pf(forward(65535, 65535))),
    ("a namespace alone", KUBERNETES_DISCOVERY, {"watches": [{"namespace": "n"}]}),
    ("a selector alone", KUBERNETES_DISCOVERY, {"extraSelectors": [{"matchLabels": {"a": "b"}}]}),
    ("a container port to find", KUBERNETES_DISCOVERY, kd(**template(forward(8080, 0)))),
    (
        "logs wanted",
        KUBERNETES_DISCOVERY,
        kd(podLogStreamTemplateSpec={"onlyContainers": ["a"], "sinceTime": STAMP.now}),
    ),
]


@pytest.mark.parametrize(("kind", "spec"), [v[1:] for v in VALID], ids=[v[0] for v in VALID])
def test_what_tilt_accepts_is_accepted(kind: Kind, spec: Object) -> None:
    obj = created(kind, spec)
    assert created(kind, obj["spec"])["spec"] == obj["spec"]  # nothing more the second time
    assert not list(unknown_fields(kind.schema, obj))


INVALID = [
    ("nothing", PORT_FORWARD, {}, ["spec.podName", "spec.forwards"]),
    (
        "every cause at once",
        PORT_FORWARD,
        {"forwards": [forward(-1, 0), forward(70000, 65536), forward(5), forward(5, host="a b")]},
        [
            "spec.podName",
            "spec.forwards[0].localPort",
            "spec.forwards[0].containerPort",
            "spec.forwards[1].localPort",
            "spec.forwards[1].containerPort",
            "spec.forwards[3].localPort",
            "spec.forwards[3].host",
        ],
    ),
    ("no container port", PORT_FORWARD, pf({"localPort": 1}), ["spec.forwards[0].containerPort"]),
    (
        "text as port",
        PORT_FORWARD,
        pf(forward("80")),
        ["spec.forwards[0].localPort"],
    ),
    (
        "more than an int32",
        PORT_FORWARD,
        pf(forward(2**31)),
        ["spec.forwards[0].localPort"],
    ),
    ("too many", PORT_FORWARD, pf(*[forward(0)] * 257), ["spec.forwards"]),
    ("neither watch nor selector", KUBERNETES_DISCOVERY, {}, ["spec.watches"]),
    (
        "watches without namespaces",
        KUBERNETES_DISCOVERY,
        {"watches": [{"uid": "u"}, {"namespace": "n"}, {"name": "x"}]},
        ["spec.watches[0].namespace", "spec.watches[2].namespace"],
    ),
    (
        "an operator that is none",
        KUBERNETES_DISCOVERY,
        kd(extraSelectors=[{"matchExpressions": [{"key": "a", "operator": "Near"}]}]),
        ["spec.extraSelectors[0].matchExpressions[0].operator"],
    ),
    (
        "a template with a bad port and a duplicate",
        KUBERNETES_DISCOVERY,
        kd(**template(forward(1), forward(1, -1))),
        [f"spec.portForwardTemplateSpec.forwards[1].{p}" for p in ("localPort", "containerPort")],
    ),
    (
        "an empty template",
        KUBERNETES_DISCOVERY,
        kd(**template()),
        ["spec.portForwardTemplateSpec.forwards"],
    ),
]


@pytest.mark.parametrize(
    ("kind", "spec", "fields"), [i[1:] for i in INVALID], ids=[i[0] for i in INVALID]
)
def test_every_broken_rule_is_named_by_its_field(
    kind: Kind, spec: Object, fields: list[str]
) -> None:
    with pytest.raises(Invalid) as refused:
        created(kind, spec)
    assert [cause.field for cause in refused.value.causes] == fields


@pytest.mark.parametrize(("kind", "spec"), [(PORT_FORWARD, pf()), (KUBERNETES_DISCOVERY, kd())])
def test_annotations_say_how_connections_are_treated(kind: Kind, spec: Object) -> None:
    assert treatment(created(kind, spec)) == Treatment()
    said = treatment(created(kind, spec, hold="5s", balance="RoundRobin", inspect="Full"))
    assert said == Treatment(Hold(timeout="5s"), "RoundRobin", Inspect(mode="Full"))


@pytest.mark.parametrize(("kind", "spec"), [(PORT_FORWARD, pf()), (KUBERNETES_DISCOVERY, kd())])
def test_an_annotation_that_means_nothing_is_refused(kind: Kind, spec: Object) -> None:
    with pytest.raises(Invalid) as refused:
        created(kind, spec, hold="5 minutes", balance="roundrobin", inspect="yes", new="thing")
    assert [cause.field for cause in refused.value.causes] == [
        f"metadata.annotations[ferryman.dev/{key}]" for key in ("hold", "balance", "inspect")
    ]


def test_micro_times_have_six_digits() -> None:
    assert rfc3339_micro(NOW.replace(microsecond=22789)) == "2026-01-01T12:05:00.022789Z"


def cells(kind: Kind, obj: Object) -> dict[str, str | int]:
    return {column.name: column.cell(obj, NOW) for column in kind.columns}


def with_status(kind: Kind, obj: Object, status: Object) -> Object:
    obj["metadata"]["resourceVersion"] = "1"
    return prepare_status(kind, obj, {**obj, "status": status})


def test_a_port_forwards_row_says_whether_it_works() -> None:
    obj = created(PORT_FORWARD, pf(forward(0), forward(80, 81, host="127.0.0.2")))
    assert cells(PORT_FORWARD, obj)["Ready"] == "0/2"
    statuses = [
        {"localPort": 41234, "containerPort": 8000, "addresses": ["127.0.0.1"]},
        {"localPort": 80, "containerPort": 81, "error": "taken"},
    ]
    assert cells(PORT_FORWARD, with_status(PORT_FORWARD, obj, {"forwardStatuses": statuses})) == {
        "Name": "x",
        "Pod": "p",
        "Forwards": "41234->8000,127.0.0.2:80->81",
        "Ready": "1/2",
        "Age": "5m",
        "Namespace": "",
        "Cluster": "default",
        "Error": "taken",
    }


def test_a_discoverys_row_says_what_was_found() -> None:
    def pod(name: str, ready: str, deleting: bool = False) -> Object:
        return {
            "uid": name,
            "name": name,
            "namespace": "n",
            "createdAt": STAMP.now,
            "phase": "Running",
            "deleting": deleting,
            "conditions": [{"type": "Ready", "status": ready}],
            "containers": [],
        }

    obj = created(KUBERNETES_DISCOVERY, kd())
    assert cells(KUBERNETES_DISCOVERY, obj)["State"] == ""
    pods = [pod("a", "True"), pod("b", "False"), pod("c", "True", deleting=True)]
    running = with_status(
        KUBERNETES_DISCOVERY, obj, {"running": {"startTime": STAMP.now}, "pods": pods}
    )
    assert cells(KUBERNETES_DISCOVERY, running) == {
        "Name": "x",
        "State": "Running",
        "Ready": "1/2",
        "Age": "5m",
        "Watches": "n/web",
        "Pods": "a,b,c",
        "Cluster": "default",
    }
    waiting = with_status(KUBERNETES_DISCOVERY, obj, {"waiting": {"reason": "ClusterUnavailable"}})
    assert cells(KUBERNETES_DISCOVERY, waiting)["State"] == "ClusterUnavailable"
    assert len(kubernetesdiscovery.status_of(running).pods) == 3


def test_a_clusters_row_says_whether_it_answers() -> None:
    obj = prepare_create(CLUSTER, cluster.new_cluster("default", "ctx"), STAMP)
    assert cells(CLUSTER, obj)["Status"] == "Connecting"
    known = {"kubernetes": {"context": "ctx", "namespace": "n", "product": "kind"}}
    status = {"connectedAt": STAMP.now, "version": "v1.37.0", "arch": "arm64", "connection": known}
    assert cells(CLUSTER, with_status(CLUSTER, obj, status)) == {
        "Name": "default",
        "Status": "Connected",
        "Context": "ctx",
        "Version": "v1.37.0",
        "Age": "5m",
        "Namespace": "n",
        "Product": "kind",
        "Arch": "arm64",
        "Error": "",
    }
    broken = with_status(CLUSTER, obj, {**status, "error": "refused"})
    assert cells(CLUSTER, broken)["Status"] == "Error"
    assert cluster.connection_of(broken) == cluster.KubernetesConnectionStatus(
        context="ctx", namespace="n", product="kind"
    )
    assert portforward.status_of({}).forward_statuses == ()
