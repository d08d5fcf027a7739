"""What users of other tools suffer from, each by its issue's number; docs/pains.md has the list.

Here are those that no other test proves as it stands, on a real demo with a real `ferry forward`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.demo import Demo, running_demo
from tests.support.forwarding import Program, ferry_forward, get
from tests.support.plane import read_all, read_exactly, reset

MIB = 1 << 20


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture
def forward(demo: Demo) -> Iterator[Program]:
    with ferry_forward(demo.kubeconfig, "deploy/example-go", ":8000", ":8999") as program:
        program.ports(4)
        yield program
        assert program.stop() == 0, program.err


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def the_pod(demo: Demo) -> str:
    [pod] = [p for p in demo.pods("app=example-go") if "deletionTimestamp" not in p["metadata"]]
    return str(pod["metadata"]["name"])


def test_kubectl_686_the_pod_is_replaced_while_nobody_uses_the_forward(
    demo: Demo, forward: Program
) -> None:
    """Also kubernetes#59816, k9s#1893: kubectl is found dead when it is needed next."""
    port, before = forward.ports(4)[0], the_pod(demo)
    assert get(port) == before
    demo.request("DELETE", f"/api/v1/namespaces/default/pods/{before}")
    forward.said("now forwarding to")
    assert get(port) == the_pod(demo) != before
    assert forward.process.poll() is None


def test_kubernetes_111825_one_connections_reset_ends_no_other(forward: Program) -> None:
    """Also kubectl#1746, kubectl#1249: kubectl ends with the first error text of any of them."""
    good, refused = forward.ports(4)[0], forward.ports(4)[2]
    with connect(good) as neighbour:
        neighbour.sendall(b"GET /slow?seconds=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for port in (good, refused) * 5:
            client = connect(port)
            client.sendall(b"GET /bytes/100000000 HTTP/1.1\r\nHost: x\r\n\r\n")
            reset(client)
        assert read_all(neighbour).startswith(b"HTTP/1.1 200")
    assert get(good)


def test_kubernetes_74551_a_download_that_is_aborted_or_slow_wedges_nothing(
    forward: Program,
) -> None:
    """Also kubectl#1368, kubectl#1620: what nobody reads fills the tunnel that all share."""
    port = forward.ports(4)[0]
    stalled = [connect(port) for _ in range(20)]  # more than there are wires to a pod
    for client in stalled:
        client.sendall(b"GET /bytes/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        read_exactly(client, 1000)
    aborted = stalled[::2]
    for client in aborted:
        reset(client)
    began = time.monotonic()
    for _ in range(20):
        assert get(port)
    assert time.monotonic() - began < 10
    for client in stalled[1::2]:
        reset(client)


def test_skaffold_1594_a_random_local_port_is_kept_through_a_redeploy(
    demo: Demo, forward: Program
) -> None:
    """Also tilt#6247."""
    ports, before = forward.ports(4), the_pod(demo)
    demo.kubectl("rollout", "restart", "deployment/example-go")
    demo.kubectl("rollout", "status", "deployment/example-go", "--timeout=60s")
    forward.said("now forwarding to")
    assert get(ports[0]) != before
    assert forward.ports(4) == ports
    assert len(forward.out) == 4  # nothing new was announced


def test_kubefwd_243_a_pod_that_was_long_away_is_used_as_soon_as_it_is_ready(
    demo: Demo, forward: Program
) -> None:
    port = forward.ports(4)[0]
    demo.kubectl("scale", "deployment/example-go", "--replicas=0")
    try:
        forward.said("no ready pod for deployment/example-go")
        time.sleep(15)  # kubefwd would by now look every few minutes
        demo.kubectl("scale", "deployment/example-go", "--replicas=1")
        while not ready(demo):
            time.sleep(0.05)
        began = time.monotonic()
        assert get(port) == the_pod(demo)
        assert time.monotonic() - began < 1
    finally:
        demo.kubectl("scale", "deployment/example-go", "--replicas=1")


def ready(demo: Demo) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for pod in demo.pods("app=example-go")
        for condition in pod["status"].get("conditions", ())
    )


def test_kubernetes_140243_what_fails_a_thousand_times_is_said_now_and_then(
    forward: Program,
) -> None:
    """Also tilt#3355: an error that matters drowns among those that repeat."""
    refused = forward.ports(4)[2]

    def one(_: int) -> None:
        with connect(refused) as client:
            client.sendall(b"hello?")
            time.sleep(0.5)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(one, range(200)))
    forward.said("8999")
    told = [line for line in forward.err if "8999" in line]
    assert len(told) <= 4, told
    assert all(len(line) < 300 for line in forward.err)
