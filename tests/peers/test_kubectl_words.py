"""`ferry forward` says what kubectl port-forward says, wherever both say something.

Both run with the same arguments on the same demo; where ours differs on purpose (it waits for a
pending pod, it refuses a port that is half taken), that is what is tested.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.demo import Demo, running_demo
from tests.support.forwarding import FERRY, Program, ferry_forward, free_port, get, running


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        demo.kubectl("apply", "-f", "-", text=NO_SELECTOR)
        demo.kubectl("apply", "-f", "-", text=PENDING)
        yield demo


NO_SELECTOR = """
apiVersion: v1
kind: Service
metadata: {name: noselector, namespace: default}
spec: {ports: [{port: 80}]}
"""

PENDING = """
apiVersion: v1
kind: Pod
metadata: {name: pending, namespace: default}
spec:
  nodeSelector: {nowhere: "true"}
  containers: [{name: app, image: example-go, ports: [{containerPort: 8000}]}]
"""

ODD = """
apiVersion: v1
kind: Pod
metadata: {{name: odd, namespace: default}}
spec:
  containers:
  - {{name: app, image: example-go, ports: [{{name: odd, containerPort: {port}}}]}}
"""


def both(demo: Demo, *arguments: str) -> tuple[list[str], list[str]]:
    """The lines of kubectl and of ferry on stdout, as many as the ports and addresses make."""
    lines = []
    for program in (
        running(demo.command("port-forward", *arguments)),
        ferry_forward(demo.kubeconfig, *arguments),
    ):
        with program as one:
            _wait_for_the_last(one)
            lines.append(list(one.out))
            one.stop()
    return lines[0], lines[1]


def _wait_for_the_last(program: Program) -> None:
    """kubectl's last line is that of the last address in its order, ::1."""
    program.wait_for(lambda: program.out and "[::1]" in program.out[-1])


def pod_of(demo: Demo, app: str) -> str:
    return str(demo.pods(f"app={app}")[0]["metadata"]["name"])


@pytest.mark.parametrize(
    ("target", "port"),
    [
        ("deploy/example-go", "{}:8000"),
        ("deployment.apps/example-go", "{}:http"),
        ("pod", "{}:8000"),
        ("pod", "{}:http"),
        ("statefulset/cache", "{}:6379"),
        ("service/example-go", "{}:80"),
        ("svc/example-go", "{}:http"),
    ],
)
def test_the_first_lines_are_kubectls(demo: Demo, target: str, port: str) -> None:
    if target == "pod":
        target = f"pod/{pod_of(demo, 'example-go')}"
    theirs, ours = both(demo, target, port.format(free_port()))
    assert theirs == ours
    assert len(ours) == 2


def test_addresses_come_in_kubectls_order(demo: Demo) -> None:
    arguments = ("--address", "127.0.0.2,localhost", "deploy/example-go", f"{free_port()}:8000")
    theirs, ours = both(demo, *arguments)
    assert theirs == ours
    assert len(ours) == 3


def test_a_name_alone_means_the_number_behind_it_here_too(demo: Demo) -> None:
    port = free_port()
    demo.kubectl("apply", "-f", "-", text=ODD.format(port=port))
    demo.kubectl("wait", "--for=condition=Ready", "pod/odd")
    theirs, ours = both(demo, "pod/odd", "odd")
    assert theirs == ours
    assert ours[0] == f"Forwarding from 127.0.0.1:{port} -> {port}"


def test_a_random_port_is_the_same_in_both_families(demo: Demo) -> None:
    theirs, ours = both(demo, "deploy/example-go", ":8000")
    for lines in (theirs, ours):
        ports = {re.sub(r".*:(\d+) -> 8000", r"\1", line) for line in lines}
        assert len(ports) == 1
        assert ports != {"0"}


def refused(demo: Demo, *arguments: str) -> tuple[str, str]:
    """What kubectl and ferry say on stderr, neither of which begins to forward."""
    said = []
    for command in (
        demo.command("port-forward", *arguments),
        [*FERRY, "forward", *arguments, "--kubeconfig", demo.kubeconfig],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode != 0
        assert done.stdout == ""
        said.append(done.stderr)
    return said[0], said[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("service/example-go", "8000"),
        ("service/example-go", "8000:nope"),
        ("pod", "8000:nope"),
        ("deploy/nope", "8000"),
        ("service/nope", "8000"),
        ("pod/nopod", "8000"),
        ("nopod", "8000"),
        ("service/noselector", "8000:80"),
        ("nonsense/x", "8000"),
        ("deploy/example-go/x", "8000"),
        ("deploy/example-go",),
        (),
        ("deploy/example-go", "8000:0"),
        ("--address", "nonsense", "deploy/example-go", "8000"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_refused_in_kubectls_words(
    demo: Demo, arguments: tuple[str, ...]
) -> None:
    if arguments[:1] == ("pod",):
        arguments = (f"pod/{pod_of(demo, 'example-go')}", *arguments[1:])
    theirs, ours = refused(demo, *arguments)
    message = re.sub(r"^(error|Error from server \(\w+\)): ", "", theirs.splitlines()[0])
    assert ours.splitlines()[0] == f"error: {message}"


def test_a_pending_pod_is_waited_for_and_the_reason_is_said(demo: Demo) -> None:
    theirs = demo.kubectl("port-forward", "pod/pending", "8000", check=False)
    assert "pod is not running. Current status=Pending" in theirs.stderr
    with ferry_forward(demo.kubeconfig, "pod/pending", ":8000") as ours:
        line = ours.said("no ready pod for pod/pending: connections wait (up to 30s)")
        assert "not scheduled" in line
        assert len(ours.ports(2)) == 2
        assert ours.stop() == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_half_taken_is_refused_with_the_name_of_who_has_it(
    demo: Demo, host: str
) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        command = [*FERRY, "forward", "deploy/example-go", f"{port}:8000"]
        done = subprocess.run(
            [*command, "--kubeconfig", demo.kubeconfig], capture_output=True, text=True, timeout=60
        )
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: address already in use on {address} by " in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr


def test_nothing_listens_when_it_is_refused_and_all_listens_until_it_is_told_to_stop(
    demo: Demo,
) -> None:
    with ferry_forward(demo.kubeconfig, "deploy/example-go", ":8000") as ours:
        port = ours.ports(2)[0]
        assert get(port) == get(port, "::1") == pod_of(demo, "example-go")
        assert ours.stop() == 0
        for host in ("127.0.0.1", "::1"):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((host, port), timeout=5)
        assert ours.err == []


# -- rows where kubectl ends, or keeps silent, and we do not --


def begun(program: Program, lines: int) -> None:
    program.wait_for(lambda: len(program.out) >= lines)


def test_a_port_that_is_taken_in_both_families_ends_both(demo: Demo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as four:
        port = four.getsockname()[1]
        with socket.create_server(("::1", port), family=socket.AF_INET6):
            theirs, ours = refused(demo, "deploy/example-go", f"{port}:8000")
    assert "address already in use" in theirs
    assert f"error: address already in use on 127.0.0.1:{port} by " in ours


def test_a_port_that_is_refused_in_the_pod_ends_kubectl_and_not_us(demo: Demo) -> None:
    ports = (f"{free_port()}:8000", f"{free_port()}:8999")
    for command, survives in (
        (demo.command("port-forward", "deploy/example-go", *ports), False),
        ([*FERRY, "forward", "deploy/example-go", *ports, "--kubeconfig", demo.kubeconfig,
          "--hold", "1s"], True),
    ):  # fmt: skip
        good, bad = (int(pair.partition(":")[0]) for pair in ports)
        with running(command) as program:
            begun(program, 4)
            assert get(good).startswith("example-go-")
            with contextlib.suppress(OSError, http.client.HTTPException):
                get(bad)
            if survives:
                program.said("refuses connections on port 8999")
                assert get(good).startswith("example-go-")
                assert program.stop() == 0
            else:
                assert program.process.wait(30) == 1
                program.said("connect: connection refused")


def test_a_pod_that_goes_while_idle_ends_kubectl_at_the_next_connection_and_not_us(
    demo: Demo,
) -> None:
    ports = (free_port(), free_port())
    theirs = running(demo.command("port-forward", "deploy/web", f"{ports[0]}:8080"))
    ours = ferry_forward(demo.kubeconfig, "deploy/web", f"{ports[1]}:8080")
    with theirs as kubectl, ours as ferry:
        for program in (kubectl, ferry):
            begun(program, 2)
        gone = pod_of(demo, "web")
        demo.kubectl("delete", f"pod/{gone}")
        ferry.said("now forwarding to web-")
        assert get(ports[1]) != gone
        assert kubectl.process.poll() is None  # it does not know
        with contextlib.suppress(OSError, http.client.HTTPException):
            get(ports[0])
        assert kubectl.process.wait(30) == 1
        assert ferry.stop() == 0
