"""`ferry tap` as its user meets it: processes, lines, signals, and a socket that is put back."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman.intercept.swap import SAVED
from tests.support.taps import ferry, tap
from tests.support.unixservers import Echo, Load, connect, echo, inode, says_back

TELL = "import json, os, stat, sys; s = os.environ['FERRY_SOCKET'];"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_HOME", str(tmp_path / "home"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Echo]:
    with echo(tmp_path / "x.sock") as running:
        yield running


def test_clients_are_carried_and_told_and_ctrl_c_puts_it_back(server: Echo) -> None:
    before = inode(server.path)
    with tap(server.path) as running:
        assert says_back(server.path)
        running.interrupt()
        code, said = running.end()
    assert code == 0
    assert inode(server.path) == before
    lines = said.splitlines()
    assert lines[0].startswith("Not seen: containers that have the socket mounted already.")
    assert f"{server.path}: the original is back in its place" in lines
    opened, closed = (line for line in lines if line.startswith("#1 "))
    assert f"[{os.getpid()}] → {server.path}" in opened
    assert closed.startswith("#1 closed: 5 B up, 5 B down")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_put_it_back_too(server: Echo, number: signal.Signals) -> None:
    before = inode(server.path)
    with tap(server.path) as running:
        running.process.send_signal(number)
        assert running.end()[0] == 0
    assert inode(server.path) == before


def test_ctrl_z_holds_nobody_up(server: Echo) -> None:
    with tap(server.path, "-q") as running:
        running.process.send_signal(signal.SIGTSTP)
        assert says_back(server.path)
        running.interrupt()
        code, said = running.end()
    assert code == 0
    assert said.startswith("Ctrl-Z would hold up every client")


def test_kill_9_under_load_refuses_no_connect_and_puts_it_back(server: Echo) -> None:
    with tap(server.path, "-q") as running:
        load = Load(server.path, 8)
        try:
            load.more(200)
            seconds = running.kill()
            print(f"put back after {1000 * seconds:.1f} ms")
            load.more(200)
        finally:
            load.end()
    assert load.refused == []
    assert load.cut <= 2 * 8  # those that the killed process had taken, and no others
    assert seconds < 5  # 0.1 on a quiet machine


def test_whoever_was_in_the_queue_of_a_killed_tap_is_served(server: Echo) -> None:
    with tap(server.path, "-q") as running:
        os.kill(running.process.pid, signal.SIGSTOP)
        waiting = [connect(server.path) for _ in range(100)]
        for client in waiting:
            client.sendall(b"here")
        running.kill()
        for client in waiting:
            with client:
                assert client.recv(4, 256) == b"here"  # MSG_WAITALL


def test_coming_and_going_under_load_refuses_nobody(server: Echo) -> None:
    load = Load(server.path, 4)
    try:
        for _ in range(3):
            with tap(server.path, "-q") as running:
                load.more(50)
                running.interrupt()
                assert running.end()[0] == 0
            load.more(50)
    finally:
        load.end()
    assert load.refused == []
    assert load.cut == 0


def test_the_next_command_repairs_what_was_killed_altogether(server: Echo) -> None:
    with tap(server.path) as running:
        running.kill_both()
        assert inode(server.path) != running.original
        done = ferry("completion", "bash")
    assert done.returncode == 0
    assert f"put {server.path} back" in done.stderr
    assert inode(server.path) == running.original
    assert says_back(server.path)
    assert "put" not in ferry("completion", "bash").stderr


def test_a_stopped_server_ends_it_and_nothing_dead_is_installed(server: Echo) -> None:
    with tap(server.path) as running:
        server.stop()
        code, said = running.end()
    assert code == 1
    assert "its server has stopped, and there is nothing to put back" in said
    assert "--follow" in said
    assert [name for name in os.listdir(server.path.parent) if name.startswith("x")] == []


def test_a_restarted_server_is_followed(server: Echo) -> None:
    with tap(server.path, "--follow") as running:
        server.stop()
        with echo(server.path):
            now = inode(server.path)
            while inode(server.path) == now:
                pass
            assert says_back(server.path)
            running.interrupt()
            code, said = running.end()
            assert inode(server.path) == now
    assert code == 0
    assert "(waiting for its next socket)" in said
    assert "again: its server is back" in said


def test_status_tells_and_restore_ends_it(server: Echo) -> None:
    assert ferry("tap", "--status").stderr == "nothing is tapped\n"
    with tap(server.path) as running:
        status = ferry("tap", "--status")
        assert status.returncode == 0
        assert f"by process {running.process.pid}, guarded by " in status.stdout
        again = ferry("tap", str(server.path))
        assert again.returncode == 1
        assert "is tapped already" in again.stderr
        assert ferry("tap", str(server.path), "--restore").returncode == 0
        assert inode(server.path) == running.original
        assert running.end()[0] == 0
    assert ferry("tap", "--status", str(server.path)).returncode == 1
    assert ferry("tap", str(server.path), "--restore").returncode == 1


def test_a_command_gets_a_private_socket_and_its_exit_code_is_ours(server: Echo) -> None:
    before = inode(server.path)
    code = (
        f"{TELL} import socket; c = socket.socket(socket.AF_UNIX); c.connect(s); c.send(b'hi');"
        "assert c.recv(2) == b'hi';"
        "print(json.dumps([s, sys.argv[1], stat.S_IMODE(os.stat(s).st_mode),"
        " stat.S_IMODE(os.stat(os.path.dirname(s)).st_mode)])); sys.exit(7)"
    )
    done = ferry("tap", str(server.path), "--", sys.executable, "-c", code, "at {socket}")
    assert done.returncode == 7, done.stderr
    private, argument, mode, folder = json.loads(done.stdout)
    assert argument == f"at {private}"
    assert (mode, folder) == (0o600, 0o700)
    assert not os.path.exists(os.path.dirname(private))
    assert inode(server.path) == before
    assert "#1 closed: 2 B up, 2 B down" in done.stderr


def test_a_command_that_cannot_be_run_is_said_as_a_shell_would(server: Echo) -> None:
    done = ferry("tap", str(server.path), "--", "/nonsense/x")
    assert done.returncode == 127
    assert "cannot run /nonsense/x" in done.stderr


def test_a_signal_of_the_command_is_a_shells_exit_code(server: Echo) -> None:
    done = ferry("tap", str(server.path), "--", "sh", "-c", "kill -TERM $$")
    assert done.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["8080"], 1, "a TCP port cannot be moved aside: 8080 stays with"),
        (["8080"], 1, "ferry relay 8081 localhost:8080"),
        (["nonsense.sock"], 1, "there is no nonsense.sock"),
        (["/nonsense/x.sock"], 1, "cannot open /nonsense"),
        (["@abstract"], 1, "has no file that could be moved aside"),
        ([], 2, "there is no socket to tap"),
        (["x.sock", "--"], 2, "there is no command after --"),
        (["--status", "--restore"], 2, "exclude each other"),
        (["nonsense/x", "--", "true"], 1, "there is no "),
    ],
)
def test_what_cannot_be_is_said_with_what_can(words: list[str], code: int, said: str) -> None:
    done = ferry("tap", *words)
    assert done.returncode == code
    assert said in done.stderr


def test_the_mode_is_kept(server: Echo) -> None:
    server.path.chmod(0o640)
    with tap(server.path):
        assert stat.S_IMODE(server.path.stat().st_mode) == 0o640
        assert inode(str(server.path) + SAVED) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a client of another user")
def test_other_users_do_not_become_us_at_a_socket_that_is_open_to_all(server: Echo) -> None:
    import subprocess

    server.path.chmod(0o666)
    for folder in server.path.parents:
        if folder.owner() == Path.home().owner() and folder.stat().st_mode & 0o055 != 0o055:
            folder.chmod(0o755)
    code = (
        "import os, socket, sys; os.setgid(4321); os.setuid(4321);"
        "c = socket.socket(socket.AF_UNIX); c.connect(sys.argv[1]); c.settimeout(10)\n"
        "try: c.send(b'x'); print(c.recv(1) == b'x')\n"
        "except OSError: print(False)"
    )
    answers = []
    for options in ([], ["--any-user"]):
        with tap(server.path, *options) as running:
            client = [sys.executable, "-c", code, str(server.path)]
            done = subprocess.run(client, capture_output=True, text=True, check=True)
            answers.append(done.stdout.strip())
            running.interrupt()
            _, said = running.end()
            assert ("of user 4321 was turned away" in said) == (not options)
    assert answers == ["False", "True"]
