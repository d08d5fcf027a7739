"""Moving aside and back: same mode and owner, never wider, and nothing of others is touched."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman.errors import UserError
from ferryman.intercept import swap
from ferryman.intercept.entry import Entry, Identity
from ferryman.intercept.swap import SAVED, STAGING, Place
from tests.support.unixservers import Echo, connect, echo, inode, says_back

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
ACCESS_LIST = "system.posix_acl_access"


def saved(path: Path) -> Path:
    return path.with_name(path.name + SAVED)


@contextlib.contextmanager
def place_of(path: Path) -> Iterator[Place]:
    with Place(str(path)) as place:
        yield place


@contextlib.contextmanager
def moved_aside(path: Path) -> Iterator[tuple[Place, Entry]]:
    """The socket's place is taken by a listener that nobody accepts from."""
    with place_of(path) as place:
        original = place.inspect()
        listener, ours = place.stage(original)
        with listener:
            entry = Entry(str(path), Identity.of(original), 0, 0, 0, 0, 0, 0.0, ours)
            place.expose(entry.original)
            yield place, entry


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o777, 0o620])
def test_ours_has_the_mode_of_the_original(server: Echo, mode: int) -> None:
    server.path.chmod(mode)
    with moved_aside(server.path):
        assert stat.S_IMODE(server.path.stat().st_mode) == mode
        assert sorted(os.listdir(server.path.parent)) == ["x.sock", "x.sock" + SAVED]


def test_it_is_not_to_be_seen_before_it_is_permitted_alike(
    server: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = swap._permit_alike
    seen = []

    def look(*arguments: object) -> None:
        staging = server.path.with_name(server.path.name + STAGING)
        seen.append((stat.S_IMODE(staging.stat().st_mode), inode(server.path)))
        before(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(swap, "_permit_alike", look)
    original = inode(server.path)
    with moved_aside(server.path):
        assert seen == [(0o700, original)]


@ROOT_ONLY
def test_ours_has_the_owner_of_the_original(server: Echo) -> None:
    os.chown(server.path, 1234, 2345)
    server.path.parent.chmod(0o755)
    with moved_aside(server.path):
        status = server.path.stat()
        assert (status.st_uid, status.st_gid) == (1234, 2345)


def access_list(user: int) -> bytes:
    """owner rw, user rw, group nothing, mask rw, others nothing (acl(5), xattr layout)."""
    import struct

    rows = [(1, 6, 0xFFFFFFFF), (2, 6, user), (4, 0, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF)]
    rows.append((32, 0, 0xFFFFFFFF))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in rows)


def has_access_lists(path: Path) -> bool:
    try:
        os.setxattr(path, ACCESS_LIST, access_list(1234))
    except (OSError, AttributeError):
        return False
    return True


def test_an_access_list_is_kept_so_that_its_mask_gives_the_group_nothing(server: Echo) -> None:
    if not has_access_lists(server.path):
        pytest.skip("this file system has no access lists")
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o660  # the mask shows as the group's bits
    with moved_aside(server.path):
        assert os.getxattr(server.path, ACCESS_LIST) == access_list(1234)


def test_a_folders_default_access_list_lets_nobody_else_in(server: Echo) -> None:
    if not has_access_lists(server.path):
        pytest.skip("this file system has no access lists")
    os.removexattr(server.path, ACCESS_LIST)
    server.path.chmod(0o600)
    os.setxattr(server.path.parent, "system.posix_acl_default", access_list(1234))
    with moved_aside(server.path):
        assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
        with pytest.raises(OSError, match="No data"):
            os.getxattr(server.path, ACCESS_LIST)


def test_it_is_put_back_as_it_was(server: Echo) -> None:
    before = inode(server.path)
    with moved_aside(server.path) as (place, entry):
        assert inode(server.path) != before == inode(saved(server.path))
        assert says_back(saved(server.path))
        assert place.restore(entry) == "restored"
        assert inode(server.path) == before
        assert os.listdir(server.path.parent) == ["x.sock"]
        assert place.restore(entry) == "restored"  # again does no harm
    assert says_back(server.path)


def test_nothing_dead_is_put_back(server: Echo) -> None:
    with moved_aside(server.path) as (place, entry):
        server.stop(unlink=False)
        assert place.restore(entry) == "stopped"
    assert os.listdir(server.path.parent) == []


def test_a_stopped_server_leaves_nothing_behind(server: Echo) -> None:
    with moved_aside(server.path) as (place, entry):
        server.stop()
        assert place.restore(entry) == "stopped"
    assert os.listdir(server.path.parent) == []


def test_a_restarted_server_keeps_its_new_socket(server: Echo) -> None:
    with moved_aside(server.path) as (place, entry):
        server.stop()
        with echo(server.path):
            now = inode(server.path)
            assert place.restore(entry) == "replaced"
            assert inode(server.path) == now
            assert says_back(server.path)
            assert os.listdir(server.path.parent) == ["x.sock"]


def test_a_name_that_a_person_removed_comes_back(server: Echo) -> None:
    with moved_aside(server.path) as (place, entry):
        server.path.unlink()
        assert place.restore(entry) == "restored"
    assert says_back(server.path)
    assert os.listdir(server.path.parent) == ["x.sock"]


def test_a_server_that_was_replaced_at_the_last_moment_keeps_its_place(server: Echo) -> None:
    with place_of(server.path) as place:
        original = place.inspect()
        listener, _ = place.stage(original)
        os.link(server.path, server.path.with_name("held"))  # so that its number is not used again
        server.stop()
        with listener, echo(server.path):
            now = server.path.stat()
            with pytest.raises(UserError, match="just been replaced"):
                place.expose(Identity.of(original))
            assert Identity.of(server.path.stat()) == Identity.of(now)
            assert sorted(os.listdir(server.path.parent)) == ["held", "x.sock"]


def test_what_a_killed_process_left_half_done_is_used_again(server: Echo) -> None:
    with place_of(server.path) as place:
        listener, _ = place.stage(place.inspect())
        listener.close()
    with moved_aside(server.path) as (place, entry):
        assert place.restore(entry) == "restored"
    assert os.listdir(server.path.parent) == ["x.sock"]


def test_a_second_tap_of_another_user_is_refused(server: Echo) -> None:
    with moved_aside(server.path) as (place, entry):
        connect(server.path).close()
        with pytest.raises(UserError, match="another user"):
            with moved_aside(server.path):
                pass
        assert place.restore(entry) == "restored"
    assert says_back(server.path)


def test_what_another_user_left_is_put_back_if_it_is_dead(server: Echo) -> None:
    with moved_aside(server.path) as (place, _):
        with pytest.raises(UserError, match="answers"):
            place.leftover()
    with place_of(server.path) as place:
        assert place.restore(place.leftover()) == "restored"
        with pytest.raises(UserError, match="not tapped"):
            place.leftover()
    assert says_back(server.path)


def test_a_path_of_any_length_will_do(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    short = Path("/tmp") / f"ferry-{os.getpid()}"
    short.symlink_to(deep)
    try:
        with echo(short / "x.sock"):
            with moved_aside(deep / "x.sock") as (place, entry):
                assert place.restore(entry) == "restored"
            assert says_back(short / "x.sock")
    finally:
        short.unlink()


@pytest.mark.parametrize(
    ("mode", "refused"), [(0o755, False), (0o777, True), (0o1777, False), (0o775, False)]
)
def test_a_folder_that_others_write_is_refused(server: Echo, mode: int, refused: bool) -> None:
    server.path.parent.chmod(mode)
    with place_of(server.path) as place:
        if refused:
            with pytest.raises(UserError, match="others could put"):
                place.inspect()
        else:
            place.inspect()


@ROOT_ONLY
def test_a_folder_of_another_user_or_group_is_refused(server: Echo) -> None:
    folder = server.path.parent
    os.chown(folder, 0, 2345)
    folder.chmod(0o775)
    with place_of(server.path) as place:
        with pytest.raises(UserError, match="others could put"):
            place.inspect()
        os.chown(server.path, 0, 2345)  # its server's own group, as in /run/postgresql
        place.inspect()
        os.chown(folder, 1234, 2345)
        with pytest.raises(UserError, match="others could put"):
            place.inspect()
        os.chown(server.path, 1234, 2345)
        place.inspect()


def test_what_cannot_be_tapped_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(str(tmp_path / "datagrams"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
            dead.bind(str(tmp_path / "dead"))
        for name, why in (
            ("nothing", "there is no"),
            ("file", "no UNIX socket"),
            ("datagrams", "no stream socket"),
            ("dead", "nobody listens"),
        ):
            with place_of(tmp_path / name) as place, pytest.raises(UserError, match=why):
                place.inspect()


def test_a_link_is_not_followed(server: Echo) -> None:
    link = server.path.with_name("link")
    link.symlink_to(server.path)
    with place_of(link) as place, pytest.raises(UserError, match="no UNIX socket"):
        place.inspect()


def test_the_original_can_be_dialled_whatever_its_name_becomes(server: Echo) -> None:
    with moved_aside(server.path) as (place, entry):
        pinned = place.open_original()
        if pinned is None:
            pytest.skip("this system cannot pin a socket")
        try:
            place.restore(entry)
            assert says_back(f"/proc/self/fd/{pinned}")
        finally:
            os.close(pinned)
