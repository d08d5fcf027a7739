"""``ferry forward`` beside ``kubectl port-forward``, on both of its wires, in one demo cluster.

All forward to the same pods of the same server: bulk to and from example-go by HTTP, exchanges and
connections to cache, which echoes. ``direct`` goes to the pods' own addresses and shows what the
forward costs.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.load import Address, Clients, Echo, Http
from bench.programs import Failed, Program, running
from bench.report import OURS, Bar, Row
from bench.rounds import Figures, Measure, Scenario
from tests.support.demo import Demo, running_demo
from tests.support.peers import require

WEBSOCKET, SPDY, DIRECT = "kubectl, WebSocket", "kubectl, SPDY", "direct"
PEERS = (WEBSOCKET, SPDY, DIRECT)
FORWARDS = (OURS, WEBSOCKET, SPDY)
BULK, ECHO = ("deployment/example-go", 8000), ("statefulset/cache", 6379)
PODS = {BULK: "example-go", ECHO: "cache"}
MIB = 1 << 20
MORE = (Bar(WEBSOCKET, 1.0), Bar(SPDY, 1.0))
LESS = (Bar(WEBSOCKET, 1.0, at_most=True), Bar(SPDY, 1.0, at_most=True))

ROWS = (
    Row("down", "bulk from the pod", MORE),
    Row("up", "bulk to the pod", MORE),
    Row("1 B p50", "exchange of 1 byte, p50", LESS),
    Row("1 B p99", "exchange of 1 byte, p99", LESS),
    Row("connections 1", "new connections a second, 1 client", MORE),
    Row("connections 16", "new connections a second, 16 clients", MORE),
    Row("start", "spawn to `Forwarding from`", LESS),
    Row("peak MiB", "memory at its peak (ours to theirs)", LESS, unit="MiB"),
)

Target = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Route:
    """A contender's address for a target; direct has no program."""

    address: Address
    program: Program | None


def scenarios(clients: Clients, quick: bool) -> list[Scenario]:
    """All that is measured, each on a demo cluster of its own; quick ones say less."""
    scale = 0.25 if quick else 1.0
    return [
        Scenario("bulk", _forwarded(BULK, _bulk(clients, scale))),
        Scenario("exchanges", _forwarded(ECHO, _exchanges(clients, scale))),
        Scenario("connections", _forwarded(ECHO, _connections(clients, scale))),
        Scenario("start", _start),
        Scenario("peak memory", _peak_memory(clients, scale), rounds=3),
    ]


def _bulk(clients: Clients, scale: float) -> Callable[[Route], Measure]:
    def measure(route: Route) -> Measure:
        def transfer(up: bool, size: int) -> float:
            return clients.bulk(route.address, up=up, size=size, backend=Http)

        # What takes about a second, found on a sample.
        sizes = {up: round(transfer(up, 64 * MIB) * scale) for up in (False, True)}
        return lambda: {
            "down": transfer(False, sizes[False]),
            "up": transfer(True, sizes[True]),
        }

    return measure


def _exchanges(clients: Clients, scale: float) -> Callable[[Route], Measure]:
    def measure(route: Route) -> Measure:
        def once() -> Figures:
            seconds = clients.exchange(route.address, 1, round(4000 * scale), backend=Echo)
            return {f"1 B p{p}": load.percentile(seconds, p / 100) for p in (50, 99)}

        return once

    return measure


def _connections(clients: Clients, scale: float) -> Callable[[Route], Measure]:
    def measure(route: Route) -> Measure:
        clients.rate(route.address, 4, 0.2, backend=Echo)  # the first pay for wires that are opened
        return lambda: {
            f"connections {count}": clients.rate(route.address, count, scale, backend=Echo)
            for count in (1, 16)
        }

    return measure


def _start(stack: ExitStack) -> Mapping[str, Measure]:
    demo = _demo(stack)

    def measure(contender: str) -> Measure:
        def once() -> Figures:
            with _forward(demo, contender, BULK) as program:
                return {"start": program.wait_for("Forwarding from 127.0.0.1")}

        return once

    return {name: measure(name) for name in FORWARDS}


def _peak_memory(clients: Clients, scale: float) -> Callable[[ExitStack], Mapping[str, Measure]]:
    """The most that a process had after bulk both ways on 16 connections at a time."""

    def prepare(stack: ExitStack) -> Mapping[str, Measure]:
        demo = _demo(stack)

        def measure(contender: str) -> Measure:
            def once() -> Figures:
                with ExitStack() as own:
                    route = _open(own, demo, contender, BULK)
                    for up in (False, True):
                        size = round(256 * MIB * scale)
                        clients.bulk(route.address, up, size, connections=16, backend=Http)
                    assert route.program
                    return {"peak MiB": route.program.peak_memory() / MIB}

            return once

        return {name: measure(name) for name in FORWARDS}

    return prepare


def _forwarded(
    target: Target, measure: Callable[[Route], Measure]
) -> Callable[[ExitStack], Mapping[str, Measure]]:
    """A scenario whose contenders forward to one target for all of its rounds."""

    def prepare(stack: ExitStack) -> Mapping[str, Measure]:
        demo = _demo(stack)
        return {name: measure(_open(stack, demo, name, target)) for name in (OURS, *PEERS)}

    return prepare


def _demo(stack: ExitStack) -> Demo:
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ferryman-bench-"))
    demo = stack.enter_context(running_demo(Path(folder)))
    for workload, _ in PODS:
        demo.kubectl("rollout", "status", workload, "--timeout=60s")
    return demo


def _open(stack: ExitStack, demo: Demo, contender: str, target: Target) -> Route:
    if contender == DIRECT:
        (pod,) = demo.pods(f"app={PODS[target]}")
        return Route((pod["status"]["podIP"], target[1]), None)
    program = stack.enter_context(_forward(demo, contender, target))
    program.wait_for("Forwarding from 127.0.0.1")
    found = re.search(r"Forwarding from 127\.0\.0\.1:(\d+) ->", program.output())
    if not found:
        raise Failed(f"no port in {program.output()!r}")
    return Route(("127.0.0.1", int(found[1])), program)


def _forward(demo: Demo, contender: str, target: Target) -> AbstractContextManager[Program]:
    workload, port = target
    if contender == OURS:
        command = [str(Path(sys.executable).with_name("ferry")), "forward"]
    else:
        command = [require("kubectl"), "port-forward"]
    return running(
        [*command, "--kubeconfig", demo.kubeconfig, workload, f":{port}"],
        {"KUBECTL_PORT_FORWARD_WEBSOCKETS": "false" if contender == SPDY else "true"},
    )
