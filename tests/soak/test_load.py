"""A minute of a thousand connections a second through one forward, and what has grown by then.

Fewer a second come through where the machine is slower: the demo's server is in Python and shares
its cores. The count is the same then, and so is what must not grow.
"""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.demo import Demo, running_demo
from tests.support.forwarding import FERRY, Program, running

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux' /proc")

RATE = 1000
SECONDS = float(os.environ.get("FERRYMAN_LOAD_SECONDS", "60"))
CLIENTS = 16
SETTLED = 0.5
"""The share of the run after which nothing grows any more: as many connections as ever at a time
have been there.
"""
KIB = 1024
PAGE = os.sysconf("SC_PAGE_SIZE")
GROWTH = 2048
"""KiB by which its memory may grow from then on."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as started:
        started.kubectl("rollout", "status", "statefulset/cache", "--timeout=60s")
        yield started


@pytest.fixture
def forward(demo: Demo) -> Iterator[Program]:
    arguments = ["statefulset/cache", ":6379", "--kubeconfig", demo.kubeconfig]
    # As few descriptors as macOS gives a program to begin with.
    limited = ["sh", "-c", 'ulimit -Sn 256 && exec "$@"', "sh", *FERRY, "forward", *arguments]
    with running(limited) as program:
        yield program
        assert program.stop() == 0, program.err


@dataclass(frozen=True)
class Vitals:
    """A process at a moment, and the demo's count of open wires."""

    when: float
    memory: float
    """KiB resident."""
    descriptors: int
    threads: int
    wires: int


def look(demo: Demo, pid: int) -> Vitals:
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / KIB
    return Vitals(
        time.monotonic(),
        resident,
        len(os.listdir(f"/proc/{pid}/fd")),
        len(os.listdir(f"/proc/{pid}/task")),
        demo.stats()["wires_open"],
    )


class Load:
    """Threads that each connect, exchange a byte and close, so many times a second at most."""

    def __init__(self, port: int, rate: float, count: int) -> None:
        self.done = 0
        self.errors: list[str] = []
        self._address = ("127.0.0.1", port)
        self._every = 1 / rate
        self._left = count
        self._due = time.monotonic()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._left = 0
        for thread in self._threads:
            thread.join()

    @property
    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (due := self._next()) is not None:
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                with socket.create_connection(self._address, timeout=30) as sock:
                    sock.sendall(b"!")
                    answer = sock.recv(1)
            except OSError as error:
                answer = b""
                self.errors.append(f"{type(error).__name__}: {error}")
            with self._lock:
                self.done += answer == b"!"

    def _next(self) -> float | None:
        """When the next connection is due; it is not made up for when that was long ago."""
        with self._lock:
            if self._left <= 0:
                return None
            self._left -= 1
            self._due = max(self._due + self._every, time.monotonic() - 1)
            return self._due


def test_a_thousand_connections_a_second_leave_nothing_behind(
    demo: Demo, forward: Program, record_property: Callable[[str, object], None]
) -> None:
    port, pid, count = forward.ports(2)[0], forward.process.pid, round(RATE * SECONDS)
    seen: list[Vitals] = []
    with Load(port, RATE, count) as load:
        began = time.monotonic()
        while load.busy:
            seen.append(look(demo, pid))
            time.sleep(0.5)
        took = time.monotonic() - began
    time.sleep(3)  # a node ends a pair a second after its client
    after = look(demo, pid)
    text = f"{load.done} connections, {load.done / took:.0f} a second; {seen[0]} to {after}"
    record_property("load", text)
    print(text)
    assert load.errors == []
    assert load.done == count
    steady = [v for v in seen if v.when >= began + SETTLED * took]
    slope = statistics.linear_regression([v.when for v in steady], [v.memory for v in steady]).slope
    assert slope * (1 - SETTLED) * took < GROWTH, f"memory grows by {slope:.0f} KiB a second"
    assert max(v.wires for v in seen) <= 17  # 16 to the pod, and one that is being replaced
    assert {v.threads for v in steady} == {steady[0].threads}
    # A descriptor for each wire, the listeners, the loops and the watches: no connection is left.
    assert after.descriptors - after.wires < 20
