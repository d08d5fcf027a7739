from typing import Any

import pytest

from ferryman.dataplane.contract import Endpoint, PodAddress
from ferryman.errors import UserError
from ferryman.kube.dialspec import resolve
from ferryman.kube.targets import Target

WEB = {"app": "web"}
DEPLOYMENT: Any = {
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "ns", "uid": "d"},
    "spec": {"selector": {"matchLabels": WEB}},
}
TARGET = Target("deployment", "ns", "web")


def pod(name: str, *, ready: bool = True, port: str = "http", **meta: str) -> Any:
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": WEB, "uid": f"u-{name}", **meta},
        "spec": {"containers": [{"ports": [{"name": port, "containerPort": 8000}]}]},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def test_ready_pods_are_active_those_that_leave_drain_and_those_that_falter_wait() -> None:
    pods = [pod("leaving", deletionTimestamp="now"), pod("faltering", ready=False), pod("fine")]
    found = resolve("c", TARGET, DEPLOYMENT, pods, "http")
    address = PodAddress("c", "ns", "fine", "u-fine", 8000)
    assert found.endpoints[0] == Endpoint("u-fine:8000", address, "Active")
    assert [(e.id, e.state) for e in found.endpoints[1:]] == [
        ("u-leaving:8000", "Draining"),
    ]
    assert [(p.pod, p.state) for p in found.places] == [
        ("fine", "Active"), ("faltering", "Unready"), ("leaving", "Draining"),
    ]  # fmt: skip
    assert found.port == 8000


def test_a_pod_that_falters_is_never_draining_because_it_may_recover() -> None:
    for ready, states in ((True, ["Active"]), (False, []), (True, ["Active"])):
        found = resolve("c", TARGET, DEPLOYMENT, [pod("a", ready=ready)], 8000)
        assert [e.state for e in found.endpoints] == states


def test_a_pod_asked_for_by_name_is_dialled_when_it_runs_ready_or_not() -> None:
    target, unready = Target("pod", "ns", "a"), pod("a", ready=False)
    found = resolve("c", target, unready, [unready], "http")
    assert [(e.id, e.state) for e in found.endpoints] == [("u-a:8000", "Active")]
    assert found.places[0].reason.endswith("; asked for by name")
    leaving = pod("a", deletionTimestamp="now")
    assert resolve("c", target, leaving, [leaving], "http").endpoints[0].state == "Draining"
    unready["status"]["podIP"] = ""
    assert resolve("c", target, unready, [unready], "http").endpoints == ()


def test_a_pod_that_never_ran_is_listed_but_is_no_endpoint() -> None:
    pending = pod("new", ready=False)
    pending["status"] = {"phase": "Pending"}
    found = resolve("c", TARGET, DEPLOYMENT, [pending], 8000)
    assert found.endpoints == ()
    assert found.places[0].reason == "not ready: its phase is Pending"


def test_a_port_that_one_pod_lacks_concerns_that_pod_only() -> None:
    found = resolve("c", TARGET, DEPLOYMENT, [pod("a", port="www"), pod("b")], "http")
    assert [e.id for e in found.endpoints] == ["u-b:8000"]
    assert (found.places[0].pod, found.places[0].state) == ("a", "Unready")
    assert found.places[0].reason == "Pod 'a' does not have a named port 'http'"
    assert found.port == 8000


def test_a_service_without_the_port_has_no_endpoints_in_any_pod() -> None:
    service: Any = {
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "ns"},
        "spec": {"selector": WEB, "ports": [{"port": 80, "targetPort": "http"}]},
    }
    target = Target("service", "ns", "web")
    assert resolve("c", target, service, [pod("a")], 80).port == 8000
    with pytest.raises(UserError, match="Service web does not have a service port 8000"):
        resolve("c", target, service, [], 8000)


def test_without_pods_the_port_is_unknown() -> None:
    assert resolve("c", TARGET, DEPLOYMENT, [], "http").port is None
