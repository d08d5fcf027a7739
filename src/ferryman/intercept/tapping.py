"""A socket that is tapped, as the process sees it that relays: what a guardian does for it.

``Tap.start`` starts one (``guardian``) and returns once the socket is moved aside. From then on
``receive`` tells what happens to it; whoever relays accepts from ``Tapped.listener`` and dials
``Tapped.dial``. However this process ends, the original is put back.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from ferryman.addresses import UnixAddress
from ferryman.errors import Unavailable, UserError
from ferryman.intercept import messages, repair
from ferryman.intercept.messages import Command, Receiver
from ferryman.intercept.swap import SAVED

PATIENCE = 10.0
"""Seconds that a guardian may take to move a socket aside, or to put it back."""
_PROGRAM = "ferryman.intercept.guardian"


@dataclass(frozen=True, slots=True)
class Tapped:
    """It is moved aside: ``listener`` is in its place, and the receiver's to close. ``mode`` is
    the original's, for a ``clients.Doorkeeper``.
    """

    listener: socket.socket
    dial: UnixAddress
    mode: int


@dataclass(frozen=True, slots=True)
class Untapped:
    """It is so no longer; ``outcome`` as in ``verdict``. Clients that wait in the listener's queue
    are still to be served.
    """

    outcome: Literal["restored", "stopped", "replaced"]


News = Tapped | Untapped


class Tap:
    """One tapped socket; ``path`` is its real one. Not thread-safe."""

    def __init__(self, path: str, *, follow: bool = False, any_user: bool = False) -> None:
        self.path = real_path(path)
        self._options = ["--follow"] * follow + ["--any-user"] * any_user
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._receiver: Receiver | None = None
        self._original: int | None = None
        self._ended = False

    def __enter__(self) -> Tap:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> Tapped:
        """Move the socket aside; raises UserError or Conflict if that cannot be. Waits for it."""
        self._control, theirs = socket.socketpair()
        self._control.settimeout(PATIENCE)
        self._receiver = Receiver(self._control)
        words = [sys.executable, "-P", "-m", _PROGRAM, self.path]
        with theirs:
            self._process = subprocess.Popen(
                [*words, *self._options],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            while not self._ended:
                for news in self.receive():
                    if isinstance(news, Tapped):
                        self._control.setblocking(False)
                        return news
        except TimeoutError as cause:
            raise Unavailable(f"the guardian of {self.path} does not answer") from cause
        raise Unavailable(f"the guardian of {self.path} could not be started")

    def fileno(self) -> int:
        """Readable when there is something to ``receive``; -1 when there will be no more."""
        return -1 if self._control is None or self._ended else self._control.fileno()

    def receive(self) -> list[News]:
        """What happened to the socket since. Should the guardian have been killed, it is this
        process that puts the original back.
        """
        if self._receiver is None or self._ended:
            return []
        try:
            said, descriptors, self._ended = self._receiver.receive()
        except BlockingIOError:
            return []
        news: list[News] = []
        for message in said:
            match message["said"]:
                case "failed":
                    raise messages.failure(message)
                case "tapped":
                    news.append(self._tapped(int(message["mode"], 8), descriptors))
                case "restored" | "stopped" | "replaced" as outcome:
                    news.append(Untapped(outcome))
        if self._ended:
            repair.repair()
            news.append(Untapped("restored"))
        return news

    def restore(self) -> None:
        """Ask for the original to be put back; ``receive`` will say so."""
        self._command(Command.RESTORE)

    def close(self) -> None:
        """Put the original back, if that is not done yet, and wait for it. Idempotent."""
        self._command(Command.LEAVE)
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:  # stopped by a signal, say
                process.kill()
                process.wait()
                repair.repair()
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._original is not None:
            os.close(self._original)
            self._original = None
        self._ended = True

    def _tapped(self, mode: int, descriptors: list[int]) -> Tapped:
        listener = socket.socket(fileno=descriptors.pop(0))
        listener.setblocking(False)
        if not descriptors:
            return Tapped(listener, UnixAddress(self.path + SAVED), mode)
        before, self._original = self._original, descriptors.pop(0)
        if before is not None:
            os.close(before)
        return Tapped(listener, UnixAddress(f"/proc/self/fd/{self._original}"), mode)

    def _command(self, command: Command) -> None:
        if self._control is not None:
            try:
                self._control.send(command.value)
            except OSError:
                pass  # it is gone, which ``receive`` says


def real_path(path: str) -> str:
    """Where a socket really is: what a link leads to is moved, not the link; raises UserError."""
    if path.startswith("@") or "\0" in path:
        raise UserError(
            f"{path} is an abstract socket: it has no file that could be moved aside",
            f"ferry tap {path} -- COMMAND, if the command can be told another address",
        )
    return os.path.realpath(path)
