from typing import Any

import pytest

from ferryman.api.selectors import ALL
from ferryman.errors import UserError
from ferryman.kube.targets import (
    Related,
    Target,
    check_has_pods,
    looks_at,
    object_selector,
    parse,
    pod_selector,
    pods_of,
    resolve_port,
    selected,
    slice_selector,
    target_port,
)


def pod(name: str, *, labels: dict[str, str] | None = None, owner: str = "", **spec: Any) -> Any:
    kind, _, uid = owner.partition(":")
    owners = [{"kind": kind, "uid": uid, "name": "x", "controller": True}] if owner else []
    meta = {"name": name, "namespace": "ns", "labels": labels or {}, "ownerReferences": owners}
    return {"kind": "Pod", "metadata": {**meta, "uid": f"uid-{name}"}, "spec": spec}


def names(pods: list[Any]) -> list[str]:
    return [p["metadata"]["name"] for p in pods]


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
        ("rs/web-7f", "replicaset/web-7f"),
        ("ds/agent", "daemonset/agent"),
        ("job/migrate", "job/migrate"),
        ("jobs.batch/migrate", "job/migrate"),
        ("cj/nightly", "cronjob/nightly"),
        ("cronjobs.v1.batch/nightly", "cronjob/nightly"),
        ("rc/old", "replicationcontroller/old"),
        ("Rollout/web", "rollout/web"),
        ("rollouts.argoproj.io/web", "rollouts.argoproj.io/web"),
        ("service.serving.knative.dev/web", "service.serving.knative.dev/web"),
    ],
)
def test_a_target_is_named_as_in_kubectl(text: str, means: str) -> None:
    target = parse(text, "ns")
    assert str(target) == means
    assert target.namespace == "ns"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "de ploy/web",
            'the server doesn\'t have a resource type "de ploy"',
            "did you mean deploy?",
        ),
        ("?/web", 'the server doesn\'t have a resource type "?"', "known are pod, deployment"),
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


def test_a_service_that_leads_out_of_the_cluster_is_refused_with_a_remedy() -> None:
    external = service()
    external["spec"] |= {"type": "ExternalName", "externalName": "db.example"}
    with pytest.raises(
        UserError, match=r"leads to db\.example, which is no pod; use `ferry relay`"
    ):
        pod_selector(Target("service", "ns", "example-go"), external)


def slices(*endpoints: Any, ports: Any = ()) -> Related:
    return Related(slices=({"endpoints": list(endpoints), "ports": list(ports)},))


def test_a_service_without_selector_leads_where_its_endpoint_slices_say() -> None:
    target, bare = Target("service", "ns", "example-go"), service({"name": "web", "port": 80})
    assert pod_selector(target, bare) == ALL
    assert looks_at(target, bare) == "slices"
    assert slice_selector(target).label_text == "kubernetes.io/service-name=example-go"
    pods = [pod("in"), pod("out")]
    related = slices(
        {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "uid": "uid-in"}},
        {"addresses": ["192.0.2.1"]},
        {"targetRef": {"kind": "Node", "uid": "uid-out"}},
        ports=[{"name": "other", "port": 1}, {"name": "web", "port": 8000}],
    )
    assert names(pods_of(target, bare, pods, related)) == ["in"]
    assert names(pods_of(target, bare, pods)) == []
    check_has_pods(target, bare, related)
    assert resolve_port(bare, pods[0], 80, related) == 8000
    assert resolve_port(bare, pods[0], "web", related) == 8000
    assert resolve_port(bare, pods[0], 80) == 80


def test_a_service_without_selector_and_slices_is_refused_in_kubectls_words() -> None:
    with pytest.raises(UserError) as error:
        check_has_pods(Target("service", "ns", "noselector"), service(), Related())
    assert error.value.message == (
        "cannot attach to *v1.Service: invalid service 'noselector': "
        "Service is defined without a selector"
    )


def test_pods_are_selected_by_labels_alone() -> None:
    target = selected("app=web,tier in (a,b)", "ns")
    assert str(target) == "pods with app=web,tier in (a,b)"
    nothing: Any = {"metadata": {}}
    assert pod_selector(target, nothing).label_text == "app=web,tier in (a,b)"
    pods = [pod("a", labels={"app": "web", "tier": "a"}, owner="Job:j"), pod("c", labels=WEB)]
    assert names(pods_of(target, nothing, pods)) == ["a"]


@pytest.mark.parametrize("labels", ["", " ", "a b", "a=b=c"])
def test_what_is_no_selector_is_refused(labels: str) -> None:
    with pytest.raises(UserError):
        selected(labels, "ns")


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


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("replicaset", "ReplicaSet"),
        ("daemonset", "DaemonSet"),
        ("job", "Job"),
        ("statefulset", "StatefulSet"),
    ],
)
def test_what_owns_its_pods_has_those_and_no_others(kind: str, made: str) -> None:
    pods = [*PODS, pod("its-own", labels=WEB, owner=f"{made}:u1")]
    found = pods_of(Target(kind, "ns", "web"), workload(made, WEB), pods)
    assert names(found) == ["an-orphan", "its-own"]


def test_a_replication_controllers_selector_is_plain() -> None:
    target = Target("replicationcontroller", "ns", "web")
    controller = {**workload("ReplicationController", None), "spec": {"selector": WEB}}
    assert pod_selector(target, controller).label_text == "app=web"
    mine = pod("mine", labels=WEB, owner="ReplicationController:u1")
    assert names(pods_of(target, controller, [*PODS, mine])) == ["an-orphan", "mine"]


def owned(kind: str, name: str, owner: str, created: str = "") -> Any:
    """An owner, which has the uid of its name and an owner itself."""
    return {
        "kind": kind,
        "metadata": {
            "uid": name,
            "name": name,
            "creationTimestamp": created,
            "ownerReferences": [{"uid": owner, "controller": True}] if owner else [],
        },
    }


def test_any_kind_has_the_pods_that_descend_from_it() -> None:
    target, rollout = Target("rollout", "ns", "web"), workload("Rollout", None)
    assert pod_selector(target, rollout) == ALL
    assert looks_at(target, rollout) == "owners"
    pods = [pod("far", owner="ReplicaSet:rs1"), pod("near", owner="Rollout:u1"), *PODS[1:]]
    related = Related(owners={"rs1": owned("ReplicaSet", "rs1", "u1")})
    assert names(pods_of(target, rollout, pods, related)) == ["far", "near", "other"]
    assert names(pods_of(target, rollout, pods)) == ["near"]


def test_owners_that_own_each_other_end_the_search() -> None:
    circle = {"a": owned("A", "a", "b"), "b": owned("B", "b", "a")}
    target, rollout = Target("rollout", "ns", "web"), workload("Rollout", None)
    assert pods_of(target, rollout, [pod("x", owner="A:a")], Related(owners=circle)) == []


def test_a_cron_jobs_pods_are_those_of_its_newest_job() -> None:
    target, cron_job = Target("cronjob", "ns", "web"), workload("CronJob", None)
    jobs = {
        "j1": owned("Job", "j1", "u1", "2026-01-01T00:00:00Z"),
        "j3": owned("Job", "j3", "u1", "2026-01-01T02:00:00Z"),
        "j2": owned("Job", "j2", "u1", "2026-01-01T01:00:00Z"),
        "j9": owned("Job", "j9", "another", "2026-01-01T09:00:00Z"),
    }
    pods = [pod(f"of-{job}-{n}", owner=f"Job:{job}") for job in jobs for n in (1, 2)]
    found = pods_of(target, cron_job, pods, Related(owners=jobs))
    assert names(found) == ["of-j3-1", "of-j3-2"]
    assert pods_of(target, cron_job, pods) == []


def test_a_deployments_pods_are_those_of_its_replica_sets() -> None:
    target, deployment = Target("deployment", "ns", "web"), workload("Deployment", WEB)
    found = pods_of(target, deployment, PODS)  # the ReplicaSets themselves are not read
    assert names(found) == ["mine", "a-strangers", "an-orphan"]


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
