"""The files of `-w`: whose they are, when they are whole, what a full disk does."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from ferryman.errors import UserError
from ferryman.inspection import feed
from ferryman.inspection.exchanges import Exchange
from ferryman.inspector.files import KINDS, Files, kind_of
from ferryman.inspector.keeping import Keeping, keepings

RECORDS: list[feed.Record] = [
    feed.Opened(1, 10, "127.0.0.1:8080", "127.0.0.1:5000", "localhost:8081"),
    feed.Chunk(1, 11, feed.UP, b"hello"),
]


class Lines:
    """An exporter of a line per record, and an end that is to be overwritten."""

    raw = True
    exchanges = False
    tail = b"END"

    def begin(self) -> bytes:
        return b"BEGIN\n"

    def record(self, record: feed.Record) -> bytes:
        return f"{record.at}\n".encode()

    def recognised(self, connection: int, protocol: str) -> bytes:
        return b""

    def exchange(self, exchange: Exchange) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b"LAST\n"


def lines(path: Path) -> Keeping:
    return Keeping(str(path), os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), Lines())


def open_one(path: Path, *, force: bool = False) -> Keeping:
    (one,) = keepings(Files.make([str(path)], force=force), started=5)
    return one


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_its_owners_and_of_its_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    open_one(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    starts = {"ferry": b"ferry-recording 1 {", "pcapng": b"\n\r\r\n", "har": b'{"log": {'}
    assert path.read_bytes().startswith(starts[kind])


def test_a_file_is_whole_after_every_flush(tmp_path: Path) -> None:
    path = tmp_path / "x"
    one = lines(path)
    one.flush()
    assert path.read_bytes() == b"BEGIN\nEND"
    one.record(RECORDS[0])
    assert path.read_bytes() == b"BEGIN\nEND"
    one.flush()
    assert path.read_bytes() == b"BEGIN\n10\nEND"
    one.record(RECORDS[1])
    one.close()
    assert path.read_bytes() == b"BEGIN\n10\n11\nLAST\nEND"
    one.record(RECORDS[1])
    one.close()
    assert path.read_bytes() == b"BEGIN\n10\n11\nLAST\nEND"


def test_an_existing_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.ferry"
    path.write_text("precious")
    with pytest.raises(UserError, match="exists; name another file, or add --force"):
        open_one(path)
    assert path.read_text() == "precious"


def test_force_overwrites_all_of_it_and_takes_it_from_others(tmp_path: Path) -> None:
    path = tmp_path / "x.ferry"
    path.write_text("precious" * 1000)
    path.chmod(0o644)
    open_one(path, force=True).close()
    assert b"precious" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    (tmp_path / "x.ferry").symlink_to(tmp_path / "there")
    for force in (False, True):
        with pytest.raises(UserError):
            open_one(tmp_path / "x.ferry", force=force)
    assert (tmp_path / "there").read_text() == "precious"


def test_what_is_no_ordinary_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.ferry")
    with pytest.raises(UserError):
        open_one(tmp_path / "x.ferry", force=True)


def test_if_one_file_cannot_be_had_none_is_left_behind(tmp_path: Path) -> None:
    paths = [str(tmp_path / "a.ferry"), str(tmp_path / "nowhere" / "b.har")]
    with pytest.raises(UserError, match="No such file or directory"):
        Files.make(paths)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_ending_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UserError, match=r"one of \.ferry, \.pcapng, \.har"):
        kind_of("x.pcap")


def test_a_full_disk_ends_the_file_with_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = lines(tmp_path / "x")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    one.record(RECORDS[0])
    one.flush()
    one.record(RECORDS[1])
    one.close()
    assert one.error == f"{tmp_path / 'x'} ends early: No space left on device"


def test_files_that_are_not_needed_after_all_are_not_left_behind(tmp_path: Path) -> None:
    (tmp_path / "a.ferry").write_text("precious")
    files = Files.make([str(tmp_path / "b.har")])
    files.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["a.ferry"]
