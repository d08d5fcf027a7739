"""What many forwards cost: memory here, and requests and wires at the API server.

As many deployments of one pod each in one demo cluster, and a forward to each of them: for us one
``ferry forward`` with all of them, for kubectl a process each, because it takes one target. The
demo counts what it is asked (``/demo/stats``).
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.load import Clients, Echo, connect
from bench.programs import Failed, Program, running
from bench.report import OURS, Bar, Row
from bench.rounds import Figures, Measure, Scenario
from tests.support.demo import Demo, running_demo
from tests.support.peers import require

KUBECTL = "kubectl, WebSocket"
PEERS = (KUBECTL,)
MANY, MEMORY = 50, 100
"""How many forwards are counted, and weighed."""
SETTLE = 3.0  # seconds for what goes on after the start
PORT = 6379
MIB = 1 << 20
LESS = (Bar(KUBECTL, 1.0, at_most=True),)

ROWS = (
    Row("memory", f"memory of {MEMORY} forwards", LESS, unit="MiB"),
    Row("requests", f"{MANY} forwards: requests until all listen", LESS, unit="requests"),
    Row("watches", f"{MANY} forwards: watches kept open", unit="watches"),
    Row("idle wires", f"{MANY} forwards: wires while nobody uses them", LESS, unit="wires"),
    Row("used wires", f"{MANY} forwards: wires after a connection through each", unit="wires"),
)


def scenarios(clients: Clients, quick: bool) -> list[Scenario]:
    """A demo with so many pods takes a while to start: each is measured once or twice."""
    del clients
    counted, weighed = (3, 4) if quick else (MANY, MEMORY)
    return [
        Scenario("requests and wires", _prepare(counted, _costs), rounds=2),
        Scenario("memory", _prepare(weighed, _memory), rounds=2),
    ]


Start = Callable[[ExitStack], list[Program]]
"""Starts the forwards, and returns when all of them listen."""


def _prepare(
    count: int, measure: Callable[[Demo, Start], Measure]
) -> Callable[[ExitStack], Mapping[str, Measure]]:
    def prepare(stack: ExitStack) -> Mapping[str, Measure]:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ferryman-bench-"))
        demo = stack.enter_context(running_demo(Path(folder)))
        names = [f"many-{number}" for number in range(count)]
        for name in names:
            demo.request("POST", "/apis/apps/v1/namespaces/default/deployments", _deployment(name))
        for name in names:
            demo.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s", timeout=150)
        return {
            OURS: measure(demo, lambda own: _ours(own, demo, names)),
            KUBECTL: measure(demo, lambda own: _kubectls(own, demo, names)),
        }

    return prepare


def _costs(demo: Demo, start: Start) -> Measure:
    def once() -> Figures:
        with ExitStack() as own:
            before = demo.stats()
            programs = start(own)
            started = demo.stats()
            time.sleep(SETTLE)
            idle = demo.stats()
            for port in _ports(programs):
                with connect(("127.0.0.1", port)) as sock:
                    sock.sendall(Echo.echo + b"!")
                    if sock.recv(1) != b"!":
                        raise Failed(f"no echo through port {port}")
            time.sleep(SETTLE)  # a node ends a pair a second after its client
            used = demo.stats()
        return {
            "requests": _asked(started) - _asked(before) - 1,  # one is our own question
            "watches": _watches(started) - _watches(before),
            "idle wires": idle["wires_open"],
            "used wires": used["wires_open"],
        }

    return once


def _memory(_: Demo, start: Start) -> Measure:
    def once() -> Figures:
        with ExitStack() as own:
            programs = start(own)
            time.sleep(SETTLE)
            return {"memory": sum(program.memory() for program in programs) / MIB}

    return once


def _asked(stats: dict[str, Any]) -> int:
    return sum(stats["requests"].values())


def _watches(stats: dict[str, Any]) -> int:
    return sum(n for what, n in stats["requests"].items() if what.startswith("watch "))


def _ours(own: ExitStack, demo: Demo, names: list[str]) -> list[Program]:
    targets = [word for name in names for word in (f"deployment/{name}", f":{PORT}")]
    ferry = str(Path(sys.executable).with_name("ferry"))
    command = [ferry, "forward", "--kubeconfig", demo.kubeconfig, *targets]
    program = own.enter_context(running(command, {}))
    while program.output().count("Forwarding from 127.0.0.1") < len(names):
        program.check(f"forward to {len(names)} deployments")
        time.sleep(0.01)
    return [program]


def _kubectls(own: ExitStack, demo: Demo, names: list[str]) -> list[Program]:
    command = [require("kubectl"), "--kubeconfig", demo.kubeconfig, "port-forward"]
    programs = [
        own.enter_context(running([*command, f"deployment/{name}", f":{PORT}"], {}))
        for name in names
    ]
    for program in programs:
        program.wait_for("Forwarding from 127.0.0.1")
    return programs


def _ports(programs: list[Program]) -> list[int]:
    found = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ->")
    return [int(port) for program in programs for port in found.findall(program.output())]


def _deployment(name: str) -> dict[str, Any]:
    """One pod that echoes."""
    container = {
        "name": "cache",
        "image": "cache",
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container]},
            },
        },
    }
