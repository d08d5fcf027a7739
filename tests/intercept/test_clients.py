"""Who may come in through a tapped socket."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from ferryman.errors import UserError
from ferryman.intercept import clients
from ferryman.intercept.clients import Doorkeeper, check_stream, credentials
from tests.support.unixservers import Echo


def test_a_client_is_known_by_its_process() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pid, uid = credentials(theirs)
        assert (pid, uid) == (os.getpid(), os.geteuid())
        label = Doorkeeper(0o666)(theirs, "")
        assert label.endswith(f"[{os.getpid()}]")
        if sys.platform == "linux":
            assert label.startswith("py")


@pytest.mark.parametrize(
    ("mode", "user", "any_user", "enters"),
    [
        (0o660, 4321, False, True),  # the mode has kept others out
        (0o666, 4321, False, False),
        (0o777, 4321, True, True),
        (0o777, 0, False, True),  # root may be anybody
        (0o777, os.geteuid(), False, True),
        (0o777, -1, False, False),  # nobody knows
    ],
)
def test_other_users_enter_only_by_a_mode_that_tells_them_apart(
    mode: int, user: int, any_user: bool, enters: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "credentials", lambda _: (os.getpid(), user))
    refused: list[str] = []
    keeper = Doorkeeper(mode, any_user=any_user, refused=refused.append)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        if enters:
            keeper(theirs, "")
            assert refused == []
        else:
            with pytest.raises(PermissionError):
                keeper(theirs, "")
            assert f"of user {user} was turned away" in refused[0]


def test_a_program_may_call_itself_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("no /proc")
    import ctypes

    name = b"\x1b[31mred\n"
    own = Path("/proc/self/comm").read_bytes()
    libc = ctypes.CDLL(None)
    libc.prctl(15, name)  # PR_SET_NAME
    try:
        assert clients._program(os.getpid()) == f"[31mred[{os.getpid()}]"
    finally:
        libc.prctl(15, own.strip())
    assert clients._program(0) == "a client"


def test_a_socket_that_takes_us_is_fine(server: Echo, tmp_path: Path) -> None:
    check_stream(str(server.path))
    with pytest.raises(UserError, match="there is no other name"):
        check_stream(str(tmp_path / "none"), "other name")
