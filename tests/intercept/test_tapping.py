"""A tapped socket and its guardian, a real process: it is put back whatever is killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ferryman.errors import Conflict, UserError
from ferryman.intercept import journal, places, repair
from ferryman.intercept.swap import SAVED
from ferryman.intercept.tapping import News, Tap, Tapped, Untapped, real_path
from tests.support.unixservers import PATIENCE, Echo, connect, echo, inode, says_back


@contextmanager
def tapped(path: Path, *, follow: bool = False) -> Iterator[tuple[Tap, Tapped]]:
    with Tap(str(path), follow=follow) as tap:
        got = tap.start()
        with got.listener:
            yield tap, got


def next_news(tap: Tap) -> list[News]:
    """What is told next."""
    while True:
        readable, _, _ = select.select([tap.fileno()], [], [], PATIENCE)
        assert readable, "nothing was told in time"
        news = tap.receive()
        if news:
            return news


def guardian_of(path: Path) -> int:
    return next(entry.guardian for entry, _ in journal.standing() if entry.path == str(path))


def test_clients_come_to_us_and_the_server_is_dialled_where_it_went(server: Echo) -> None:
    with tapped(server.path) as (_, got):
        assert got.mode == server.path.stat().st_mode
        with connect(server.path):
            got.listener.setblocking(True)
            client, _ = got.listener.accept()
            client.close()
        assert says_back(got.dial.path)
        assert says_back(str(server.path) + SAVED)
    assert says_back(server.path)
    assert os.listdir(server.path.parent) != []
    assert places.names() == []


def test_it_is_put_back_when_asked(server: Echo) -> None:
    before = inode(server.path)
    with tapped(server.path) as (tap, _):
        tap.restore()
        assert next_news(tap) == [Untapped("restored")]
        assert inode(server.path) == before
        tap.restore()  # whoever asks is answered
        assert next_news(tap) == [Untapped("restored")]


def test_a_killed_guardian_is_stood_in_for(server: Echo) -> None:
    with tapped(server.path) as (tap, _):
        os.kill(guardian_of(server.path), signal.SIGKILL)
        assert next_news(tap) == [Untapped("restored")]
        assert tap.fileno() == -1
        assert says_back(server.path)
        assert places.names() == []


def test_a_guardian_that_is_asked_to_end_restores_first(server: Echo) -> None:
    with tapped(server.path) as (tap, _):
        os.kill(guardian_of(server.path), signal.SIGTERM)
        assert next_news(tap) == [Untapped("restored")]
        assert says_back(server.path)


def test_signals_of_the_terminal_do_not_reach_it(server: Echo) -> None:
    with tapped(server.path) as (tap, _):
        guardian = guardian_of(server.path)
        assert os.getsid(guardian) == guardian
        os.kill(guardian, signal.SIGINT)
        os.kill(guardian, signal.SIGHUP)
        tap.restore()
        assert next_news(tap) == [Untapped("restored")]


def test_nothing_dead_is_put_back_when_the_server_stops(server: Echo) -> None:
    with tapped(server.path) as (tap, _):
        server.stop()
        assert next_news(tap) == [Untapped("stopped")]
        assert "x.sock" not in os.listdir(server.path.parent)
        assert "x.sock" + SAVED not in os.listdir(server.path.parent)


def test_a_restarted_server_keeps_its_new_socket(server: Echo) -> None:
    with tapped(server.path) as (tap, _):
        server.stop()
        with echo(server.path):
            assert next_news(tap)[0] in (Untapped("replaced"), Untapped("stopped"))
            assert says_back(server.path)


def test_a_restarted_server_is_tapped_again_if_it_is_followed(server: Echo) -> None:
    with tapped(server.path, follow=True) as (tap, _):
        server.stop()
        assert isinstance(next_news(tap)[0], Untapped)
        with echo(server.path):
            now = inode(server.path)
            (news,) = next_news(tap)
            assert isinstance(news, Tapped)
            with news.listener:
                assert inode(server.path) != now
                assert says_back(news.dial.path)
                tap.restore()
                assert next_news(tap) == [Untapped("restored")]
                assert inode(server.path) == now


def test_two_do_not_tap_the_same(server: Echo) -> None:
    with tapped(server.path), Tap(str(server.path)) as second:
        with pytest.raises(Conflict, match="tapped already"):
            second.start()
    with tapped(server.path):
        pass


def test_what_cannot_be_tapped_is_said_by_the_guardian(tmp_path: Path) -> None:
    with Tap(str(tmp_path / "none")) as tap, pytest.raises(UserError, match="there is no"):
        tap.start()
    with Tap("/nonsense/none") as tap, pytest.raises(UserError, match="cannot open /nonsense"):
        tap.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a socket of another user")
def test_without_rights_it_says_what_to_do() -> None:
    code = (
        "from ferryman.intercept.guardian import *;"
        "os.setgid(4321); os.setuid(4321);"
        "loop = Loop();"
        "ours, theirs = socket.socketpair();"
        "place = Place(sys.argv[1]).__enter__();"
        "guardian = Guardian(loop, place, theirs, follow=False, any_user=False);"
        "guardian.start(); loop.run(); print(ours.recv(4096).decode())"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o1777)
        with echo(Path(folder) / "x.sock", 0o777) as server:
            done = subprocess.run(
                [sys.executable, "-c", code, str(server.path)],
                env={**os.environ, "FERRY_HOME": f"{folder}/home"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert "is not permitted" in done.stdout, done.stderr
            assert "sudo ferry tap" in done.stdout
            assert "-- COMMAND" in done.stdout
            assert sorted(os.listdir(folder)) == ["home", "x.sock"]


def killed_tap(path: Path) -> None:
    """A tap of which both processes are killed, as in a loss of power."""
    code = (
        "import os, sys, signal; from ferryman.intercept import journal;"
        "from ferryman.intercept.tapping import Tap;"
        "tap = Tap(sys.argv[1]); tap.start();"
        "[os.kill(entry.guardian, signal.SIGKILL) for entry, _ in journal.standing()];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    deadline = time.monotonic() + PATIENCE
    while any(watched for _, watched in journal.standing()):  # the guardian is dying
        assert time.monotonic() < deadline


def test_what_two_killed_processes_left_is_repaired(server: Echo) -> None:
    before = inode(server.path)
    killed_tap(server.path)
    assert inode(server.path) != before
    assert repair.repair() == [{"said": "restored", "path": str(server.path)}]
    assert inode(server.path) == before
    assert repair.repair() == []


def test_what_is_still_watched_is_not_repaired(server: Echo) -> None:
    with tapped(server.path):
        ours = inode(server.path)
        assert repair.repair() == []
        assert inode(server.path) == ours


def test_a_repair_after_the_server_stopped_installs_nothing(server: Echo) -> None:
    killed_tap(server.path)
    server.stop()
    assert repair.repair() == [{"said": "stopped", "path": str(server.path)}]
    assert [n for n in os.listdir(server.path.parent) if "sock" in n] == []


def test_a_repair_after_the_server_restarted_leaves_it_alone(server: Echo) -> None:
    killed_tap(server.path)
    server.stop()
    with echo(server.path):
        now = inode(server.path)
        assert repair.repair() == [{"said": "replaced", "path": str(server.path)}]
        assert inode(server.path) == now


def test_a_repair_finds_the_folder_gone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with echo(folder / "x.sock") as server:
        killed_tap(server.path)
        for name in os.listdir(folder):
            (folder / name).unlink()
        folder.rmdir()
        assert repair.repair() == [{"said": "stopped", "path": str(server.path)}]
    assert places.names() == []


def test_a_new_tap_repairs_before_it_begins(server: Echo) -> None:
    before = inode(server.path)
    killed_tap(server.path)
    with tapped(server.path):
        assert inode(str(server.path) + SAVED) == before
    assert inode(server.path) == before


def test_leftovers_without_a_journal_are_put_back_on_request(server: Echo, home: Path) -> None:
    killed_tap(server.path)
    for name in places.names():
        os.unlink(os.path.join(places.folder(), name))
    assert repair.repair_leftover(str(server.path))["said"] == "restored"
    assert says_back(server.path)
    with pytest.raises(UserError, match="not tapped"):
        repair.repair_leftover(str(server.path))


def test_what_a_link_leads_to_is_tapped(server: Echo) -> None:
    link = server.path.with_name("link")
    link.symlink_to(server.path)
    assert real_path(str(link)) == str(server.path)
    with pytest.raises(UserError, match="abstract"):
        real_path("@x")
