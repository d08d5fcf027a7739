"""The verb `ferry forward` as scripts and people use it, each as a process on a real demo."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import stat
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ferryman.apiclient.sharing import NARROW
from tests.support.demo import Demo, running_demo
from tests.support.forwarding import FERRY, Program, ferry_forward, get, running

GET = (
    "import os, urllib.request as u;"
    "at = os.environ['FERRY_HOST'], os.environ['{}'];"
    "print(u.urlopen('http://%s:%s' % at).read().decode())"
)
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: app, image: example-go, ports: [{{name: http, containerPort: 8000}}]}}]
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def run(demo: Demo, *arguments: str) -> subprocess.CompletedProcess[str]:
    before, dashes, command = list(arguments), [], []
    if "--" in before:
        at = before.index("--")
        before, dashes, command = before[:at], ["--"], before[at + 1 :]
    line = [*FERRY, "forward", *before, "--kubeconfig", demo.kubeconfig, *dashes, *command]
    return subprocess.run(line, capture_output=True, text=True, timeout=60)


def objects(program: Program, lines: int) -> list[dict[str, Any]]:
    program.wait_for(lambda: len(program.out) >= lines)
    return [json.loads(line) for line in program.out]


# -- options and arguments --


def test_options_may_stand_between_target_and_ports(demo: Demo) -> None:
    with ferry_forward(demo.kubeconfig, "deploy/example-go", "-n", "default", ":8000") as ours:
        assert len(ours.ports(2)) == 2
        assert ours.stop() == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [("0s", "--pod-running-timeout must be higher than zero"), ("x", "")],
)
def test_pod_running_timeout_has_to_be_a_time(demo: Demo, value: str, message: str) -> None:
    arguments = ("deploy/example-go", "8000", f"--pod-running-timeout={value}")
    theirs = demo.kubectl("port-forward", *arguments, check=False)
    ours = run(demo, *arguments)
    assert theirs.returncode == 1
    assert (ours.returncode, ours.stdout) == (2, "")
    assert message in theirs.stderr
    assert message in ours.stderr


def test_two_targets_in_one_command_each_have_their_ports(demo: Demo) -> None:
    with ferry_forward(
        demo.kubeconfig, "deploy/example-go", ":8000", "deploy/web", ":http"
    ) as ours:
        ports = dict.fromkeys(ours.ports(4))
        assert {get(port).rpartition("-")[0].rpartition("-")[0] for port in ports} == {
            "example-go",
            "web",
        }
        assert ours.stop() == 0


def test_many_forwards_in_one_command_share_their_watches(demo: Demo) -> None:
    """peers.md asks what they cost: 50 forwards are not 100 watches of an API server."""
    names = [f"many-{number}" for number in range(50)]
    for name in names:
        body = yaml.safe_load(DEPLOYMENT.format(name=name, replicas=0))
        demo.request("POST", "/apis/apps/v1/namespaces/default/deployments", body)
    words = [word for name in names for word in (f"deploy/{name}", ":http")]
    before = demo.stats()["requests"]
    with ferry_forward(demo.kubeconfig, *words) as ours:
        ours.ports(100)
        asked = {what: n - before.get(what, 0) for what, n in demo.stats()["requests"].items()}
        assert asked["watch deployments"] == asked["watch pods"] == NARROW + 1
        assert asked["list deployments"] == asked["list pods"] == NARROW + 1
        for name in names:
            demo.request("DELETE", f"/apis/apps/v1/namespaces/default/deployments/{name}")
        assert ours.stop() == 0


def test_a_label_selector_is_a_target(demo: Demo) -> None:
    with ferry_forward(demo.kubeconfig, "-l", "app=example-go", ":8000") as ours:
        assert get(ours.ports(2)[0]).startswith("example-go-")
        assert ours.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("deploy/exampel-go", "8000"), "did you mean deployment/example-go?"),
        (("svc/chache", "6379"), "did you mean service/cache?"),
        (("deploy/web", "8000", "-n", "defualt"), "did you mean default?"),
        (("deploy/web", "8000", "--context", "feryman-demo"), "did you mean ferryman-demo?"),
        (("deploymnt/web", "8000"), "did you mean deployment?"),
    ],
)
def test_a_typing_error_is_told_what_is_near(
    demo: Demo, arguments: tuple[str, ...], hint: str
) -> None:
    done = run(demo, *arguments)
    assert done.returncode in (1, 2)
    assert hint in done.stderr


# -- waiting --


def test_wait_waits_for_a_target_that_does_not_exist_yet(demo: Demo) -> None:
    with ferry_forward(demo.kubeconfig, "deploy/later", ":http", "--wait") as ours:
        ours.wait_for(lambda: len(ours.out) == 2)
        assert ours.out[0].endswith(" -> http")  # nobody knows the number yet
        port = int(re.findall(r":(\d+) ->", ours.out[0])[0])
        ours.said('deployments.apps "later" not found')
        demo.kubectl("apply", "-f", "-", text=DEPLOYMENT.format(name="later", replicas=1))
        try:
            assert get(port).startswith("later-")
        finally:
            demo.kubectl("delete", "deployment/later")
        assert ours.stop() == 0


def test_without_wait_it_is_an_error_at_once(demo: Demo) -> None:
    assert run(demo, "deploy/later", ":http").returncode == 1


def test_no_pod_in_time_is_an_error_in_kubectls_words_if_a_time_was_given(demo: Demo) -> None:
    demo.kubectl("apply", "-f", "-", text=DEPLOYMENT.format(name="none", replicas=0))
    arguments = ("deploy/none", ":8000", "--pod-running-timeout=1s")
    theirs = demo.kubectl("port-forward", *arguments, check=False)
    ours = run(demo, *arguments)
    demo.kubectl("delete", "deployment/none")
    assert theirs.stderr.strip() == "error: timed out waiting for the condition"
    assert ours.returncode == theirs.returncode == 1
    assert "error: timed out waiting for the condition\n" in ours.stderr
    assert "hint: deployment/none has no pods" in ours.stderr


def test_a_terminal_shows_what_is_waited_for_and_a_pipe_does_not(demo: Demo) -> None:
    demo.kubectl("apply", "-f", "-", text=DEPLOYMENT.format(name="empty", replicas=0))
    command = [*FERRY, "forward", "deploy/empty", ":8000", "--kubeconfig", demo.kubeconfig]
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with running(command) as piped:
        piped.said("connections wait")
        terminal = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=writing,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
        )
        os.close(writing)
        seen = ""
        try:
            while "waiting for deployment/empty, 2 s: deployment/empty has no pods" not in seen:
                seen += os.read(reading, 4096).decode()
        finally:
            terminal.send_signal(signal.SIGINT)
            assert terminal.wait(20) == 0
            os.close(reading)
        assert piped.stop() == 0
    assert "\x1b[2m" not in seen
    assert not [line for line in piped.err if "waiting for" in line or "\x1b" in line]
    demo.kubectl("delete", "deployment/empty")


# -- JSON --


def test_json_tells_the_bound_ports_first_and_then_every_event(demo: Demo) -> None:
    with ferry_forward(demo.kubeconfig, "deploy/example-go", ":http", "-o", "json") as ours:
        first = objects(ours, 1)[0]
        [port] = first["ports"]
        assert first["event"] == "forwarding"
        assert (first["target"], first["namespace"]) == ("deployment/example-go", "default")
        assert (port["remote"], port["targetPort"]) == ("http", 8000)
        assert port["addresses"] == [f"127.0.0.1:{port['port']}", f"[::1]:{port['port']}"]
        pod = get(port["port"])
        ours.wait_for(lambda: any('"event": "closed"' in line for line in ours.out))
        assert ours.stop() == 0
    told = objects(ours, 1)
    assert [one["event"] for one in told if one["event"] != "status"] == [
        "forwarding", "opened", "closed", "ended",
    ]  # fmt: skip
    status = next(one for one in told if one["event"] == "status")
    assert status["ready"] is True
    assert [(e["pod"], e["state"]) for e in status["endpoints"]] == [(pod, "Active")]


def test_json_tells_why_it_could_not_begin(demo: Demo) -> None:
    done = run(demo, "deploy/nope", "80", "--output=json")
    assert done.returncode == 1
    [error] = [json.loads(line) for line in done.stdout.splitlines()[:1]]
    assert error["event"] == "error"
    assert error["message"] == 'deployments.apps "nope" not found'
    assert 'deployments.apps "nope" not found' in done.stderr


# -- a command --


def test_a_command_runs_once_ready_with_the_ports_and_its_exit_code_is_ours(demo: Demo) -> None:
    script = GET.format("FERRY_PORT_HTTP") + "; raise SystemExit(7)"
    done = run(demo, "deploy/example-go", ":http", "--", sys.executable, "-c", script)
    assert done.returncode == 7, done.stderr
    assert done.stdout.startswith("example-go-")  # its own, and nothing of ours
    assert "Forwarding from" in done.stderr


def test_a_command_is_not_run_before_connections_get_through(demo: Demo, tmp_path: Path) -> None:
    demo.kubectl("apply", "-f", "-", text=DEPLOYMENT.format(name="slow", replicas=0))
    command = [*FERRY, "forward", "deploy/slow", ":8000", "--kubeconfig", demo.kubeconfig]
    script = GET.format("FERRY_PORT_8000")
    with running([*command, "--", sys.executable, "-c", script]) as ours:
        ours.said("connections wait")
        assert ours.out == []
        demo.kubectl("scale", "deployment/slow", "--replicas=1")
        assert ours.process.wait(30) == 0
    assert ours.out[0].startswith("slow-")
    demo.kubectl("delete", "deployment/slow")


def test_a_command_that_waits_in_vain_is_never_run(demo: Demo) -> None:
    done = run(demo, "deploy/nope", ":8000", "--", sys.executable, "-c", "print('ran')")
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_signals_reach_the_command_and_its_end_is_ours(demo: Demo, number: signal.Signals) -> None:
    script = (
        "import signal, sys, threading\n"
        "ended = threading.Event()\n"
        f"signal.signal({int(number)}, lambda *_: ended.set())\n"
        "print('up', flush=True)\n"
        "while not ended.wait(0.05): pass\n"
        "sys.exit(5)"
    )
    command = [*FERRY, "forward", "deploy/web", ":80", "--kubeconfig", demo.kubeconfig]
    with running([*command, "--", sys.executable, "-c", script]) as ours:
        ours.wait_for(lambda: ours.out == ["up"])
        assert ours.stop(number) == 5


# -- the background --


def test_background_prints_the_ports_returns_and_says_how_to_stop_it(demo: Demo) -> None:
    done = run(demo, "deploy/example-go", ":8000", "--background")
    assert done.returncode == 0, done.stderr
    pid = int(re.findall(r"stop it with: kill (\d+)", done.stderr)[0])
    log = Path(re.findall(r"log in (\S+)", done.stderr)[0])
    try:
        port = int(re.findall(r"127.0.0.1:(\d+) -> 8000", done.stdout)[0])
        assert get(port).startswith("example-go-")
        assert os.getsid(pid) == pid  # a hang-up of our terminal is none of its business
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
    finally:
        os.kill(pid, signal.SIGTERM)
        gone = time.monotonic() + 20
        while _lives(pid) and time.monotonic() < gone:
            time.sleep(0.05)
    assert not _lives(pid)
    log.unlink()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_background_that_cannot_begin_fails_in_the_foreground(demo: Demo) -> None:
    done = run(demo, "deploy/nope", "8000", "--background")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'deployments.apps "nope" not found' in done.stderr


# -- the trace --


def test_trace_tells_the_wire_frame_by_frame_and_no_secrets(demo: Demo) -> None:
    with ferry_forward(demo.kubeconfig, "deploy/example-go", ":8000", "--trace") as ours:
        get(ours.ports(2)[0])
        ours.said("< DATA 3")
        assert ours.stop() == 0
    trace = [line for line in ours.err if re.match(r" *\d+\.\d+ wire \d+ example-go-", line)]
    texts = [re.sub(r"^ *[\d.]+ wire (\d+) \S+ ", r"\1 ", line) for line in trace]
    for text in (
        "1 < tunnel: upgraded",
        "1 > SYN_STREAM 1 streamtype=error port=8000 requestid=1",
        "1 > SYN_STREAM 3 streamtype=data port=8000 requestid=1",
        "1 < SYN_REPLY 3",
    ):
        assert text in texts
    assert demo.token not in "\n".join(ours.err)
    assert "Bearer" not in "\n".join(ours.err)
