"""`ferry tap` as a process, for tests; with a state folder of its own in FERRY_HOME."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ferryman.intercept.swap import SAVED
from tests.support.unixservers import PATIENCE, inode

FERRY = [sys.executable, "-m", "ferryman.cli.main"]


class RunningTap:
    """A `ferry tap` that has said that it taps."""

    def __init__(self, process: subprocess.Popen[str], path: Path) -> None:
        self.process = process
        self.path = path
        self.original = inode(str(path) + SAVED)
        """Which file the server's socket is."""

    @property
    def guardian(self) -> int:
        """Its guardian's process, by what --status says."""
        said = ferry("tap", "--status", str(self.path)).stdout
        return int(said.rpartition("guarded by ")[2])

    def kill(self) -> float:
        """Kill the main process; the seconds until the server's socket has its path again."""
        began = time.monotonic()
        self.process.kill()
        while inode(self.path) != self.original:
            assert time.monotonic() < began + PATIENCE, "it was not put back"
        return time.monotonic() - began

    def kill_both(self) -> None:
        """Kill the main process and the guardian: nobody is left to put anything back."""
        guardian = self.guardian
        os.kill(self.process.pid, signal.SIGSTOP)  # or it would stand in for its guardian
        os.kill(guardian, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Its exit code and what it said on stderr, once it has ended."""
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said


@contextmanager
def tap(path: Path, *options: str) -> Iterator[RunningTap]:
    """The same state folder as that of FERRY_HOME."""
    process = subprocess.Popen(
        [*FERRY, "tap", *options, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith(f"Tapping {path};"), said + process.communicate()[1]
        yield RunningTap(process, path)
    finally:
        process.kill()
        process.communicate()


def ferry(
    *words: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A `ferry` command that ends by itself."""
    return subprocess.run(
        [*FERRY, *words],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
