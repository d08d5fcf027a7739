"""``ferry forward`` beside ``kubectl port-forward``, on both of its wires, and beside the libraries
kr8s and portforward, in one demo cluster.

All forward to the same pods of the same server: bulk to and from example-go by HTTP, exchanges and
connections to cache, which echoes. ``direct`` goes to the pods' own addresses and shows what the
forward costs. A contender that breaks under a measurement has failed in it, and starts anew.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import load
from bench.load import Address, Clients, Echo, Http
from bench.programs import Failed, Program, running
from bench.report import OURS, Bar, Row
from bench.rounds import Figures, Measure, Scenario, attempt
from tests.support.demo import Demo, running_demo
from tests.support.peers import require

WEBSOCKET, SPDY, DIRECT = "kubectl, WebSocket", "kubectl, SPDY", "direct"
LIBRARIES = {"kr8s": "with_kr8s.py", "portforward": "with_portforward.py"}
PEERS = (WEBSOCKET, SPDY, *LIBRARIES, DIRECT)
FORWARDS = (OURS, WEBSOCKET, SPDY, *LIBRARIES)
BULK, ECHO = ("deployment/example-go", 8000), ("statefulset/cache", 6379)
NAMES = {BULK: "example-go", ECHO: "cache"}  # of the services and the pods' label
HERE = Path(__file__).parent
PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
MIB = 1 << 20


def more(limit: float) -> tuple[Bar, ...]:
    """At least so many times as much as kubectl, on either wire."""
    return (Bar(WEBSOCKET, limit), Bar(SPDY, limit))


def less(limit: float) -> tuple[Bar, ...]:
    """At most so many times as much as kubectl, on either wire."""
    return (Bar(WEBSOCKET, limit, at_most=True), Bar(SPDY, limit, at_most=True))


ROWS = (
    Row("down", "bulk from the pod", more(1.0)),
    Row("up", "bulk to the pod", more(1.0)),
    Row("1 B p50", "exchange of 1 byte, p50", less(1.0), aims=less(0.5)),
    Row("1 B p99", "exchange of 1 byte, p99", less(1.0)),
    Row("connections 1", "new connections a second, 1 client", more(1.0), aims=more(2.0)),
    Row("connections 16", "new connections a second, 16 clients", more(1.0), aims=more(2.0)),
    Row("start", "spawn to `Forwarding from`", less(1.0)),
    Row("peak MiB", "memory at its peak (ours to theirs)", less(1.0), unit="MiB"),
)

Target = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Route:
    """A contender's address for a target; direct has no program."""

    address: Address
    program: Program | None


Prepare = Callable[[ExitStack], Mapping[str, Measure]]
Open = Callable[[ExitStack], Route]
Warm = Callable[[Route], None]


def scenarios(clients: Clients, quick: bool) -> list[Scenario]:
    """All that is measured, each on a demo cluster of its own; quick ones say less."""
    scale = 0.25 if quick else 1.0
    return [
        Scenario("bulk", _bulk(clients, scale)),
        Scenario("exchanges", _exchanges(clients, scale)),
        Scenario("connections", _connections(clients, scale)),
        Scenario("start", _start),
        Scenario("peak memory", _peak_memory(clients, scale), rounds=3),
    ]


class Forward:
    """A contender's forward to one target: opened when it is needed, and anew after it failed."""

    def __init__(self, open_route: Open, warm: Warm = lambda _: None) -> None:
        self._open = open_route
        self._warm = warm
        self._stack = ExitStack()
        self._route: Route | None = None

    def open(self) -> None:
        """Open it ahead of its first measurement; what fails is tried again then."""
        self.attempt(["open"], lambda _: {})

    def attempt(self, names: Iterable[str], measure: Callable[[Route], Figures]) -> Figures:
        """What a measure finds on it, or that these figures failed."""
        figures = attempt(names, lambda: measure(self._opened()))
        if None in figures.values():
            self.close()
        return figures

    def close(self) -> None:
        self._stack.close()
        self._route = None

    def _opened(self) -> Route:
        if self._route is None:
            self._route = self._open(self._stack)
            self._warm(self._route)
        return self._route


def _bulk(clients: Clients, scale: float) -> Prepare:
    def measure(forward: Forward) -> Measure:
        sizes: dict[bool, int] = {}

        def transfer(up: bool, size: int, route: Route) -> float:
            return clients.bulk(route.address, up=up, size=size, backend=Http)

        def once(figure: str, up: bool, route: Route) -> Figures:
            if up not in sizes:  # what takes about a second, found on a sample
                sizes[up] = round(transfer(up, 64 * MIB, route) * scale)
            return {figure: transfer(up, sizes[up], route)}

        return lambda: {
            **forward.attempt(["down"], partial(once, "down", False)),
            **forward.attempt(["up"], partial(once, "up", True)),
        }

    return _forwarded(BULK, measure)


def _exchanges(clients: Clients, scale: float) -> Prepare:
    names = {f"1 B p{percent}": percent / 100 for percent in (50, 99)}

    def once(route: Route) -> Figures:
        seconds = clients.exchange(route.address, 1, round(3000 * scale), backend=Echo)
        return {name: load.percentile(seconds, share) for name, share in names.items()}

    return _forwarded(ECHO, lambda forward: lambda: forward.attempt(names, once))


def _connections(clients: Clients, scale: float) -> Prepare:
    def warm(route: Route) -> None:
        """The first connections pay for wires that are opened."""
        clients.rate(route.address, 4, 0.2, backend=Echo)

    def once(figure: str, count: int, route: Route) -> Figures:
        return {figure: clients.rate(route.address, count, 0.75 * scale, backend=Echo)}

    def measure(forward: Forward) -> Measure:
        return lambda: {
            **forward.attempt(["connections 1"], partial(once, "connections 1", 1)),
            **forward.attempt(["connections 16"], partial(once, "connections 16", 16)),
        }

    return _forwarded(ECHO, measure, warm)


def _start(stack: ExitStack) -> Mapping[str, Measure]:
    demo = _demo(stack)

    def once(contender: str) -> Figures:
        with _forward(demo, contender, BULK) as program:
            return {"start": program.wait_for("Forwarding from 127.0.0.1")}

    def measure(contender: str) -> Measure:
        return lambda: attempt(["start"], lambda: once(contender))

    return {name: measure(name) for name in FORWARDS}


def _peak_memory(clients: Clients, scale: float) -> Prepare:
    """The most that a process had after bulk both ways on 16 connections at a time."""

    def once(route: Route) -> Figures:
        for up in (False, True):
            size = round(128 * MIB * scale)
            clients.bulk(route.address, up, size, connections=16, backend=Http)
        assert route.program
        return {"peak MiB": route.program.peak_memory() / MIB}

    def prepare(stack: ExitStack) -> Mapping[str, Measure]:
        demo = _demo(stack)

        def measure(contender: str) -> Measure:
            def fresh() -> Figures:
                with closing(Forward(_opener(demo, contender, BULK))) as forward:
                    return forward.attempt(["peak MiB"], once)

            return fresh

        return {name: measure(name) for name in FORWARDS}

    return prepare


def _forwarded(
    target: Target, measure: Callable[[Forward], Measure], warm: Warm = lambda _: None
) -> Prepare:
    """A scenario whose contenders forward to one target for all of its rounds."""

    def prepare(stack: ExitStack) -> Mapping[str, Measure]:
        demo = _demo(stack)

        def forward(contender: str) -> Forward:
            opened = Forward(_opener(demo, contender, target), warm)
            stack.enter_context(closing(opened)).open()
            return opened

        return {name: measure(forward(name)) for name in (OURS, *PEERS)}

    return prepare


def _demo(stack: ExitStack) -> Demo:
    if not PYTHON.exists():
        raise SystemExit(f"{PYTHON} is missing: `make bench` installs it, with the [bench] extra")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ferryman-bench-"))
    demo = stack.enter_context(running_demo(Path(folder)))
    for workload, _ in NAMES:
        demo.kubectl("rollout", "status", workload, "--timeout=60s")
    return demo


def _opener(demo: Demo, contender: str, target: Target) -> Open:
    """How a contender's way to a target is opened, to be closed with the stack."""

    def direct(_: ExitStack) -> Route:
        (pod,) = demo.pods(f"app={NAMES[target]}")
        return Route((pod["status"]["podIP"], target[1]), None)

    def forwarded(stack: ExitStack) -> Route:
        program = stack.enter_context(_forward(demo, contender, target))
        program.wait_for("Forwarding from 127.0.0.1")
        found = re.search(r"Forwarding from 127\.0\.0\.1:(\d+) ->", program.output())
        if not found:
            raise Failed(f"no port in {program.output()!r}")
        return Route(("127.0.0.1", int(found[1])), program)

    return direct if contender == DIRECT else forwarded


def _forward(demo: Demo, contender: str, target: Target) -> AbstractContextManager[Program]:
    workload, port = target
    if contender in LIBRARIES:
        script = str(HERE / LIBRARIES[contender])
        return running(
            # -P: what lies beside the script hides no module of the library's.
            [str(PYTHON), "-P", script, demo.kubeconfig, NAMES[target], str(port)]
        )
    if contender == OURS:
        command = [str(Path(sys.executable).with_name("ferry")), "forward"]
    else:
        command = [require("kubectl"), "port-forward"]
    return running(
        [*command, "--kubeconfig", demo.kubeconfig, workload, f":{port}"],
        {"KUBECTL_PORT_FORWARD_WEBSOCKETS": "false" if contender == SPDY else "true"},
    )
