"""What it means to run somebody's command as a shell would: exit codes, and whose Ctrl-C is.

For the commands after ``--``: of ``forward`` (``command``, with asyncio) and of ``tap``
(``beside``, without).
"""

from __future__ import annotations

import os

from ferryman.errors import UserError

NOT_FOUND, NOT_STARTED, SIGNALLED = 127, 126, 128
"""A shell's exit codes; the last is added to a signal's number."""
LAST_WORDS = 5.0
"""Seconds that a command gets to end by itself when what it uses has failed."""


class CommandFailed(UserError):
    """The command could not be started; ``code`` is what a shell would end with."""

    def __init__(self, program: str, cause: OSError) -> None:
        super().__init__(f"cannot run {program}: {cause.strerror}")
        self.code = NOT_FOUND if isinstance(cause, FileNotFoundError) else NOT_STARTED


def has_terminal() -> bool:
    """Whether we are a terminal's foreground group: then it sends Ctrl-C to the command itself."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
