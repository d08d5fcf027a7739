"""Every kind of target on a real demo: `ferry forward` leads to its pods, and finds it again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.demo import Demo, running_demo
from tests.support.forwarding import Program, ferry_forward, get

HEALED = 30.0
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        for obj in OBJECTS:
            running.request("POST", path_of(obj), obj)
        uid = running.request("GET", "/api/v1/namespaces/default/configmaps/owner")["metadata"][
            "uid"
        ]
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
        running.request("POST", path_of(owned(owner)), owned(owner))
        until(lambda: len(running.pods()) >= 13 and all(map(is_ready, running.pods())))
        yield running


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + HEALED
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
    return result


def is_ready(pod: Any) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def template(
    app: str, policy: str = "Always", port: int = 8000, name: str = "http"
) -> dict[str, Any]:
    ports = [{"name": name, "containerPort": port}]
    containers = [{"name": "app", "image": "example-go", "ports": ports}]
    spec = {"restartPolicy": policy, "containers": containers}
    return {"metadata": {"labels": {"app": app}}, "spec": spec}


def workload(api_version: str, kind: str, name: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec}


def selecting(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": {"app": name}}
    return workload("apps/v1", kind, name, selector=selector, template=template(name), **spec)


def pod(name: str, app: str, port: int) -> dict[str, Any]:
    made = template(app, port=port)
    meta = {"name": name, "namespace": "default", "labels": {"app": app}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": made["spec"]}


def owned(owner: Any) -> dict[str, Any]:
    """A replica set of somebody else's, as a Rollout's is."""
    made = selecting("ReplicaSet", "owned")
    made["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    return made


def path_of(obj: Any) -> str:
    group, _, version = obj["apiVersion"].rpartition("/")
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return f"{root}/namespaces/default/{obj['kind'].lower()}s"


OBJECTS = [
    selecting("DaemonSet", "agent"),
    selecting("ReplicaSet", "alone"),
    workload("v1", "ReplicationController", "old", template=template("old")),
    workload("batch/v1", "Job", "migrate", template=template("migrate", "Never")),
    workload(
        "batch/v1",
        "CronJob",
        "nightly",
        schedule="0 0 31 2 *",  # never: the test makes its jobs
        jobTemplate={"spec": {"template": template("nightly", "OnFailure")}},
    ),
    workload("v1", "Service", "mixed", selector={"app": "mixed"},
             ports=[{"name": "web", "port": 80, "targetPort": "http"}]),
    workload("v1", "Service", "bare", ports=[{"name": "web", "port": 80}]),
    workload("v1", "Service", "gone", type="ExternalName", externalName="db.example",
             ports=[{"port": 80}]),
    pod("mixed-a", "mixed", 8001),
    pod("mixed-b", "mixed", 8002),
    pod("outside", "outside", 8003),
    {"apiVersion": "v1", "kind": "ConfigMap",
     "metadata": {"name": "owner", "namespace": "default"}, "data": {}},
]  # fmt: skip


def forward(demo: Demo, *words: str) -> Any:
    return ferry_forward(demo.kubeconfig, *words)


def served_by(program: Program, number: int = 0) -> str:
    """The pod that answers on the nth port."""
    return get(program.ports(2 * (number + 1))[2 * number])


@pytest.mark.parametrize(
    ("target", "remote", "pod"),
    [
        ("deploy/example-go", "8000", "example-go-"),
        ("deployments.apps/example-go", "http", "example-go-"),
        ("ds/agent", "8000", "agent-"),
        ("rs/alone", "http", "alone-"),
        ("replicationcontrollers/old", "8000", "old-"),
        ("job/migrate", "http", "migrate-"),
        ("jobs.v1.batch/migrate", "8000", "migrate-"),
        ("svc/example-go", "http", "example-go-"),
        ("svc/mixed", "80", "mixed-"),
        ("cm/owner", "8000", "owned-"),
        ("ConfigMap/owner", "http", "owned-"),
        ("configmaps.v1/owner", "8000", "owned-"),
        ("pod/outside", "http", "outside"),
    ],
)
def test_each_kind_leads_to_its_pods(demo: Demo, target: str, remote: str, pod: str) -> None:
    with forward(demo, target, f":{remote}") as program:
        assert served_by(program).startswith(pod)
        assert program.stop() == 0


def test_a_port_by_name_may_differ_from_pod_to_pod(demo: Demo) -> None:
    """mixed-a listens on 8001 and mixed-b on 8002; both call it http."""
    with forward(demo, "svc/mixed", ":web", "--balance", "round-robin") as program:
        [port, _] = program.ports(2)
        assert {get(port) for _ in range(6)} == {"mixed-a", "mixed-b"}
        assert program.stop() == 0


@pytest.mark.parametrize(("balance", "answers"), [("newest", 1), ("round-robin", 3), ("least", 3)])
def test_connections_are_balanced_over_the_pods(demo: Demo, balance: str, answers: int) -> None:
    with forward(demo, "deploy/web", ":8080", "--balance", balance) as program:
        [port, _] = program.ports(2)
        assert len({get(port) for _ in range(12)}) == answers
        assert program.stop() == 0


def test_pods_by_label_and_several_targets_at_once(demo: Demo) -> None:
    with forward(demo, "-l", "app in (outside)", ":http", "rs/alone", ":8000") as program:
        ports = program.ports(4)
        assert {get(port).partition("-")[0] for port in ports} == {"outside", "alone"}
        assert program.stop() == 0


def test_a_service_without_selector_follows_its_endpoint_slices(demo: Demo) -> None:
    """peers.md 18: kubefwd#35."""
    pods = {name: demo.request("GET", f"{PODS}/{name}") for name in ("outside", "mixed-a")}

    def write_slice(name: str, port: int) -> None:
        reference = {"kind": "Pod", "name": name, "uid": pods[name]["metadata"]["uid"]}
        endpoint = {"addresses": [pods[name]["status"]["podIP"]], "targetRef": reference}
        demo.kubectl("apply", "-f", "-", text=json.dumps({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "bare-1", "labels": {"kubernetes.io/service-name": "bare"}},
            "addressType": "IPv4",
            "endpoints": [endpoint],
            "ports": [{"name": "web", "port": port}],
        }))  # fmt: skip

    write_slice("outside", 8003)
    with forward(demo, "svc/bare", ":80") as program:
        assert served_by(program) == "outside"
        write_slice("mixed-a", 8001)
        until(lambda: served_by(program) == "mixed-a")
        assert program.stop() == 0


def test_a_service_that_leads_out_of_the_cluster_is_refused(demo: Demo) -> None:
    with forward(demo, "svc/gone", ":80") as program:
        assert "leads to db.example, which is no pod" in program.said("db.example")
        assert program.process.wait(HEALED) == 1


def test_a_cron_job_leads_to_its_newest_job(demo: Demo) -> None:
    cron_job = demo.request("GET", "/apis/batch/v1/namespaces/default/cronjobs/nightly")

    def make_job(name: str) -> None:
        """As its controller would."""
        job = workload("batch/v1", "Job", name, **cron_job["spec"]["jobTemplate"]["spec"])
        job["metadata"]["ownerReferences"] = [
            {
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "name": "nightly",
                "uid": cron_job["metadata"]["uid"],
                "controller": True,
            }
        ]
        demo.request("POST", path_of(job), job)

    make_job("nightly-1")
    with forward(demo, "cj/nightly", ":http") as program:
        assert served_by(program).startswith("nightly-1-")
        time.sleep(1.1)  # creation times are in seconds
        make_job("nightly-2")
        until(lambda: served_by(program).startswith("nightly-2-"))
        assert program.stop() == 0


def test_a_target_that_is_not_there_yet_is_waited_for_and_found_again(demo: Demo) -> None:
    made = selecting("ReplicaSet", "later")
    path = path_of(made)
    with forward(demo, "rs/later", ":8000", "--wait") as program:
        program.said("later")
        demo.request("POST", path, made)
        first = served_by(program)
        assert first.startswith("later-")
        demo.request("DELETE", f"{path}/later")
        until(lambda: not demo.pods("app=later"))
        demo.request("POST", path, made)
        second = served_by(program)
        assert second.startswith("later-")
        assert second != first
        assert program.stop() == 0
    demo.request("DELETE", f"{path}/later")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("deploi/web", ":80"), 'the server doesn\'t have a resource type "deploi"'),
        (("configmapp/x", ":80"), "did you mean configmap?"),
        (("cm/nope", ":80"), 'configmaps "nope" not found'),
        (("rollouts.argoproj.io/x", ":80"), "the server doesn't have a resource type"),
    ],
)
def test_what_is_not_there_is_said_in_kubectls_words(
    demo: Demo, words: tuple[str, ...], message: str
) -> None:
    with forward(demo, *words) as program:
        assert message in program.said(message)
        assert program.process.wait(HEALED) == 1
