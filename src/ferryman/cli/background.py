"""Goes into the background once everything is forwarded: the ports are printed, then the shell has
its prompt back.

The process that goes on is a child that shares our terminal until then, so that errors, and
questions that a credential plugin asks, reach their person. What is left is that process and its
log, which nobody else may read.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable

from ferryman.cli.output import note

_LEFT = b"1"
_INTERRUPTED = 130


def run(serve: Callable[[Callable[[], None]], int]) -> int:
    """Call ``serve`` in a child, which calls what it is given once it may be left alone.

    Returns 0 then, in the parent; if the child ends before, its exit code.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        return serve(lambda: _leave(writing))
    os.close(writing)
    try:
        if os.read(reading, 1) == _LEFT:
            return 0
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except KeyboardInterrupt:  # the child has it too, and stops
        os.waitpid(child, 0)
        return _INTERRUPTED
    finally:
        os.close(reading)


def _leave(writing: int) -> None:
    """Let go of the terminal and of the parent."""
    log, path = tempfile.mkstemp(prefix="ferry-forward-", suffix=".log")  # made with mode 0600
    note(f"in the background as process {os.getpid()}, with its log in {path}")
    note(f"stop it with: kill {os.getpid()}")
    sys.stdout.flush()
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)
    os.write(writing, _LEFT)
    os.close(writing)
