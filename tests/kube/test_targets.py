from typing import Any

import pytest

from ferryman.errors import UserError
from ferryman.kube.targets import (
    Target,
    object_selector,
    parse,
    pod_selector,
    pods_of,
    resolve_port,
    target_port,
)


def pod(name: str, *, labels: dict[str, str] | None = None, owner: str = "", **spec: Any) -> Any:
    kind, _, uid = owner.partition(":")
    owners = [{"kind": kind, "uid": uid, "name": "x", "controller": True}] if owner else []
    meta = {"name": name, "namespace": "ns", "labels": labels or {}, "ownerReferences": owners}
    return {"kind": "Pod", "metadata": meta, "spec": spec}


def service(
    *ports: dict[str, Any], selector: dict[str, str] | None = None, ip: str = "10.0.0.1"
) -> Any:
    spec: dict[str, Any] = {"ports": list(ports), "clusterIP": ip, "selector": selector}
    return {"kind": "Service", "metadata": {"name": "example-go", "namespace": "ns"}, "spec": spec}


def workload(kind: str, labels: dict[str, str] | None, uid: str = "u1") -> Any:
    spec = {"selector": {"matchLabels": labels}} if labels else {}
    return {"kind": kind, "metadata": {"name": "web", "namespace": "ns", "uid": uid}, "spec": spec}


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("web-0", "pod/web-0"),
        ("po/web-0", "pod/web-0"),
        ("pods/web-0", "pod/web-0"),
        ("pods.v1/web-0", "pod/web-0"),
        ("deploy/web", "deployment/web"),
        ("Deployment/web", "deployment/web"),
        ("deployments.apps/web", "deployment/web"),
        ("deployments.v1.apps/web", "deployment/web"),
        ("sts/cache", "statefulset/cache"),
        ("statefulsets.apps/cache", "statefulset/cache"),
        ("svc/web", "service/web"),
        ("services/web", "service/web"),
    ],
)
def test_a_target_is_named_as_in_kubectl(text: str, means: str) -> None:
    target = parse(text, "ns")
    assert str(target) == means
    assert target.namespace == "ns"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("deploi/web", 'the server doesn\'t have a resource type "deploi"', "did you mean deploy?"),
        ("node/a", 'the server doesn\'t have a resource type "node"', ""),
        ("deploy.batch/web", 'the server doesn\'t have a resource type "deploy.batch"', ""),
        ("pod/a/b", "arguments in resource/name form may not have more than one slash", ""),
        ("pod/", "arguments in resource/name form must have a single resource and name", ""),
        ("/a", "arguments in resource/name form must have a single resource and name", ""),
        ("", "arguments in resource/name form must have a single resource and name", ""),
    ],
)
def test_what_is_no_target_is_refused_in_kubectls_words(text: str, message: str, hint: str) -> None:
    with pytest.raises(UserError) as error:
        parse(text, "ns")
    assert error.value.message.startswith(message)
    assert hint in error.value.hint


def test_the_target_and_its_pods_are_selected_by_the_server() -> None:
    deployment = Target("deployment", "ns", "web")
    assert object_selector(deployment).field_text == "metadata.name=web"
    assert pod_selector(deployment, workload("Deployment", {"app": "web"})).label_text == "app=web"
    svc = pod_selector(Target("service", "ns", "s"), service(selector={"app": "web", "tier": "x"}))
    assert svc.label_text == "app=web,tier=x"
    by_name = pod_selector(Target("pod", "ns", "web-0"), pod("web-0"))
    assert by_name.field_text == "metadata.name=web-0"


def test_a_service_without_selector_is_refused_in_kubectls_words() -> None:
    with pytest.raises(UserError) as error:
        pod_selector(Target("service", "ns", "noselector"), service())
    assert str(error.value) == (
        "cannot attach to *v1.Service: invalid service 'noselector': "
        "Service is defined without a selector"
    )


def test_a_workload_without_selector_never_selects_the_whole_namespace() -> None:
    with pytest.raises(UserError, match="deployment/web has no selector"):
        pod_selector(Target("deployment", "ns", "web"), workload("Deployment", None))


WEB = {"app": "web"}
PODS = [
    pod("mine", labels=WEB, owner="ReplicaSet:rs1"),
    pod("a-strangers", labels=WEB, owner="ReplicaSet:rs9"),
    pod("a-jobs", labels=WEB, owner="Job:j"),
    pod("an-orphan", labels=WEB),
    pod("other", labels={"app": "db"}, owner="ReplicaSet:rs1"),
]
REPLICA_SET = {
    "metadata": {"uid": "rs1", "ownerReferences": [{"uid": "u1", "controller": True}]},
}


def test_a_deployments_pods_are_those_of_its_replica_sets() -> None:
    target, deployment = Target("deployment", "ns", "web"), workload("Deployment", WEB)
    exact = pods_of(target, deployment, PODS, [REPLICA_SET])
    assert [p["metadata"]["name"] for p in exact] == ["mine", "an-orphan"]
    by_labels = pods_of(target, deployment, PODS)
    assert [p["metadata"]["name"] for p in by_labels] == ["mine", "a-strangers", "an-orphan"]


def test_a_statefulsets_pods_are_its_own() -> None:
    pods = [pod("web-0", labels=WEB, owner="StatefulSet:u1"), PODS[0]]
    found = pods_of(Target("statefulset", "ns", "web"), workload("StatefulSet", WEB), pods)
    assert [p["metadata"]["name"] for p in found] == ["web-0"]


def test_a_services_pods_are_those_with_its_labels_whoever_owns_them() -> None:
    found = pods_of(Target("service", "ns", "example-go"), service(selector=WEB), PODS)
    assert len(found) == 4


def test_a_pod_of_another_namespace_never_belongs() -> None:
    elsewhere = pod("mine", labels=WEB)
    elsewhere["metadata"]["namespace"] = "other"
    assert pods_of(Target("pod", "ns", "mine"), elsewhere, [elsewhere]) == []
    assert pods_of(Target("service", "ns", "s"), service(selector=WEB), [elsewhere]) == []


CONTAINERS = [
    {"ports": [{"name": "http", "containerPort": 8000}, {"containerPort": 9000}]},
    {"ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
]
POD = pod(
    "web-1",
    containers=CONTAINERS,
    initContainers=[
        {"restartPolicy": "Always", "ports": [{"name": "admin", "containerPort": 15000}]},
        {"ports": [{"name": "setup", "containerPort": 1}]},
    ],
)
SERVICE = service(
    {"name": "web", "port": 80, "targetPort": "http"},
    {"name": "raw", "port": 81, "targetPort": 9000},
    {"name": "same", "port": 82},
    {"name": "dns", "port": 53, "protocol": "UDP"},
    {"name": "both-udp", "port": 54, "protocol": "UDP"},
    {"name": "both", "port": 54, "targetPort": 5300},
)
HEADLESS = service({"name": "web", "port": 80, "targetPort": 8000}, ip="None")


@pytest.mark.parametrize(
    ("target", "port", "resolved"),
    [
        (POD, 8000, 8000),
        (POD, 7, 7),
        (POD, "http", 8000),
        (POD, "admin", 15000),
        (workload("Deployment", WEB), "http", 8000),
        (SERVICE, 80, 8000),
        (SERVICE, "web", 8000),
        (SERVICE, 81, 9000),
        (SERVICE, "same", 82),
        (SERVICE, 54, 5300),
        (HEADLESS, 80, 80),
        (HEADLESS, "web", 80),
    ],
)
def test_a_port_of_the_target_leads_to_one_in_the_pod(
    target: Any, port: int | str, resolved: int
) -> None:
    assert resolve_port(target, POD, port) == resolved


@pytest.mark.parametrize(
    ("target", "port", "message", "hint"),
    [
        (SERVICE, 8000, "Service example-go does not have a service port 8000", "it has 80 (web)"),
        (SERVICE, "nope", "Service 'example-go' does not have a named port 'nope'", "81 (raw)"),
        (SERVICE, 53, "UDP protocol is not supported for 53", ""),
        (SERVICE, "dns", "UDP protocol is not supported for dns", ""),
        (POD, "nope", "Pod 'web-1' does not have a named port 'nope'", "8000 (http), 9000"),
        (POD, "setup", "Pod 'web-1' does not have a named port 'setup'", ""),
        (POD, "dns", "UDP protocol is not supported for dns", ""),
    ],
)
def test_a_port_that_leads_nowhere_is_refused_in_kubectls_words(
    target: Any, port: int | str, message: str, hint: str
) -> None:
    with pytest.raises(UserError) as error:
        resolve_port(target, POD, port)
    assert error.value.message == message
    assert hint in error.value.hint


def test_the_services_part_needs_no_pod() -> None:
    assert target_port(SERVICE, 80) == "http"
    assert target_port(POD, "http") == "http"
