"""Trouble between a real `ferry forward` and its cluster: everything comes right without a person.

Each test has the forward under a steady load or an open connection, makes trouble, ends it, and
measures how long it takes until all is well. Where packets have to vanish, demo and forward are in
network namespaces of their own.
"""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support import certificates, namespaces
from tests.support.demo import Demo, running_demo
from tests.support.forwarding import (
    FERRY,
    Load,
    Program,
    ferry_forward,
    free_port,
    get,
    running,
)
from tests.support.middlebox import Middlebox
from tests.support.plane import read_exactly

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs 127/8, /proc or namespaces: Linux"),
    pytest.mark.timeout(180),
]

NAME = "demo.ferryman.test"
TARGET = "deploy/example-go"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as started:
        yield started


def api(demo: Demo) -> tuple[str, int]:
    url = urlsplit(demo.server)
    assert url.hostname
    assert url.port
    return url.hostname, url.port


def kubeconfig(demo: Demo, folder: Path, **cluster: str) -> str:
    """The demo's kubeconfig with another way to it; a file's path."""
    config = json.loads(Path(demo.kubeconfig).read_text().partition("\n")[2])
    config["clusters"][0]["cluster"].update(cluster)
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return str(file)


def through(demo: Demo, folder: Path, address: tuple[str, int], **cluster: str) -> str:
    """A kubeconfig that leads to a middlebox."""
    host, port = address
    return kubeconfig(demo, folder, server=f"https://{host}:{port}", **cluster)


def until(condition: Callable[[], Any], seconds: float = 30.0) -> float:
    """How long it took to come true."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not heal"
        time.sleep(0.05)
    return time.monotonic() - began


def well(load: Load, since: float, count: int = 20) -> bool:
    """Whether so many requests that began after a moment went well."""
    return sum(r.began > since and not r.error for r in load.requests) >= count


def watches(demo: Demo) -> int:
    return sum(n for what, n in demo.stats()["requests"].items() if what.startswith("watch "))


def pods_replaced(demo: Demo, forward: Program, seconds: float) -> None:
    """The forward notices within so many seconds that its pod is replaced: its watches work."""
    [pod] = [p for p in demo.pods("app=example-go") if "deletionTimestamp" not in p["metadata"]]
    name = str(pod["metadata"]["name"])
    demo.request("DELETE", f"/api/v1/namespaces/default/pods/{name}")
    forward.said(f"{name} is going away", seconds)


# -- sleep --


def test_tilt_6653_after_sleep_everything_that_was_open_is_asked_or_opened_anew(
    demo: Demo, tmp_path: Path
) -> None:
    with Middlebox(api(demo)) as box:
        config = through(demo, tmp_path, box.address)
        with ferry_forward(config, TARGET, ":8000") as forward:
            port = forward.ports(2)[0]
            assert get(port)
            forward.process.send_signal(signal.SIGSTOP)
            box.forget()  # what NAT and firewalls do meanwhile
            before = watches(demo)
            time.sleep(5)
            forward.process.send_signal(signal.SIGCONT)
            woken = time.monotonic()
            until(lambda: watches(demo) > before, 10)
            assert get(port)
            took = time.monotonic() - woken
            print(f"all is well {took:.1f} s after waking")
            assert took < 4  # the wires that were open are not waited for
            pods_replaced(demo, forward, 2)
            assert forward.stop() == 0, forward.err


# -- an idle connection's end --


def test_a_proxy_that_closes_what_is_idle_is_outlived(demo: Demo, tmp_path: Path) -> None:
    with Middlebox(api(demo), idle=5.0) as box:
        config = through(demo, tmp_path, box.address)
        with ferry_forward(config, TARGET, ":8000") as forward:
            port = forward.ports(2)[0]
            assert get(port)
            until(lambda: box.closed_idle >= 8, 60)
            assert get(port)
            pods_replaced(demo, forward, 2)
            assert not [line for line in forward.err if "cannot" in line or "ended" in line]
            with socket.create_connection(("127.0.0.1", port)) as idle:
                time.sleep(12)
                idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                idle.settimeout(10)
                assert read_exactly(idle, 12) == b"HTTP/1.1 200"
            assert forward.stop() == 0, forward.err


# -- a load balancer --


@dataclass(frozen=True)
class Balanced:
    box: Middlebox
    kubeconfig: str


@pytest.fixture
def balanced(demo: Demo, tmp_path: Path) -> Iterator[Balanced]:
    """The demo behind a load balancer that ends TLS."""
    shown = certificates.loopback()
    ours = json.loads(Path(demo.kubeconfig).read_text().partition("\n")[2])
    authority = ours["clusters"][0]["cluster"]["certificate-authority-data"]
    upstream = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
    with Middlebox(api(demo), tls=shown.server_context(), upstream=upstream) as box:
        data = base64.b64encode(shown.certificate).decode()
        config = through(demo, tmp_path, box.address, **{"certificate-authority-data": data})
        yield Balanced(box, config)


def answer(status: str, *headers: str) -> str:
    body = "<html>not now</html>"
    lines = (f"HTTP/1.1 {status}", "Content-Type: text/html", f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "Connection: close", *headers, "", body))


@pytest.mark.parametrize(
    ("refusal", "patience"),
    [
        (answer("429 Too Many Requests"), 6.0),
        (answer("429 Too Many Requests", "Retry-After: 2"), 6.0),
        (answer("503 Service Unavailable"), 6.0),
        (answer("503 Service Unavailable", "Retry-After: 2"), 6.0),
        (answer("502 Bad Gateway"), 6.0),
    ],
    ids=["429", "429-retry-after", "503", "503-retry-after", "502"],
)
def test_an_api_server_that_is_too_busy_is_waited_for(
    demo: Demo, balanced: Balanced, refusal: str, patience: float
) -> None:
    box = balanced.box
    with ferry_forward(balanced.kubeconfig, TARGET, ":8000") as forward:
        port = forward.ports(2)[0]
        with Load(port) as load:
            until(lambda: load.answers())
            box.refuse(refusal)
            began = time.monotonic()
            until(lambda: box.refused > 3)
            time.sleep(max(0.0, began + 5 - time.monotonic()))
            asked = box.refused
            box.relent()
            relented = time.monotonic()
            until(lambda: well(load, relented), patience)
            healed = time.monotonic() - relented
        assert load.failed_after(began) == []  # they waited
        assert asked < 100, "a server that is too busy is not to be asked all the time"
        forward.said("the cluster can be reached again", patience)
        print(f"requests go through after {healed:.1f} s; asked {asked} times meanwhile")
        pods_replaced(demo, forward, 2)
        wires = demo.stats()["wires_opened"]
        for _ in range(40):
            assert get(port)
        assert demo.stats()["wires_opened"] - wires < 10, "it has forgotten how to share wires"
        assert forward.stop() == 0, forward.err


@pytest.mark.parametrize(
    "refusal", [answer("503 Service Unavailable"), answer("429 Too Many Requests")]
)
def test_a_forward_may_begin_while_the_api_server_is_too_busy(
    balanced: Balanced, refusal: str
) -> None:
    box = balanced.box
    box.refuse(refusal)
    with ferry_forward(balanced.kubeconfig, TARGET, ":8000") as forward:
        forward.said("waiting for it")
        until(lambda: box.refused > 3)
        assert not forward.out
        box.relent()
        assert get(forward.ports(2)[0]).startswith("example-go-")
        assert forward.stop() == 0, forward.err


def test_a_port_by_name_is_looked_up_once_the_api_server_has_time(
    demo: Demo, balanced: Balanced
) -> None:
    number = free_port()
    ports = [{"name": "odd", "containerPort": number}]
    container = {"name": "app", "image": "example-go", "ports": ports}
    demo.request(
        "POST",
        "/apis/apps/v1/namespaces/default/deployments",
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "by-name", "namespace": "default"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "by-name"}},
                "template": {
                    "metadata": {"labels": {"app": "by-name"}},
                    "spec": {"containers": [container]},
                },
            },
        },
    )
    box = balanced.box
    box.refuse(answer("503 Service Unavailable"))
    with ferry_forward(balanced.kubeconfig, "deploy/by-name", "odd") as forward:
        until(lambda: box.refused > 1)
        assert not forward.out
        box.relent()
        assert forward.ports(2) == [number, number]
        assert forward.stop() == 0, forward.err


def test_with_wait_a_forward_may_begin_before_its_cluster(demo: Demo) -> None:
    demo.outage(3)
    with ferry_forward(demo.kubeconfig, TARGET, ":8000", "--wait") as forward:
        port = forward.ports(2)[0]
        assert get(port).startswith("example-go-")
        forward.said("the cluster can be reached again")
        assert forward.stop() == 0, forward.err


# -- no name --


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Demo, str]]:
    """A demo in a namespace where nothing else is, and the namespace's name."""
    namespaces.require()
    with namespaces.namespace("demo") as name, namespaces.inside(name):
        with running_demo(tmp_path) as started:
            yield started, name


def test_a_name_that_does_not_resolve_for_a_while_is_asked_for_again(
    alone: tuple[Demo, str], tmp_path: Path
) -> None:
    demo, _ = alone
    with namespaces.names_of(NAME) as names:
        (folder := tmp_path / "named").mkdir()
        server = f"https://{NAME}:{api(demo)[1]}"
        config = kubeconfig(demo, folder, server=server, **{"tls-server-name": "localhost"})
        command = names.command([*FERRY, "forward", TARGET, ":8000", "--kubeconfig", config])
        with running(command) as forward:
            port = forward.ports(2)[0]
            with Load(port) as load:
                until(lambda: load.answers())
                names.resolve(False)
                began = time.monotonic()
                demo.outage(0.5)  # or nobody would have to ask
                forward.said("the pods known so far stay in use")
                time.sleep(8)
                names.resolve(True)
                resolves = time.monotonic()
                until(lambda: well(load, resolves), 7)
                print(f"requests go through after {time.monotonic() - resolves:.1f} s")
            assert load.failed_after(began) == []
            forward.said("the cluster can be reached again", 7)
            pods_replaced(demo, forward, 2)
            assert forward.stop() == 0, forward.err


def test_a_name_server_that_does_not_answer_holds_up_nobody_who_wants_to_stop(
    alone: tuple[Demo, str], tmp_path: Path
) -> None:
    demo, _ = alone
    with contextlib.ExitStack() as stack:
        names = stack.enter_context(namespaces.names_of(NAME))
        silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        silent.bind(("127.0.0.1", 53))
        (folder := tmp_path / "named").mkdir()
        server = f"https://{NAME}:{api(demo)[1]}"
        config = kubeconfig(demo, folder, server=server, **{"tls-server-name": "localhost"})
        command = names.command([*FERRY, "forward", TARGET, ":8000", "--kubeconfig", config])
        forward = stack.enter_context(running(command))
        port = forward.ports(2)[0]
        assert get(port)
        names.resolve(False)
        demo.outage(0.5)
        forward.said("the pods known so far stay in use")
        names.resolve(True)
        until(lambda: any("reached again" in line for line in forward.err), 30)
        assert get(port)
        names.resolve(False)
        demo.outage(0.5)
        until(lambda: sum("stay in use" in line for line in forward.err) == 2, 30)
        time.sleep(1)  # so that somebody asks
        began = time.monotonic()
        assert forward.stop() == 0, forward.err
        assert time.monotonic() - began < 4.5


# -- a cut --


@dataclass(frozen=True)
class Apart:
    """The namespaces' names, and what is in the far one; the box is how to get to the demo."""

    near: str
    far: str
    link: namespaces.Cable
    demo: Demo
    box: Middlebox


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Apart]:
    """A demo in one namespace, and another one from which only a cable leads to it."""
    namespaces.require()
    with contextlib.ExitStack() as stack:
        far = stack.enter_context(namespaces.namespace("far"))
        near = stack.enter_context(namespaces.namespace("near"))
        link = stack.enter_context(namespaces.cable(near, far))
        with namespaces.inside(far):
            demo = stack.enter_context(running_demo(tmp_path))
            box = stack.enter_context(Middlebox(api(demo), host=link.far))
        yield Apart(near, far, link, demo, box)


@pytest.mark.parametrize("seconds", [4, 20])
def test_kubectl_1490_a_cut_that_nobody_is_told_of_is_noticed_and_outlived(
    apart: Apart, tmp_path: Path, seconds: float
) -> None:
    link = apart.link
    (folder := tmp_path / "near").mkdir()
    name = {"tls-server-name": "localhost"}
    config = through(apart.demo, folder, apart.box.address, **name)
    with namespaces.inside(apart.near), ferry_forward(config, TARGET, ":8000") as forward:
        port = forward.ports(2)[0]
        load = Load(port, connections=8)  # GETs: they may be repeated
        with load:
            until(lambda: load.answers())
            link.cut()
            cut = time.monotonic()
            if seconds > 15:
                forward.said("no answer to a PING within 5 s", 17)
                print(f"noticed after {time.monotonic() - cut:.1f} s")
            time.sleep(max(0.0, cut + seconds - time.monotonic()))
            link.mend()
            mended = time.monotonic()
            until(lambda: well(load, mended), 12)
            print(f"requests go through {time.monotonic() - mended:.1f} s after it was mended")
        assert load.failed == []
        with namespaces.inside(apart.far):
            pods_replaced(apart.demo, forward, 2)
        assert forward.stop() == 0, forward.err
