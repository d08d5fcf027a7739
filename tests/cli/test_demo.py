"""``ferry demo`` as a real process, without a terminal."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman.cli.demo import free_port

DEADLINE = 40.0


class Output:
    """The lines of a stream, as they come."""

    def __init__(self, stream: Iterator[str]) -> None:
        self.lines: list[str] = []
        self._told = threading.Condition()
        self._ended = False
        self.reader = threading.Thread(target=self._read, args=(stream,))
        self.reader.start()

    def find(self, pattern: str) -> re.Match[str]:
        """The first line that matches; fails if none has come in time."""

        def found() -> re.Match[str] | bool | None:
            match = next((m for line in self.lines if (m := re.search(pattern, line))), None)
            return match or self._ended

        with self._told:
            match = self._told.wait_for(found, DEADLINE)
        assert isinstance(match, re.Match), f"no line like {pattern!r} in {self.lines}"
        return match

    def _read(self, stream: Iterator[str]) -> None:
        for line in stream:
            with self._told:
                self.lines.append(line.rstrip("\n"))
                self._told.notify_all()
        with self._told:
            self._ended = True
            self._told.notify_all()


class Running:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.out = Output(process.stdout)
        self.err = Output(process.stderr)


@contextlib.contextmanager
def ferry_demo(folder: Path, *arguments: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ferryman.cli.main", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    running = Running(process)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for output in (running.out, running.err):
            output.reader.join()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
        return str(answer.read().decode().strip())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_forwards_says_what_to_try_and_leaves_nothing_behind(
    tmp_path: Path, how: signal.Signals
) -> None:
    with ferry_demo(tmp_path) as demo:
        port = int(demo.out.find(r"^Forwarding from 127\.0\.0\.1:(\d+) -> 8000$")[1])
        demo.out.find(rf"^Forwarding from \[::1\]:{port} -> 8000$")
        assert fetch(port).startswith("example-go-")
        demo.err.find(rf"curl -s localhost:{port}")
        kubeconfig = Path(demo.err.find(r"export KUBECONFIG=(\S+)")[1])
        assert kubeconfig.is_relative_to(tmp_path)
        assert kubeconfig.exists()
        demo.process.send_signal(how)
        assert demo.process.wait(DEADLINE) == 0
        demo.err.reader.join()
        assert not any("Traceback" in line for line in demo.err.lines), demo.err.lines
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError):
        fetch(port)


def test_the_next_free_port_is_taken_instead(tmp_path: Path) -> None:
    first = free_port()
    with socket.create_server(("127.0.0.1", first)):
        with ferry_demo(tmp_path) as demo:
            port = int(demo.out.find(r"^Forwarding from 127\.0\.0\.1:(\d+) -> 8000$")[1])
            assert port > first
            assert fetch(port).startswith("example-go-")


def test_somebody_elses_kubeconfig_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\n")
    with ferry_demo(tmp_path, "--cluster-only", "--kubeconfig", str(path)) as demo:
        assert demo.process.wait(DEADLINE) == 1
        demo.err.find("error: .*config exists and is not a demo's")
    assert path.read_text() == "apiVersion: v1\n"


def test_a_second_ctrl_c_is_no_error(tmp_path: Path) -> None:
    with ferry_demo(tmp_path, "--cluster-only", "--kubeconfig", str(tmp_path / "k")) as demo:
        demo.out.find("demo cluster ready: ")
        demo.process.send_signal(signal.SIGINT)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(DEADLINE) == 0
    assert list(tmp_path.iterdir()) == []
