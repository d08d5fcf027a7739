"""Starts the inspector beside a data plane, when there is something to tell it.

``Inspector.start`` is what the engine's ``observe`` takes: it returns the descriptors of the feed
and of the commands, and costs the caller a posix_spawn, no import. The process is in a group of its
own, so Ctrl-C leaves it to write what it has; it ends when the feed does.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

from ferryman.inspector.files import Files

PATIENCE = 5.0
"""Seconds that the process has, once the feed has ended, to write what it has."""
_STEP = 0.002


class Inspector:
    """One process, started at most once.

    ``seeing`` is ``Seeing.as_json`` as a text. ``sending`` asks for the exchanges to be sent back:
    ``exchanges`` is the descriptor to read them from. What the process shows goes to ``out``, a
    descriptor that it can inherit. ``pid`` is 0 as long as there was nothing to tell.
    """

    def __init__(
        self,
        seeing: Callable[[], str],
        files: Files | None = None,
        *,
        out: int = 1,
        sending: bool = False,
    ) -> None:
        self._seeing = seeing
        self._files = files or Files({})
        self._out = out
        self.pid = 0
        self.exchanges = -1
        self._sending = -1
        if sending:
            self.exchanges, self._sending = os.pipe()

    def start(self) -> tuple[int, int] | None:
        """Start it: where to write the feed, and where to read commands. Raises OSError."""
        theirs: list[int] = [*self._files.descriptors.values()]
        feed_out, feed_in = os.pipe()
        commands_out, commands_in = os.pipe()
        theirs += [feed_out, commands_in]
        if self._sending >= 0:
            theirs.append(self._sending)
        for descriptor in theirs:
            os.set_inheritable(descriptor, True)
        files = [f"{descriptor}={path}" for path, descriptor in self._files.descriptors.items()]
        words = [sys.executable, "-m", "ferryman.inspector.process", self._seeing()]
        words += [str(n) for n in (feed_out, commands_in, self._out, self._sending)]
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                words + files,
                os.environ,
                setpgroup=0,
                setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
            )
        except OSError:
            os.close(feed_in)
            os.close(commands_out)
            raise
        finally:
            os.close(feed_out)
            os.close(commands_in)
            self._files.close()
            self._close_sending()
        return feed_in, commands_out

    def finish(self, patience: float = PATIENCE) -> None:
        """Wait until it has written what it has; the feed must have ended. Blocks.

        After ``patience`` seconds it is killed: most likely nobody reads what it writes.
        """
        if not self.pid:
            self._files.discard()
            self._close_sending()
            return
        deadline = time.monotonic() + patience
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                break
            time.sleep(_STEP)
        self.pid = 0

    def _close_sending(self) -> None:
        if self._sending >= 0:
            os.close(self._sending)
            self._sending = -1
