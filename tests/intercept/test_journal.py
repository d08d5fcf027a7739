"""The journal's files: private, locked by the living, left by the dead."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import Conflict, UserError
from ferryman.intercept import journal, places
from ferryman.intercept.entry import Entry, Identity, parse, render
from ferryman.intercept.journal import Journal

ENTRY = Entry(
    path="/run/x.sock",
    original=Identity(1, 2, 7),
    mode=0o140660,
    uid=0,
    gid=5,
    main=10,
    guardian=11,
    since=1.5,
    ours=Identity(1, 3, 8),
)


def test_an_entry_is_kept_in_a_private_file() -> None:
    kept = Journal.open(ENTRY.path)
    kept.write(ENTRY)
    assert kept.read() == ENTRY
    assert list(journal.standing()) == [(ENTRY, True)]
    (name,) = places.names()
    file = os.path.join(places.folder(), name)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(places.folder()).st_mode) == 0o700
    kept.remove()
    assert places.names() == []


def test_a_living_entry_is_nobody_elses() -> None:
    kept = Journal.open(ENTRY.path)
    kept.write(ENTRY)
    with pytest.raises(Conflict, match="tapped already"):
        Journal.open(ENTRY.path)
    assert Journal.left(places.names()[0]) is None
    kept.close()
    left = Journal.left(places.names()[0])
    assert left is not None
    assert left.read() == ENTRY
    left.remove()


def test_the_lock_dies_with_its_process() -> None:
    code = (
        "import os; from ferryman.intercept.journal import Journal;"
        "Journal.open('/run/x.sock'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    kept = Journal.open("/run/x.sock")
    assert kept.read() is None
    kept.remove()


def test_a_folder_that_others_write_is_no_guide() -> None:
    os.makedirs(places.folder())
    os.chmod(places.folder(), 0o777)
    with pytest.raises(UserError, match="by others"):
        Journal.open(ENTRY.path)


def test_a_file_that_others_wrote_is_passed_over(tmp_path: Path) -> None:
    kept = Journal.open(ENTRY.path)
    kept.write(ENTRY)
    (name,) = places.names()
    os.chmod(os.path.join(places.folder(), name), 0o666)
    kept.close()
    assert Journal.left(name) is None
    assert list(journal.standing()) == []


def test_a_link_is_passed_over(tmp_path: Path) -> None:
    os.makedirs(places.folder(), 0o700)
    (tmp_path / "elsewhere").write_bytes(render(ENTRY))
    os.symlink(tmp_path / "elsewhere", os.path.join(places.folder(), "x.tap"))
    assert Journal.left("x.tap") is None
    assert list(journal.standing()) == []


def test_a_home_that_is_not_ours_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    monkeypatch.delenv("FERRY_HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/1" if os.geteuid() else "/nowhere")
    ours = pwd.getpwuid(os.geteuid()).pw_dir
    assert places.folder() == os.path.join(ours, ".local/state/ferryman/taps")


def test_the_state_folder_of_xdg_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FERRY_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert places.folder() == "/somewhere/ferryman/taps"
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert places.folder().endswith("/.local/state/ferryman/taps")


def test_what_is_written_is_read_again() -> None:
    assert parse(render(ENTRY)) == ENTRY
    untaken = Entry("/x", Identity(0, 0, 0), 0, 0, 0, 0, 0, 0.0)
    assert parse(render(untaken)) == untaken
    assert parse(render(untaken.taken(ENTRY.original)) + b"rest") == untaken.taken(ENTRY.original)


@given(st.binary(max_size=200) | st.builds(lambda n: render(ENTRY)[:n], st.integers(0, 200)))
def test_a_file_with_anything_in_it_is_an_entry_or_nothing(text: bytes) -> None:
    found = parse(text)
    assert found is None or os.path.isabs(found.path)


def test_a_path_that_is_not_absolute_is_nothing() -> None:
    assert parse(render(ENTRY).replace(b"/run/", b"run/")) is None
