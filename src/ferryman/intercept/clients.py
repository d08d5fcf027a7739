"""Who connects to a tapped socket, and whether that is safe.

Behind a relay the server sees the relay's credentials, not the client's. A socket that only some
may open keeps others out by its mode, which ours has, too. One that is open to everybody may rely
on credentials instead (PostgreSQL's ``peer``): there, others would become us, who may be root, and
are turned away.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import Callable

from ferryman.errors import UserError

_LINUX = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))
_BSD = struct.Struct("Iih16I")  # struct xucred: version, uid, groups (sys/ucred.h)
_LOCAL_PEERCRED, _LOCAL_PEERPID = 1, 2  # sys/un.h, at level 0


class Doorkeeper:
    """The label of a new client; raises PermissionError for one that is turned away, after telling
    ``refused`` why. ``mode`` is the socket's; ``any_user`` lets everybody in.
    """

    def __init__(
        self, mode: int, *, any_user: bool = False, refused: Callable[[str], None] = lambda _: None
    ) -> None:
        self._strict = bool(mode & stat.S_IWOTH) and not any_user
        self._refused = refused

    def __call__(self, client: socket.socket, _: object) -> str:
        pid, uid = credentials(client)
        label = _program(pid)
        if self._strict and uid not in (0, os.geteuid()):
            self._refused(f"{label} of user {uid} was turned away: the server would take it for us")
            raise PermissionError(label)
        return label


def credentials(client: socket.socket) -> tuple[int, int]:
    """Process and user id of who connected; 0 and -1 if they cannot be known."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _LINUX.size)
            pid, uid, _ = _LINUX.unpack(raw)
            return pid, uid
        raw = client.getsockopt(0, _LOCAL_PEERCRED, _BSD.size)
        return client.getsockopt(0, _LOCAL_PEERPID), _BSD.unpack(raw)[1]
    except (OSError, struct.error):
        return 0, -1


def check_stream(path: str, shown: str = "") -> None:
    """That there is a stream socket which takes us; raises UserError, which says why not, of the
    path or of what it is ``shown`` as.
    """
    shown = shown or path
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            pass  # it is busy
        except FileNotFoundError:
            raise UserError(f"there is no {shown}", "is its server running?") from None
        except ConnectionRefusedError:
            raise UserError(f"nobody listens on {shown}", "is its server running?") from None
        except OSError as cause:
            if cause.errno == errno.EPROTOTYPE:
                raise UserError(f"{shown} is no stream socket, so it cannot be relayed") from None
            raise UserError(f"cannot connect to {shown}: {cause.strerror or cause}") from cause


def _program(pid: int) -> str:
    """What a process calls itself, which may be anything: only what can be printed is kept."""
    if pid <= 0:  # it is in another namespace
        return "a client"
    name = ""
    if sys.platform.startswith("linux"):
        try:
            with open(f"/proc/{pid}/comm", errors="replace") as comm:
                name = "".join(c for c in comm.read(64) if c.isprintable()).strip()
        except OSError:
            pass  # it is gone already, or not ours to see
    return f"{name or 'process'}[{pid}]"
