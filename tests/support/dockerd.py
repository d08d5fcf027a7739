"""A real dockerd of its own: no bridge, no iptables, the vfs driver, everything in one folder.

Its one image is made of Debian's static busybox. It may be stopped and started again.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import peers

PATIENCE = 60.0
BUSYBOX = "/bin/busybox"
IMAGE = "box"


class Dockerd:
    """A running daemon; its socket is at ``path``, and leads there in ``environment``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "docker.sock"
        self.environment = {
            **{name: value for name, value in os.environ.items() if "DOCKER" not in name},
            "DOCKER_HOST": f"unix://{self.path}",
            "DOCKER_CONFIG": str(folder / "config"),
        }
        self._program = peers.require("dockerd")
        # Debian's: another client on PATH may be too new for this server.
        self._client = shutil.which("docker", path="/usr/bin") or peers.require("docker")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers; skip, loudly, if this kernel has no place for it."""
        words = [
            *(self._program, "--bridge=none", "--iptables=false", "--ip6tables=false"),
            *("--storage-driver=vfs", f"--data-root={self.folder}/data"),
            *(f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/pid"),
            *("-H", f"unix://{self.path}", "--shutdown-timeout=1"),
        ]
        self._log = self.folder / "log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                words, stdout=log, stderr=log, env=self.environment, start_new_session=True
            )
        deadline = time.monotonic() + PATIENCE
        while self.docker("version", check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace")[-2000:]
                self.stop()
                pytest.skip(f"NO DOCKERD: it cannot run on this machine: {said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """As systemd stops it: it removes its socket."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def words(self, *words: str) -> list[str]:
        """A command line of the docker client."""
        return [self._client, *words]

    def docker(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the docker client against the socket's path."""
        done = subprocess.run(
            self.words(*words),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert not check or done.returncode == 0, f"docker {words}: {done.stderr}"
        return done

    def import_image(self) -> None:
        """An image with a shell and its tools."""
        subprocess.run(
            self.words("import", "-", IMAGE),
            input=_root(),
            env=self.environment,
            capture_output=True,
            check=True,
        )


def _root() -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(BUSYBOX, "bin/busybox")
        for name in ("sh", "cat", "echo", "sleep", "wc"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return archive.getvalue()


@contextmanager
def dockerd(folder: Path) -> Iterator[Dockerd]:
    """A daemon with its image."""
    if os.geteuid() != 0:
        pytest.skip("NO DOCKERD: it needs root")
    if not os.path.exists(BUSYBOX):
        pytest.skip("NO DOCKERD: its image needs busybox-static (tools/install-peers)")
    daemon = Dockerd(folder)
    try:
        daemon.import_image()
        yield daemon
    finally:
        daemon.stop()
