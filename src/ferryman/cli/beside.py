"""``ferry tap SOCKET -- COMMAND``: a private socket beside the original, for one command alone.

Nothing is moved, so no rights are needed beyond those to connect. ``handing`` tells the command
where its socket is; its end is the tap's, and its exit code ours. It stays in our process group, so
that an interactive program has the terminal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ferryman.addresses import UnixAddress
from ferryman.cli import handing
from ferryman.cli.lines import Lines, happened
from ferryman.cli.looking import Looking
from ferryman.cli.program import SIGNALLED, CommandFailed, has_terminal
from ferryman.dataplane import sockets
from ferryman.dataplane.contract import Endpoint, Event, Policy
from ferryman.dataplane.engine import Engine
from ferryman.dataplane.loop import Loop
from ferryman.errors import UserError
from ferryman.intercept.clients import Doorkeeper, check_stream

if TYPE_CHECKING:
    from types import FrameType

_NAME = "tap"
_DRAIN = 0.5  # seconds for what the command said last


class Beside:
    """One command and its socket; ``run`` it once."""

    def __init__(
        self,
        asked: str,
        path: str,
        command: Sequence[str],
        looking: Looking | None,
        *,
        quiet: bool,
    ) -> None:
        self._asked = asked
        self._path = path
        self._command = command
        self._quiet = quiet
        self._looking = looking
        self._loop = Loop()
        self._lines = Lines(self._loop)
        self._engine = Engine(self._loop, self._tell)
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Returns the command's exit code, or what a shell would say if it cannot be run."""
        check_stream(self._path)
        with tempfile.TemporaryDirectory(prefix="ferry-", dir=_runtime_folder()) as folder:
            private = os.path.join(folder, os.path.basename(self._path))
            self._listen(private)
            try:
                return self._serve(private)
            finally:
                self._lines.close()
                self._loop.close()

    def _listen(self, private: str) -> None:
        looking = self._looking
        if looking is not None:
            looking.observe(self._engine)
        policy = Policy(hold=0, observe=looking.mode if looking is not None else "Off")
        self._engine.policy(_NAME, policy, 0)
        self._engine.endpoints(_NAME, [Endpoint(self._path, UnixAddress(self._path))], 0)
        before = os.umask(0o177)
        try:
            listener = sockets.listen(UnixAddress(private))
        except OSError as cause:
            raise UserError(f"cannot listen on {private}: {cause}") from cause
        finally:
            os.umask(before)
        self._engine.adopt(_NAME, listener, Doorkeeper(0))

    def _serve(self, private: str) -> int:
        nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if not (nohup and number == signal.SIGHUP):
                signal.signal(number, self._signalled)
        signal.signal(signal.SIGCHLD, lambda *_: self._loop.call_threadsafe(self._look))
        words = handing.words(self._command, private)
        changed = handing.environment(self._asked, self._path, private, os.environ)
        try:
            self._process = process = subprocess.Popen(words, env={**os.environ, **changed})
        except OSError as cause:
            self._engine.stop(0, self._loop.stop)
            raise CommandFailed(words[0], cause) from cause
        try:
            self._look()
            self._loop.run()
        finally:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            code = process.wait()
        return code if code >= 0 else SIGNALLED - code

    def _look(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._engine.stop(_DRAIN, self._loop.stop)

    def _signalled(self, number: int, _: FrameType | None) -> None:
        """It is for the command; a terminal has told it already."""
        if self._process is not None and (number != signal.SIGINT or not has_terminal()):
            self._process.send_signal(number)

    def _tell(self, event: Event) -> None:
        if self._looking is not None and self._looking.tells(event):
            return
        line = happened(event, quiet=self._quiet)
        if line:
            self._lines.add(line)


def _runtime_folder() -> str | None:
    """Where sockets of ours may be that nobody else can reach; None: where temporary files are."""
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        ours = os.path.isabs(folder) and os.stat(folder).st_uid == os.geteuid()
    except OSError:
        return None
    return folder if ours and os.access(folder, os.W_OK) else None
