"""`ferry relay LISTEN deploy/…`: it heals as a forward does, whatever is listened on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.demo import Demo, running_demo
from tests.support.forwarding import FERRY, Program, get, running


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def get_by_path(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(path))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


def told(program: Program) -> str:
    """The first address that it listens on."""
    program.wait_for(lambda: program.out)
    return program.out[0].split()[2]


def test_a_port_and_a_path_reach_a_pod_and_the_next_one(demo: Demo, tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    target = "deploy/example-go:http,namespace=default"
    with (
        running([*FERRY, "relay", "TCP-LISTEN:0,reuseaddr,fork", target],
                KUBECONFIG=demo.kubeconfig) as by_port,
        running([*FERRY, "relay", f"UNIX-LISTEN:{path},fork", target],
                KUBECONFIG=demo.kubeconfig) as by_path,
    ):  # fmt: skip
        port = int(told(by_port).rpartition(":")[2])
        assert told(by_path) == str(path)
        assert "200 OK" in get_by_path(path)
        assert get(port)
        for pod in demo.pods("app=example-go"):
            demo.kill(pod["metadata"]["name"])
        assert get(port)
        assert "200 OK" in get_by_path(path)
        assert by_port.stop() == 0
        assert by_path.stop() == 0
    assert not path.exists()


def test_a_workload_that_is_not_there_names_what_is_near(demo: Demo) -> None:
    line = [*FERRY, "relay", "0", "deploy/exampel-go:http"]
    with running(line, KUBECONFIG=demo.kubeconfig) as program:
        assert program.process.wait(20) == 1
        program.said('deployments.apps "exampel-go" not found')
        program.said("example-go")
