"""`ferry tap` between the docker CLI and a real dockerd."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.dockerd import IMAGE, PATIENCE, Dockerd, dockerd
from tests.support.taps import RunningTap, ferry, tap
from tests.support.unixservers import Load, connect, inode

RUN = ("run", "--rm", "--network", "none")
PING = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"
PONG = b"HTTP/1.1 200 OK"


@contextmanager
def running_daemon() -> Iterator[Dockerd]:
    folder = Path(tempfile.mkdtemp(prefix="ferry-d-"))  # short: containerd has sockets in it
    try:
        with dockerd(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def daemon() -> Iterator[Dockerd]:
    with running_daemon() as running:
        yield running


@pytest.fixture
def restarting() -> Iterator[Dockerd]:
    """One that a test may stop and start."""
    with running_daemon() as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_HOME", str(tmp_path / "home"))


@pytest.fixture
def tapped(daemon: Dockerd) -> Iterator[RunningTap]:
    """The daemon's socket is tapped; in the end it must be back, and answer."""
    before = inode(daemon.path)
    with tap(daemon.path) as running:
        yield running
        running.interrupt()
        assert running.end()[0] in (0, -signal.SIGKILL)
    assert inode(daemon.path) == before
    daemon.docker("ps")


def read_lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """So many lines, within our patience."""
    assert process.stdout is not None
    lines: list[str] = []
    for _ in range(count):
        assert select.select([process.stdout], [], [], PATIENCE)[0], f"only {lines} came"
        lines.append(process.stdout.readline().strip())
    return lines


def test_version_and_ps(daemon: Dockerd, tapped: RunningTap) -> None:
    assert "Server:" in daemon.docker("version").stdout
    assert daemon.docker("ps").stdout.startswith("CONTAINER ID")


def test_run_waits_for_an_answer_that_comes_after_the_input_has_ended(
    daemon: Dockerd, tapped: RunningTap
) -> None:
    command = daemon.words(*RUN, "-i", IMAGE, "sh", "-c", "wc -c; sleep 1; echo late")
    done = subprocess.run(
        command,
        input="x" * 100_000,
        env=daemon.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout.split() == ["100000", "late"]


def test_logs_are_followed_and_exec_talks_to_the_container(
    daemon: Dockerd, tapped: RunningTap
) -> None:
    script = "echo one; while [ ! -e /go ]; do sleep 0.1; done; echo two"
    box = daemon.docker("run", "-d", "--network", "none", IMAGE, "sh", "-c", script).stdout.strip()
    with subprocess.Popen(
        daemon.words("logs", "-f", box), env=daemon.environment, stdout=subprocess.PIPE, text=True
    ) as logs:
        assert read_lines(logs, 1) == ["one"]
        said = subprocess.run(
            daemon.words("exec", "-i", box, "sh", "-c", "cat; echo > /go"),
            input="through exec",
            env=daemon.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        assert said.stdout == "through exec"
        assert read_lines(logs, 1) == ["two"]
        assert logs.wait(PATIENCE) == 0
    daemon.docker("rm", "-f", box)


def test_a_hundred_connects_at_once(daemon: Dockerd, tapped: RunningTap) -> None:
    clients = [connect(daemon.path) for _ in range(100)]
    for client in clients:
        client.sendall(PING)
    for client in clients:
        with client:
            assert client.recv(15).startswith(b"HTTP/1.1 200 OK")


def test_a_command_has_it_to_itself(daemon: Dockerd) -> None:
    before = inode(daemon.path)
    done = ferry("tap", str(daemon.path), "--", *daemon.words("ps"))
    assert done.stdout.startswith("CONTAINER ID"), done.stderr
    assert f"→ {daemon.path}" in done.stderr
    assert inode(daemon.path) == before


def test_kill_9_under_load_refuses_nobody_and_puts_it_back(
    daemon: Dockerd, tapped: RunningTap
) -> None:
    load = Load(daemon.path, 4, PING, PONG)
    try:
        load.more(50)
        seconds = tapped.kill()
        print(f"put back after {1000 * seconds:.1f} ms")
        load.more(50)
    finally:
        load.end()
    assert load.refused == []
    assert seconds < 5  # 0.1 on a quiet machine
    daemon.docker("ps")


def test_the_next_command_repairs_what_was_killed_altogether(daemon: Dockerd) -> None:
    with tap(daemon.path) as running:
        running.kill_both()
        assert daemon.docker("ps", check=False).returncode != 0
        done = ferry("completion", "bash")
    assert f"put {daemon.path} back" in done.stderr
    assert inode(daemon.path) == running.original
    daemon.docker("ps")


def test_a_daemon_that_stops_and_starts_keeps_its_own_socket(restarting: Dockerd) -> None:
    daemon = restarting
    with tap(daemon.path) as running:
        daemon.stop()
        code, said = running.end()
        assert code == 1
        assert "its server has stopped, and there is nothing to put back" in said
        assert [name for name in os.listdir(daemon.folder) if "sock" in name] == []
        daemon.start()
    with tap(daemon.path, "--follow") as running:
        daemon.stop()
        daemon.start()  # returns once it answers, perhaps through us already
        while "tapped" in ferry("tap", "--status").stderr:
            time.sleep(0.1)
        daemon.docker("ps")
        running.interrupt()
        code, said = running.end()
    assert code == 0
    assert "again: its server is back" in said
    daemon.docker("ps")
