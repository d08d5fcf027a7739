"""What a test can leave behind in this process: child processes, threads, sockets.

``tests/conftest.py`` takes a census before and after every test and fails the one that left
something. Sessions and modules may own long-lived things (a demo cluster): their fixtures are set
up before the census of the first test that uses them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

GRACE = 2.0
"""Seconds in which what is already ending may end; spent only where something is left."""


@dataclass(frozen=True, slots=True)
class Census:
    """What is there now; the parts that this system cannot tell are empty."""

    children: frozenset[int]
    threads: frozenset[threading.Thread]
    sockets: frozenset[tuple[int, int]]  # (descriptor, inode): a descriptor may be used again

    @classmethod
    def take(cls) -> Census:
        return cls(frozenset(_children()), frozenset(threading.enumerate()), frozenset(_sockets()))


def left_since(before: Census) -> list[str]:
    """What is there that was not before, in words; waits out ``GRACE`` before it says so."""
    deadline = time.monotonic() + GRACE
    while True:
        left = _difference(before, Census.take())
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.01)


def _difference(before: Census, after: Census) -> list[str]:
    return [
        *(f"process {pid}: {_command(pid)}" for pid in after.children - before.children),
        *(f"thread {thread.name}" for thread in after.threads - before.threads),
        *(_describe(descriptor) for descriptor, _ in after.sockets - before.sockets),
    ]


def _children() -> Iterator[int]:
    with contextlib.suppress(OSError):  # no /proc: not Linux
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError):  # the thread ended meanwhile
                with open(f"/proc/self/task/{thread}/children") as children:
                    yield from map(int, children.read().split())


def _sockets() -> Iterator[tuple[int, int]]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            for descriptor in map(int, os.listdir(folder)):
                with contextlib.suppress(OSError):  # listdir's own descriptor is gone by now
                    status = os.fstat(descriptor)
                    if stat.S_ISSOCK(status.st_mode):
                        yield descriptor, status.st_ino
            return


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/cmdline", "rb") as command:
            return command.read().replace(b"\0", b" ").decode(errors="replace") or "(ended)"
    return "(gone)"


def _describe(descriptor: int) -> str:
    with contextlib.suppress(OSError):
        with socket.socket(fileno=os.dup(descriptor)) as twin:
            listening = twin.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            return f"{'listening ' if listening else ''}socket {descriptor} at {twin.getsockname()}"
    return f"socket {descriptor}"
