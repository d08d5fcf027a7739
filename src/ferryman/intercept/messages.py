"""What a guardian and the process that it serves say to each other: lines of JSON one way, with
descriptors where there are any, and single letters the other.
"""

from __future__ import annotations

import enum
import json
import socket
from collections.abc import Mapping, Sequence

from ferryman.errors import Conflict, FerrymanError, UserError

Said = Mapping[str, str]
"""``said`` is one of "tapped" (with descriptors: the listening socket and, on Linux, the original),
"failed" (with ``message``, ``hint`` and ``kind``), or an Outcome."""

_MOST_DESCRIPTORS = 8
_CHUNK = 65536


class Command(enum.Enum):
    """What the main process may ask for; the end of the connection asks for RESTORE, too."""

    RESTORE = b"r"
    LEAVE = b"l"
    """Put it back if that is not done yet, and end: the queue has been served."""


def failed(error: FerrymanError) -> Said:
    """How an error is said."""
    kind = "conflict" if isinstance(error, Conflict) else "user"
    return {"said": "failed", "message": error.message, "hint": error.hint, "kind": kind}


def failure(message: Said) -> FerrymanError:
    """The error that was said."""
    kind = Conflict if message.get("kind") == "conflict" else UserError
    return kind(message["message"], message["hint"])


def send(control: socket.socket, message: Said, descriptors: Sequence[int]) -> None:
    """Say one thing. Nothing here is large enough to fill a socket."""
    socket.send_fds(control, [json.dumps(dict(message)).encode() + b"\n"], list(descriptors))


class Receiver:
    """Takes what a guardian says, in pieces as they come."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._rest = b""

    def receive(self) -> tuple[list[Said], list[int], bool]:
        """What has come: messages, descriptors, and whether that was the end. Raises
        BlockingIOError if nothing has, and that is to be waited for elsewhere.
        """
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _CHUNK, _MOST_DESCRIPTORS)
        except ConnectionResetError:
            data, descriptors = b"", []
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines], descriptors, not data
