"""The real kubectl on the demo cluster, run as people run it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.demo import Demo, running_demo

WIRES = [("WebSocket tunnel", "true"), ("SPDY", "false")]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@contextlib.contextmanager
def kubectl_lines(
    demo: Demo, *arguments: str, websockets: str = "true"
) -> Iterator[tuple[subprocess.Popen[str], list[str], threading.Condition]]:
    """A kubectl that runs on; its lines, and a condition that is notified of each."""
    process = subprocess.Popen(
        demo.command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "KUBECTL_PORT_FORWARD_WEBSOCKETS": websockets},
    )
    lines: list[str] = []
    told = threading.Condition()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with told:
                lines.append(line.rstrip("\n"))
                told.notify_all()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield process, lines, told
    finally:
        process.kill()
        process.wait()
        reader.join()
        assert process.stdout is not None
        process.stdout.close()


def wait_for(lines: list[str], told: threading.Condition, pattern: str) -> re.Match[str]:
    """The first line that matches; fails after 20 s."""
    with told:
        found = told.wait_for(
            lambda: next((m for line in lines if (m := re.search(pattern, line))), None), 20
        )
    assert found, f"no line like {pattern!r} in {lines}"
    return found


@contextlib.contextmanager
def port_forward(demo: Demo, target: str, websockets: str) -> Iterator[tuple[int, list[str]]]:
    arguments = ("port-forward", target.split()[0], f":{target.split()[1]}")
    with kubectl_lines(demo, *arguments, websockets=websockets) as (_, lines, told):
        found = wait_for(lines, told, r"Forwarding from 127\.0\.0\.1:(\d+) -> ")
        wait_for(lines, told, r"Forwarding from \[::1\]")
        yield int(found[1]), lines


def fetch(port: int, path: str = "/", data: bytes | None = None) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=30) as answer:
        return bytes(answer.read())


def one_pod(demo: Demo, selector: str) -> str:
    (pod,) = [p for p in demo.pods(selector) if "deletionTimestamp" not in p["metadata"]]
    return str(pod["metadata"]["name"])


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return "deletionTimestamp" not in pod["metadata"] and conditions.get("Ready") == "True"


def test_get_shows_workloads_with_their_columns(demo: Demo) -> None:
    lines = demo.kubectl("get", "deploy,sts,svc,rs,nodes").stdout.splitlines()
    assert re.search(r"deployment.apps/example-go +1/1 +1 +1 ", "\n".join(lines))
    assert re.search(r"statefulset.apps/cache +1/1 ", "\n".join(lines))
    assert re.search(
        r"service/example-go +ClusterIP +10\.[\d.]+ +<none> +80/TCP ", "\n".join(lines)
    )
    assert re.search(r"node/ferryman-demo +Ready +control-plane ", "\n".join(lines))
    pods = demo.kubectl("get", "pods", "-l", "app=cache", "-o", "wide").stdout.splitlines()
    assert pods[0].split()[:7] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    assert pods[1].split()[:4] == ["cache-0", "1/1", "Running", "0"]


def test_get_all_and_short_names_are_discovered(demo: Demo) -> None:
    assert "deployment.apps/example-go" in demo.kubectl("get", "all").stdout
    for short in ("po", "svc", "deploy", "rs", "sts", "no", "ns", "ev", "cm", "endpointslices"):
        demo.kubectl("get", short)


def test_describe_tells_a_pods_events_in_order(demo: Demo) -> None:
    said = demo.kubectl("describe", "pod", one_pod(demo, "app=example-go")).stdout
    assert "Readiness:" in said
    assert "http-get http://:http/" in said
    assert said.index("Successfully assigned") < said.index("Started container example-go")


def test_delete_pod_waits_for_its_end_and_a_new_one_comes(demo: Demo) -> None:
    before = one_pod(demo, "app=example-go")
    demo.kubectl("delete", "pod", before)
    demo.kubectl("rollout", "status", "deploy/example-go", "--timeout=30s")
    assert one_pod(demo, "app=example-go") != before


def test_a_stateful_pod_comes_back_under_its_name(demo: Demo) -> None:
    (before,) = demo.pods("app=cache")
    demo.kubectl("delete", "pod", "cache-0")
    demo.kubectl("rollout", "status", "sts/cache", "--timeout=30s")
    (after,) = demo.pods("app=cache")
    assert after["metadata"]["name"] == "cache-0"
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


def test_watching_tells_every_stage_of_a_pods_life(demo: Demo) -> None:
    watch = ("get", "pods", "-w", "--output-watch-events")
    with kubectl_lines(demo, *watch) as (_, lines, told):
        wait_for(lines, told, "ADDED +cache-0")  # from now on it misses nothing
        demo.kubectl("run", "watched", "--image=web")
        for stage in ("Pending", "ContainerCreating", "Running"):
            wait_for(lines, told, f"watched .*{stage}")
        demo.kubectl("delete", "pod", "watched")
        for stage in ("MODIFIED +watched .*Terminating", "DELETED +watched"):
            wait_for(lines, told, stage)


def test_scale_up_and_down(demo: Demo) -> None:
    demo.kubectl("scale", "deploy/web", "--replicas=5")
    demo.kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    assert demo.kubectl(
        "get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}"
    ).stdout == ("5")
    demo.kubectl("scale", "deploy/web", "--replicas=3")
    demo.kubectl("wait", "deploy/web", "--for=jsonpath={.status.replicas}=3", "--timeout=30s")


def test_rollout_restart_status_history_and_undo(demo: Demo) -> None:
    before = demo.kubectl("get", "rs", "-l", "app=web", "-o", "name").stdout.split()
    demo.kubectl("rollout", "restart", "deploy/web")
    said = demo.kubectl("rollout", "status", "deploy/web", "--timeout=60s").stdout
    assert 'deployment "web" successfully rolled out' in said
    after = demo.kubectl("get", "rs", "-l", "app=web", "-o", "name").stdout.split()
    assert len(after) == len(before) + 1
    history = demo.kubectl("rollout", "history", "deploy/web").stdout
    assert re.search(r"^2 ", history, re.MULTILINE)
    demo.kubectl("rollout", "undo", "deploy/web")
    demo.kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    (deployment,) = [
        d for d in json.loads(demo.kubectl("get", "deploy", "-o", "json").stdout)["items"]
        if d["metadata"]["name"] == "web"
    ]  # fmt: skip
    assert deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


def test_a_rollout_never_has_fewer_ready_pods_than_asked_for(demo: Demo) -> None:
    fewest = 3
    demo.kubectl("rollout", "restart", "deploy/web")
    status = demo.command("rollout", "status", "deploy/web", "--timeout=60s")
    with subprocess.Popen(status, stdout=subprocess.DEVNULL) as rolling:
        while rolling.poll() is None:
            fewest = min(fewest, sum(map(is_ready, demo.pods("app=web"))))
    assert rolling.returncode == 0
    assert fewest == 3  # 25 % of 3, rounded down, may be missing: none


MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: applied}
spec:
  replicas: 1
  selector: {matchLabels: {app: applied}}
  template:
    metadata: {labels: {app: applied}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: main
        image: web
        env: [{name: COLOUR, value: red}, {name: SIZE, value: small}]
        ports: [{name: http, containerPort: 9000}]
        readinessProbe: {httpGet: {port: http}, periodSeconds: 1}
"""


def test_apply_merges_lists_by_their_keys(demo: Demo) -> None:
    demo.kubectl("apply", "-f", "-", text=MANIFEST)
    demo.kubectl("rollout", "status", "deploy/applied", "--timeout=30s")
    assert "unchanged" in demo.kubectl("apply", "-f", "-", text=MANIFEST).stdout
    demo.kubectl("set", "env", "deploy/applied", "EXTRA=1")  # another tool's, not to be lost
    said = demo.kubectl("apply", "-f", "-", text=MANIFEST.replace("red", "blue"))
    assert "configured" in said.stdout
    assert "warning" not in said.stderr.lower()
    env = "jsonpath={range .spec.template.spec.containers[0].env[*]}{.name}={.value} {end}"
    got = demo.kubectl("get", "deploy", "applied", "-o", env).stdout.split()
    assert sorted(got) == ["COLOUR=blue", "EXTRA=1", "SIZE=small"]
    demo.kubectl("delete", "-f", "-", text=MANIFEST)
    demo.kubectl("wait", "pod", "-l", "app=applied", "--for=delete", "--timeout=30s")
    assert not demo.kubectl("get", "rs", "-l", "app=applied", "-o", "name").stdout  # collected


def test_logs_are_shown_followed_and_kept_over_a_restart(demo: Demo) -> None:
    name = one_pod(demo, "app=example-go")
    assert demo.kubectl("logs", name).stdout.startswith("example-go listens on port 8000\n")
    assert demo.kubectl("logs", name, "--tail=0").stdout == ""
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z ", demo.kubectl("logs", name, "--timestamps").stdout)
    with kubectl_lines(demo, "logs", "-f", name, "--tail=0") as (_, lines, told):
        with port_forward(demo, f"pod/{name} 8000", "true") as (port, _):
            fetch(port, "/hello")
        wait_for(lines, told, "GET /hello")
        demo.kill(name)
        demo.kubectl(
            "wait", "pod", name, "--for=jsonpath={.status.containerStatuses[0].restartCount}=1"
        )
    assert "GET /hello" in demo.kubectl("logs", name, "--previous").stdout
    assert re.search(rf"{name} .* 1 \(\d+s ago\)", demo.kubectl("get", "pod", name).stdout)
    demo.kubectl("wait", "pod", name, "--for=condition=Ready", "--timeout=30s")


@pytest.mark.parametrize(("wire", "websockets"), WIRES, ids=[w for w, _ in WIRES])
def test_port_forward_carries_bytes_both_ways(demo: Demo, wire: str, websockets: str) -> None:
    with port_forward(demo, "deploy/example-go 8000", websockets) as (port, lines):
        assert lines[:2] == [
            f"Forwarding from 127.0.0.1:{port} -> 8000",
            f"Forwarding from [::1]:{port} -> 8000",
        ]
        assert fetch(port).decode().strip() == one_pod(demo, "app=example-go")
        size = 20_000_000
        body = (bytes(range(251)) * (size // 251 + 1))[:size]
        assert fetch(port, f"/bytes/{size}") == body
        import hashlib

        assert fetch(port, "/sink", body).decode() == f"{size} {hashlib.sha256(body).hexdigest()}\n"
    opened = {"WebSocket tunnel": "get", "SPDY": "create"}[wire]
    assert demo.stats()["requests"][f"{opened} pods/portforward"] >= 1


@pytest.mark.parametrize(("wire", "websockets"), WIRES, ids=[w for w, _ in WIRES])
def test_port_forward_resolves_a_service_and_serves_many(
    demo: Demo, wire: str, websockets: str
) -> None:
    with port_forward(demo, "svc/example-go http", websockets) as (port, _):
        names = {fetch(port) for _ in range(50)}
        assert len(names) == 1


@pytest.mark.parametrize(("wire", "websockets"), WIRES, ids=[w for w, _ in WIRES])
def test_a_refused_port_is_told_in_containerds_words(
    demo: Demo, wire: str, websockets: str
) -> None:
    with port_forward(demo, "sts/cache 6380", websockets) as (port, lines):
        with pytest.raises(OSError):
            fetch(port)
        deadline = time.monotonic() + 10
        while not any("connection refused" in line for line in lines):
            assert time.monotonic() < deadline, lines
            time.sleep(0.01)
    assert re.search(
        r"error forwarding port 6380 to pod [0-9a-f]{64}, uid : failed to execute portforward in "
        r'network namespace "/var/run/netns/cni-[0-9a-f-]+": failed to connect to localhost:6380',
        "\n".join(lines).replace('\\"', '"'),  # kubectl's log quotes it
    )


def test_pending_pods_are_said_to_be_pending(demo: Demo) -> None:
    overrides = json.dumps({"spec": {"nodeSelector": {"disk": "tape"}}})
    demo.kubectl("run", "pending", "--image=web", f"--overrides={overrides}")
    demo.kubectl("wait", "pod/pending", "--for=condition=PodScheduled=False", "--timeout=10s")
    done = demo.kubectl("port-forward", "pod/pending", ":80", check=False)
    assert "pod is not running. Current status=Pending" in done.stderr
    answer = demo.kubectl(
        "get", "--raw", "/api/v1/namespaces/default/pods/pending/portforward?ports=80", check=False
    )
    assert "pod pending does not have a host assigned" in answer.stderr
    assert (
        "didn't match Pod's node affinity/selector"
        in demo.kubectl("describe", "pod/pending").stdout
    )
    demo.kubectl("delete", "pod", "pending")


def test_an_unknown_image_is_said_to_be_unknown(demo: Demo) -> None:
    demo.kubectl("run", "odd", "--image=registry.example/odd:1")
    waiting = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull"
    demo.kubectl("wait", "pod/odd", f"--for={waiting}", "--timeout=10s")
    said = demo.kubectl("logs", "odd", check=False).stderr
    assert 'container "odd" in pod "odd" is waiting to start: ErrImagePull' in said
    demo.kubectl("delete", "pod", "odd")


def test_an_outage_ends_on_the_same_port_and_pods_live_on(demo: Demo) -> None:
    before = {pod["metadata"]["uid"] for pod in demo.pods()}
    with port_forward(demo, "deploy/example-go 8000", "true") as (_, lines):
        demo.outage(0.3)
        deadline = time.monotonic() + 20
        while not any("lost connection to pod" in line for line in lines):
            assert time.monotonic() < deadline, lines
            time.sleep(0.01)
    while True:
        try:
            assert {pod["metadata"]["uid"] for pod in demo.pods()} == before
            return
        except OSError:
            assert time.monotonic() < deadline


def test_two_demos_live_side_by_side(demo: Demo, tmp_path: Path) -> None:
    with running_demo(tmp_path) as other:
        mine = {pod["status"]["podIP"] for pod in demo.pods()}
        theirs = {pod["status"]["podIP"] for pod in other.pods()}
        assert mine
        assert theirs
        assert not mine & theirs or not any(ip.startswith("127.") for ip in mine)
        with port_forward(demo, "deploy/example-go 8000", "true") as (port, _):
            with port_forward(other, "deploy/example-go 8000", "true") as (other_port, _):
                assert fetch(port).decode().strip() == one_pod(demo, "app=example-go")
                assert fetch(other_port).decode().strip() == one_pod(other, "app=example-go")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(tmp_path: Path, how: signal.Signals) -> None:
    with running_demo(tmp_path) as demo:
        addresses = [
            (pod["status"]["podIP"], container["ports"][0]["containerPort"])
            for pod in demo.pods()
            for container in pod["spec"]["containers"]
        ]
        pods = descendants(demo.process.pid)
        assert len(pods) >= 5
        demo.process.send_signal(how)
        demo.process.wait(20)
        deadline = time.monotonic() + 10
        while left := [pid for pid in pods if alive(pid)]:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.01)
        assert addresses
        if how == signal.SIGTERM:
            assert not Path(demo.kubeconfig).exists()
            assert demo.process.returncode == 0
            assert demo.errors == []


def descendants(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    rows = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    return [child for child, parent in rows if parent == pid]


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(listed.stdout.strip()) and not listed.stdout.startswith("Z")
