"""``ferry relay`` beside socat, haproxy and a direct connection.

Every contender relays to a listener of its own on the same kind of backend, so that none inherits
another's closed connections. socat and haproxy run as their manuals have it for this job: socat
forks, haproxy splices (``splice-auto``) with its default number of threads.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench import load
from bench.load import Address, Clients
from bench.programs import Program, free_port, running
from bench.report import OURS, Bar, Row
from bench.rounds import Figures, Measure, Scenario

PEERS = ("socat", "haproxy", "direct")
Family = Literal["TCP", "UNIX"]
GIB = 1 << 30

ROWS = (
    Row("bulk 1", "TCP bulk, 1 connection", (Bar("socat", 1.6), Bar("haproxy", 1.1))),
    Row("bulk 16", "TCP bulk, 16 connections", (Bar("socat", 1.6), Bar("haproxy", 1.1))),
    Row("cpu per GiB", "CPU per GiB relayed", (Bar("socat", 0.4, at_most=True),)),
    Row("UNIX to UNIX", "UNIX to UNIX bulk", (Bar("socat", 4.0),)),
    Row("TCP to UNIX", "TCP to UNIX bulk", (Bar("socat", 2.2),)),
    Row("UNIX to TCP", "UNIX to TCP bulk", (Bar("socat", 1.1),)),
    Row("connections", "new connections a second, 8 clients", (Bar("socat", 4.0),)),
    Row("1 B p50", "exchange of 1 byte, p50", (Bar("socat", 1.15, at_most=True),)),
    Row("1 B p99", "exchange of 1 byte, p99"),
    Row("1 KiB p50", "exchange of 1 KiB, p50", (Bar("socat", 1.15, at_most=True),)),
    Row("1 KiB p99", "exchange of 1 KiB, p99"),
    Row("idle KiB", "idle memory a connection", (Bar(None, 2.0, at_most=True),), unit="KiB"),
    Row("start", "spawn to listening", (Bar("python -c pass", 8.0, at_most=True),)),
)


@dataclass(frozen=True, slots=True)
class Route:
    """A contender's way from an address of its own to a backend; direct has no program."""

    address: Address
    program: Program | None


def scenarios(clients: Clients, quick: bool) -> list[Scenario]:
    """All that is measured; quick ones take a quarter of the time and say less."""
    scale = 0.25 if quick else 1.0
    return [
        Scenario("bulk 1", _bulk(clients, "bulk 1", "TCP", "TCP", 1, scale, cpu=True)),
        Scenario("bulk 16", _bulk(clients, "bulk 16", "TCP", "TCP", 16, scale)),
        Scenario("UNIX to UNIX", _bulk(clients, "UNIX to UNIX", "UNIX", "UNIX", 1, scale)),
        Scenario("TCP to UNIX", _bulk(clients, "TCP to UNIX", "TCP", "UNIX", 1, scale)),
        Scenario("UNIX to TCP", _bulk(clients, "UNIX to TCP", "UNIX", "TCP", 1, scale)),
        Scenario("connections", _prepared(_connections(clients, scale))),
        Scenario("exchanges", _prepared(_exchanges(clients, scale))),
        Scenario("idle memory", _idle_memory(500 if quick else 2000), rounds=3),
        Scenario("start", _start),
    ]


def _bulk(
    clients: Clients,
    figure: str,
    listen: Family,
    target: Family,
    connections: int,
    scale: float,
    cpu: bool = False,
) -> Callable[[ExitStack], Mapping[str, Measure]]:
    def measure(route: Route) -> Measure:
        def transfer(size: int) -> float:
            return clients.bulk(route.address, up=True, size=size, connections=connections)

        transfer(GIB // 16)  # the first finds cold caches and empty pools
        size = round(transfer(GIB // 4) * scale)  # what takes about a second

        def once() -> Figures:
            if not (cpu and route.program):
                return {figure: transfer(size)}
            before = _settled_cpu(route.program)
            rate = transfer(size)
            used = _settled_cpu(route.program) - before
            return {figure: rate, "cpu per GiB": used / (size / GIB)}

        return once

    return _prepared(measure, listen, target)


def _connections(clients: Clients, scale: float) -> Callable[[Route], Measure]:
    def measure(route: Route) -> Measure:
        clients.rate(route.address, 8, 0.2)
        return lambda: {"connections": clients.rate(route.address, 8, scale)}

    return measure


def _exchanges(clients: Clients, scale: float) -> Callable[[Route], Measure]:
    def measure(route: Route) -> Measure:
        def once() -> Figures:
            figures = {}
            for size, name in ((1, "1 B"), (1024, "1 KiB")):
                seconds = clients.exchange(route.address, size, round(10_000 * scale))
                for share in (50, 99):
                    figures[f"{name} p{share}"] = load.percentile(seconds, share / 100)
            return figures

        return once

    return measure


def _idle_memory(count: int) -> Callable[[ExitStack], Mapping[str, Measure]]:
    def measure(contender: str) -> Measure:
        def once() -> Figures:
            with ExitStack() as stack:
                route = _open(stack, contender, "TCP", "TCP")
                assert route.program
                for sock in load.hold(route.address, 1):
                    sock.close()  # what is allocated once is no connection's
                before = route.program.memory()
                held = load.hold(route.address, count)
                for sock in held:
                    stack.callback(sock.close)
                used = route.program.memory() - before
                return {"idle KiB": used / count / 1024}

        return once

    return lambda _: {name: measure(name) for name in (OURS, "socat", "haproxy")}


def _start(_: ExitStack) -> Mapping[str, Measure]:
    def measure(contender: str) -> Measure:
        def once() -> Figures:
            with ExitStack() as stack:
                address = _address(stack, "TCP")
                command = _command(stack, contender, address, ("127.0.0.1", free_port()))
                program = stack.enter_context(running(command))
                return {"start": program.wait_listening(address)}

        return once

    def interpreter() -> Figures:
        with running([sys.executable, "-c", "pass"]) as program:
            return {"start": program.wait_ended()}

    programs = {name: measure(name) for name in (OURS, "socat", "haproxy")}
    return {**programs, "python -c pass": interpreter}


def _prepared(
    measure: Callable[[Route], Measure], listen: Family = "TCP", target: Family = "TCP"
) -> Callable[[ExitStack], Mapping[str, Measure]]:
    """A scenario whose contenders stay up for all of its rounds."""

    def prepare(stack: ExitStack) -> Mapping[str, Measure]:
        contenders = [OURS, "socat"]
        if listen == target:
            contenders.append("direct")  # else there is no such thing
        if listen == target == "TCP":
            contenders.append("haproxy")
        return {name: measure(_open(stack, name, listen, target)) for name in contenders}

    return prepare


def _open(stack: ExitStack, contender: str, listen: Family, target: Family) -> Route:
    backend = _address(stack, listen if contender == "direct" else target)
    with_backend = [sys.executable, str(Path(__file__).with_name("backend.py")), _text(backend)]
    stack.enter_context(running(with_backend)).wait_listening(backend)
    if contender == "direct":
        return Route(backend, None)
    address = _address(stack, listen)
    program = stack.enter_context(running(_command(stack, contender, address, backend)))
    program.wait_listening(address)
    return Route(address, program)


def _command(stack: ExitStack, contender: str, listen: Address, target: Address) -> Sequence[str]:
    if contender == "socat":
        return _socat(listen, target)
    if contender == "haproxy":
        return _haproxy(stack, listen, target)
    ferry = str(Path(sys.executable).with_name("ferry"))
    return [ferry, "relay", "-q", _text(listen), _text(target)]


def _socat(listen: Address, target: Address) -> Sequence[str]:
    if isinstance(listen, str):
        listening = f"UNIX-LISTEN:{listen},fork,backlog=512"
    else:
        listening = f"TCP-LISTEN:{listen[1]},bind={listen[0]},reuseaddr,fork,backlog=512"
    kind = "UNIX-CONNECT" if isinstance(target, str) else "TCP"
    return ["socat", listening, f"{kind}:{_text(target)}"]


def _haproxy(stack: ExitStack, listen: Address, target: Address) -> Sequence[str]:
    configuration = Path(stack.enter_context(_folder()), "haproxy.cfg")
    configuration.write_text(
        f"""
global
  maxconn 4096
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 5m
  timeout server 5m
listen relay
  bind {_text(listen)} backlog 512
  server backend {_text(target)}
"""
    )
    return ["haproxy", "-db", "-q", "-f", str(configuration)]


def _address(stack: ExitStack, family: Family) -> Address:
    if family == "TCP":
        return ("127.0.0.1", free_port())
    return str(Path(stack.enter_context(_folder()), "socket"))


def _text(address: Address) -> str:
    return address if isinstance(address, str) else f"{address[0]}:{address[1]}"


@contextmanager
def _folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as folder:
        yield folder


def _settled_cpu(program: Program) -> float:
    program.wait_alone()
    return program.cpu()
