"""`ferry why` names the hop that fails: each is broken in turn, on a real demo cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ferryman.daemon.why import HOPS
from tests.support.demo import Demo, running_demo
from tests.support.forwarding import FERRY

PENDING = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "pending", "namespace": "default"},
    "spec": {
        "nodeSelector": {"nowhere": "true"},
        "containers": [{"name": "app", "image": "example-go"}],
    },
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        demo.request("POST", "/api/v1/namespaces/default/pods", PENDING)
        yield demo


def ask(kubeconfig: str, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the hops by their names."""
    command = [*FERRY, "why", *arguments, "--kubeconfig", kubeconfig, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    hops = [json.loads(line) for line in done.stdout.splitlines()]
    assert [hop["name"] for hop in hops] == list(HOPS), done.stderr
    return done.returncode, {hop["name"]: hop for hop in hops}


def changed(demo: Demo, folder: Path, part: str, **fields: object) -> str:
    """A kubeconfig like the demo's, with other fields in its cluster or user."""
    config = yaml.safe_load(Path(demo.kubeconfig).read_text())
    entry = config[f"{part}s"][0][part]
    for name, value in fields.items():
        entry.pop(name, None)
        if value is not None:
            entry[name.replace("_", "-")] = value
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def failing(code: int, hops: dict[str, dict[str, str]]) -> dict[str, str]:
    """The one hop that fails; those before it hold, those behind it were not tried."""
    assert code == 1
    states = [hop["state"] for hop in hops.values()]
    at = states.index("failed")
    assert set(states[:at]) <= {"ok"}
    assert set(states[at + 1 :]) <= {"not tried"}
    return list(hops.values())[at]


def test_all_hops_hold(demo: Demo) -> None:
    code, hops = ask(demo.kubeconfig, "deploy/example-go", "8000")
    assert code == 0, hops
    assert {hop["state"] for hop in hops.values()} == {"ok"}
    assert "Kubernetes v" in hops["API"]["message"]
    assert demo.token not in json.dumps(hops)


def test_people_get_a_line_each_with_its_time(demo: Demo) -> None:
    command = [*FERRY, "why", "deploy/example-go", "8999", "--kubeconfig", demo.kubeconfig]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == len(HOPS)
    assert all(" ms  " in line for line in done.stdout.splitlines())
    assert "refuses connections on port 8999; does the program listen" in done.stdout


def test_the_kubeconfig_lacks_the_context(demo: Demo) -> None:
    hop = failing(*ask(demo.kubeconfig, "deploy/web", "80", "--context", "ferryman-dem"))
    assert hop["name"] == "kubeconfig"
    assert hop["remedy"] == "did you mean ferryman-demo?"


def test_the_credential_cannot_be_had(demo: Demo, tmp_path: Path) -> None:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "/nonsense/login",
        "interactiveMode": "Never",
        "installHint": "install the plugin of your cloud",
    }
    kubeconfig = changed(demo, tmp_path, "user", token=None, exec=plugin)
    hop = failing(*ask(kubeconfig, "deploy/web", "80"))
    assert hop["name"] == "credential"
    assert "/nonsense/login" in hop["message"]


def test_nobody_listens_where_the_cluster_is_to_be(demo: Demo, tmp_path: Path) -> None:
    kubeconfig = changed(demo, tmp_path, "cluster", server="https://127.0.0.1:1")
    assert failing(*ask(kubeconfig, "deploy/web", "80"))["name"] == "TLS"


def test_the_certificate_is_somebody_elses(demo: Demo, tmp_path: Path) -> None:
    name = {"tls_server_name": "example.com"}
    hop = failing(*ask(changed(demo, tmp_path, "cluster", **name), "deploy/web", "80"))
    assert hop["name"] == "TLS"
    assert "certificate" in hop["message"]


def test_the_cluster_does_not_know_the_credential(demo: Demo, tmp_path: Path) -> None:
    kubeconfig = changed(demo, tmp_path, "user", token="wrong")
    hop = failing(*ask(kubeconfig, "deploy/web", "80"))
    assert (hop["name"], hop["remedy"]) == ("API", "log in again")


@pytest.mark.parametrize(
    ("refused", "granted"),
    [
        ("list:pods", "kubectl create role ferryman-pods -n default --verb=get,list,watch"),
        ("create:pods/portforward", "--verb=get,create --resource=pods/portforward"),
        ("get:deployments", "--resource=deployments.apps"),
    ],
)
def test_a_rule_is_missing_and_how_to_grant_it_is_told(
    demo: Demo, refused: str, granted: str
) -> None:
    demo.refuse(refused)
    try:
        hop = failing(*ask(demo.kubeconfig, "deploy/web", "80"))
    finally:
        demo.refuse()
    assert hop["name"] == "RBAC"
    assert granted in hop["remedy"]


def test_a_rule_that_is_not_needed_may_be_missing(demo: Demo) -> None:
    demo.refuse("get:pods/portforward")  # SPDY needs create only
    try:
        code, hops = ask(demo.kubeconfig, "deploy/web", "http")
    finally:
        demo.refuse()
    assert code == 0, hops
    assert "but get pods/portforward" in hops["RBAC"]["message"]


def test_the_target_is_not_there(demo: Demo) -> None:
    hop = failing(*ask(demo.kubeconfig, "deploy/wbe", "80"))
    assert (hop["name"], hop["remedy"]) == ("target", "did you mean deployment/web?")


def test_the_pod_is_not_ready(demo: Demo) -> None:
    hop = failing(*ask(demo.kubeconfig, "pod/pending", "80"))
    assert hop["name"] == "pod"
    assert "not scheduled" in hop["message"]
    assert hop["remedy"] == "kubectl describe pod/pending -n default"


def test_no_wire_can_be_opened(demo: Demo) -> None:
    demo.speak("")
    try:
        hop = failing(*ask(demo.kubeconfig, "deploy/web", "http"))
    finally:
        demo.speak("tunnel", "spdy", "channels")
    assert hop["name"] == "wire"


@pytest.mark.parametrize(
    ("target", "port", "message"),
    [
        ("deploy/web", "nope", "does not have a named port 'nope'"),
        ("svc/web", "81", "does not have a service port 81"),
    ],
)
def test_the_target_has_no_such_port(demo: Demo, target: str, port: str, message: str) -> None:
    code, hops = ask(demo.kubeconfig, target, port)
    assert code == 1
    assert hops["port"]["state"] == "failed"
    assert message in hops["port"]["message"]
    assert hops["wire"]["state"] == "not tried"


def test_the_port_refuses(demo: Demo) -> None:
    hop = failing(*ask(demo.kubeconfig, "deploy/example-go", "8999"))
    assert hop["name"] == "port"
    assert "refuses connections on port 8999" in hop["message"]
