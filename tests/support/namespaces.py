"""Network namespaces of a test's own, and a cable between two of them that can be cut.

    with namespace("a") as a, namespace("b") as b, cable(a, b) as link:
        with inside(b):          # this thread, and what it starts: sockets, threads, programs
            ...
        link.cut()               # packets vanish; nobody is told

Linux only, and only as root: elsewhere ``require`` skips the test.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import peers

_CLONE_NEWNET = 0x40000000
_FOLDER = "/run/netns"


def require() -> None:
    """Skip the test where there are no namespaces to be had."""
    if sys.platform != "linux":
        pytest.skip("network namespaces are Linux's")
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    peers.require("ip")
    probe = f"ferryman-probe-{os.getpid()}"
    made = _try_ip("netns", "add", probe)
    _try_ip("netns", "del", probe)
    if made:
        pytest.skip(f"this machine lets nobody make network namespaces: {made}")


@contextlib.contextmanager
def namespace(name: str) -> Iterator[str]:
    """One of its own, with nothing in it but loopback; it is gone in the end."""
    full = f"ferryman-{os.getpid()}-{name}"
    _ip("netns", "add", full)
    try:
        _ip("-n", full, "link", "set", "lo", "up")
        yield full
    finally:
        _ip("netns", "del", full)


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Move this thread, and the threads and processes that it starts, into a namespace."""
    with open("/proc/thread-self/ns/net") as before, open(f"{_FOLDER}/{name}") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(before.fileno())


@dataclass(frozen=True)
class Cable:
    """``near`` and ``far`` are the ends' addresses."""

    near: str
    far: str
    cut: Callable[[], None]
    mend: Callable[[], None]


@contextlib.contextmanager
def cable(near: str, far: str) -> Iterator[Cable]:
    """Connect two namespaces. Addresses are those that RFC 5737 keeps for examples.

    The ends know each other's hardware address for good. So when it is cut, at the far end, the
    near one's packets vanish: there is no "no route to host", as there would be by and by.
    """
    ends = ((near, "192.0.2.1", "02:00:00:00:00:01"), (far, "192.0.2.2", "02:00:00:00:00:02"))
    names = [f"fm{os.getpid()}{side}" for side in "nf"]
    _ip("link", "add", names[0], "netns", near, "type", "veth", "peer", names[1], "netns", far)
    for (where, address, hardware), device in zip(ends, names, strict=True):
        _ip("-n", where, "link", "set", device, "address", hardware)
        _ip("-n", where, "addr", "add", f"{address}/30", "dev", device)

    def connect() -> None:
        for (where, _, _), device in zip(ends, names, strict=True):
            _ip("-n", where, "link", "set", device, "up")
        for (where, _, _), (_, address, hardware), device in zip(
            ends, reversed(ends), names, strict=True
        ):
            _ip(
                "-n", where, "neigh", "replace", address, "lladdr", hardware, "dev", device,
                "nud", "permanent",
            )  # fmt: skip

    connect()
    yield Cable(
        ends[0][1], ends[1][1], lambda: _ip("-n", far, "link", "set", names[1], "down"), connect
    )


@contextlib.contextmanager
def names_of(name: str) -> Iterator[Names]:
    """Files to stand in for /etc/hosts and /etc/resolv.conf: see ``Names``."""
    with tempfile.TemporaryDirectory(prefix="ferryman-names-") as folder:
        yield Names(name, Path(folder))


class Names:
    """What a program that is started by ``command`` can resolve: ``name``, or nothing.

    It asks a name server at 127.0.0.1, which is in its namespace or not, as the test likes.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._hosts = folder / "hosts"
        self._resolver = folder / "resolv.conf"
        self._resolver.write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:3\n")
        self.resolve(True)

    def resolve(self, yes: bool) -> None:
        """Whether the name leads to 127.0.0.1 from now on. The file stays the same one: it is
        bound into the program's view.
        """
        self._hosts.write_text(f"127.0.0.1 localhost {self._name if yes else ''}\n")

    def command(self, command: Sequence[str]) -> list[str]:
        """The command with these files in the place of the system's, for it alone."""
        script = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && '
        return [
            "unshare", "--mount", "--propagation", "private",
            "sh", "-c", script + 'shift 2 && exec "$@"', "sh",
            str(self._hosts), str(self._resolver), *command,
        ]  # fmt: skip


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> None:
    failure = _try_ip(*arguments)
    assert not failure, f"ip {' '.join(arguments)}: {failure}"


def _try_ip(*arguments: str) -> str:
    command = [peers.require("ip"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.stderr.strip() if done.returncode else ""
