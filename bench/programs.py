"""The programs that are measured: started, waited for, weighed, stopped. Linux: reads /proc.

A program may be a tree of processes (socat forks one per connection): CPU and memory are the whole
tree's, with what its ended children used.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.load import Address

START_TIMEOUT = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A program did not do what the measurement needs; the message has its last words."""


class Program:
    """A running program whose output goes to a file."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, started: float) -> None:
        self._process = process
        self._output = output
        self.started = started

    @property
    def pid(self) -> int:
        return self._process.pid

    def output(self) -> str:
        """What it has said so far, on stdout and stderr."""
        return self._output.read_text(errors="replace")

    def wait_listening(self, address: Address) -> float:
        """Seconds from its start until it accepts a connection; asks every 0.2 ms."""
        while not _accepts(address):
            self.check(f"listen at {address}")
            time.sleep(0.0002)
        return time.monotonic() - self.started

    def wait_for(self, text: str) -> float:
        """Seconds from its start until it has said a text."""
        while text not in self.output():
            self.check(f"say {text!r}")
            time.sleep(0.0005)
        return time.monotonic() - self.started

    def wait_settled(self) -> None:
        """Wait until it says nothing more, for half a second."""
        before, now = "", self.output()
        while before != now:
            time.sleep(0.5)
            before, now = now, self.output()

    def wait_ended(self) -> float:
        """Seconds from its start until it has ended."""
        self._process.wait(START_TIMEOUT)
        return time.monotonic() - self.started

    def check(self, expected: str) -> None:
        """Raise Failed if it has ended, or has had START_TIMEOUT in vain."""
        code = self._process.poll()
        if code is not None or time.monotonic() - self.started > START_TIMEOUT:
            what = "did not" if code is None else f"ended ({code}) and did not"
            raise Failed(f"{self._process.args!r} {what} {expected}: {self.output()[-2000:]}")

    def cpu(self) -> float:
        """Seconds of CPU, user and system, that its tree has used."""
        used = 0
        for pid in self._tree():
            with contextlib.suppress(OSError):
                used += sum(
                    map(int, _stat(pid)[11:15])
                )  # utime, stime and those of waited-for children
        return used / _TICKS

    def memory(self) -> int:
        """Bytes of memory of its tree; pages shared among its processes count once (PSS)."""
        total = 0
        for pid in self._tree():
            with contextlib.suppress(OSError):
                total += _kib(f"/proc/{pid}/smaps_rollup", "Pss:")
        return total * 1024

    def peak_memory(self) -> int:
        """Bytes that its first process had resident at most."""
        return _kib(f"/proc/{self.pid}/status", "VmHWM:") * 1024

    def wait_alone(self) -> None:
        """Wait until its children have ended and are accounted for."""
        deadline = time.monotonic() + 2.0
        while len(self._tree()) > 1 and time.monotonic() < deadline:
            time.sleep(0.005)

    def stop(self) -> None:
        """End it; SIGTERM first."""
        self._process.terminate()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tree(self) -> list[int]:
        tree = [self.pid]
        for pid in tree:  # grows while we walk it
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    children = Path(f"/proc/{pid}/task/{task}/children").read_text()
                    tree.extend(map(int, children.split()))
        return tree


@contextlib.contextmanager
def running(command: Sequence[str], environ: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run a program for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as folder:
        output = Path(folder, "output")
        with output.open("wb") as sink:
            started = time.monotonic()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environ or {})},
            )
        program = Program(process, output, started)
        try:
            yield program
        finally:
            program.stop()


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _accepts(address: Address) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        return sock.connect_ex(address) == 0


def _stat(pid: int) -> list[str]:
    # After the name in parentheses, which may itself hold spaces: proc(5).
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _kib(path: str, field: str) -> int:
    for line in Path(path).read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise Failed(f"no {field} in {path}")
