"""What seeing costs: bytes and requests through relays that show what is said.

Ours is measured twice: with an inspector that only counts (``observed_relay``), which says what the
data plane can hand over, and as a person runs it, ``ferry relay`` with its output in a file. socat
-v and mitmproxy, as a reverse proxy, write theirs to files, too; but what socat -v would write of
bulk goes nowhere, because it would fill the disk. They hold the traffic up until they have written;
ours does not, and leaves out what it could not keep up with: so its share that was shown is a
figure of its own.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.load import Clients
from bench.programs import Program, free_port, running
from bench.report import OURS, Bar, Row
from bench.rounds import Figures, Measure, Scenario

PEERS = ("socat", "socat -v", "mitmproxy")
HERE = Path(__file__).parent
GIB = 1 << 30
SECONDS = 2.0
ANSWERED = "← 200 "  # in what `ferry relay` shows

ROWS = (
    Row(
        "captured bulk",
        "TCP bulk, every byte to another process",
        (Bar("socat", 1.2), Bar("socat -v", 100)),
    ),
    Row("captured share", "of that, what got there", (Bar(None, 90),), unit="%"),
    Row("shown bulk", "TCP bulk, `ferry relay`", (Bar("socat", 1.2), Bar("socat -v", 100))),
    Row("summaries", "HTTP requests a second, `ferry relay`, a line each"),
    Row("summaries shown", "of their answers, shown", unit="%"),
    Row("bodies", "HTTP requests a second, `ferry relay -v`, heads and bodies"),
    Row("bodies shown", "of their answers, shown", unit="%"),
)

Commands = Mapping[str, Callable[[int, int], Sequence[str]]]
"""What a contender is started as, from the port where it listens to the one where it leads."""


def scenarios(clients: Clients, quick: bool) -> list[Scenario]:
    """All that is measured; quick ones take a quarter of the time and say less."""
    scale = 0.25 if quick else 1.0

    def bulk(figure: str) -> Callable[[str, int, Program], Measure]:
        def measure(contender: str, port: int, program: Program) -> Measure:
            size = round(GIB * scale / (64 if contender == "socat -v" else 1))

            def once() -> Figures:
                rate = clients.bulk(("127.0.0.1", port), up=True, size=size)
                if contender == "socat" or figure != "captured bulk":
                    return {figure: rate}
                return {
                    figure: rate,
                    "captured share": 100 if contender != OURS else _share(program),
                }

            once()  # the first finds cold caches, and an inspector that has to start
            return once

        return measure

    def requests(figure: str) -> Callable[[str, int, Program], Measure]:
        def measure(contender: str, port: int, program: Program) -> Measure:
            def once() -> Figures:
                before = program.output().count(ANSWERED)
                rate = clients.requests(("127.0.0.1", port), 8, SECONDS * scale)
                if contender == "socat":
                    return {figure: rate}
                program.wait_settled()
                shown = program.output().count(ANSWERED) - before
                share = shown / (rate * SECONDS * scale) if contender == OURS else 1
                return {figure: rate, f"{figure} shown": 100 * share}

            once()
            return once

        return measure

    quiet = {"socat": _socat(), "socat -v": _socat("-v", nowhere=True)}
    loud = {"socat": _socat(), "socat -v": _socat("-v"), "mitmproxy": _mitmproxy}
    return [
        _scenario("captured bulk", {OURS: _captured, **quiet}, bulk("captured bulk")),
        _scenario("shown bulk", {OURS: _ferry(), **quiet}, bulk("shown bulk")),
        _scenario("summaries", {OURS: _ferry(), **loud}, requests("summaries")),
        _scenario("bodies", {OURS: _ferry("-v"), **loud}, requests("bodies")),
    ]


def _scenario(
    name: str, commands: Commands, measure: Callable[[str, int, Program], Measure]
) -> Scenario:
    def prepare(stack: ExitStack) -> Mapping[str, Measure]:
        measures: dict[str, Measure] = {}
        for contender, command in commands.items():
            behind, port = free_port(), free_port()
            backend = [sys.executable, str(HERE / "backend.py"), f"127.0.0.1:{behind}"]
            stack.enter_context(running(backend)).wait_listening(("127.0.0.1", behind))
            program = stack.enter_context(running(command(port, behind)))
            program.wait_listening(("127.0.0.1", port))
            measures[contender] = measure(contender, port, program)
        return measures

    return Scenario(name, prepare)


def _share(program: Program) -> float | None:
    """Of the last connection with bytes, how many percent the inspector was told."""
    program.wait_settled()
    for shown, missed in reversed(re.findall(r"shown (\d+) missed (\d+)", program.output())):
        if int(shown) + int(missed):
            return 100 * int(shown) / (int(shown) + int(missed))
    return None


def _captured(port: int, behind: int) -> Sequence[str]:
    relay = str(HERE / "observed_relay.py")
    return [sys.executable, relay, f"127.0.0.1:{port}", f"127.0.0.1:{behind}"]


def _ferry(*options: str) -> Callable[[int, int], Sequence[str]]:
    ferry = str(Path(sys.executable).with_name("ferry"))
    return lambda port, behind: [
        *(ferry, "relay", *options, f"127.0.0.1:{port}", f"127.0.0.1:{behind}")
    ]


def _socat(*options: str, nowhere: bool = False) -> Callable[[int, int], Sequence[str]]:
    def command(port: int, behind: int) -> Sequence[str]:
        listen = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,backlog=512"
        words = ["socat", *options, listen, f"TCP:127.0.0.1:{behind}"]
        return ["sh", "-c", f"exec {shlex.join(words)} 2>/dev/null"] if nowhere else words

    return command


def _mitmproxy(port: int, behind: int) -> Sequence[str]:
    dump = str(HERE.parent / ".venv-mitmproxy" / "bin" / "mitmdump")
    return [
        *(dump, "--mode", f"reverse:http://127.0.0.1:{behind}"),
        *("--listen-host", "127.0.0.1", "--listen-port", str(port)),
    ]
