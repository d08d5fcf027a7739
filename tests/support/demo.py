"""A demo cluster as a real subprocess, for tests and the bench.

    with running_demo(tmp_path) as demo:
        subprocess.run([kubectl, "--kubeconfig", demo.kubeconfig, "get", "pods"])

The fixtures that use it should be module- or session-scoped where tests allow: a demo takes a
second to start. ``Demo.post``, ``Demo.stats`` and ``Demo.kubectl`` are shorthands for its hooks.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.peers import require

START = 60.0
STOP = 30.0


@dataclass
class Demo:
    """A running demo. ``kubeconfig`` is the file's path; ``lines`` what it has printed so far."""

    process: subprocess.Popen[str]
    kubeconfig: str
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def server(self) -> str:
        """The API's URL."""
        return str(self._config()["clusters"][0]["cluster"]["server"])

    @property
    def token(self) -> str:
        """The bearer token."""
        return str(self._config()["users"][0]["user"]["token"])

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """A JSON request to the API; the answer's JSON, or its text if it is none."""
        ca = self._config()["clusters"][0]["cluster"]["certificate-authority-data"]
        context = ssl.create_default_context(cadata=base64.b64decode(ca).decode())
        request = urllib.request.Request(
            self.server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            text = answer.read().decode()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def outage(self, seconds: float) -> None:
        """Close the API's listener and all its connections for so long; pods live on."""
        self.request("POST", f"/demo/outage?seconds={seconds}")

    def kill(self, pod: str, namespace: str = "default") -> None:
        """kill -9 of a pod's process; the kubelet restarts it."""
        self.request("POST", f"/demo/kill?namespace={namespace}&pod={pod}")

    def speak(self, *wires: str) -> None:
        """Speak only these of tunnel, spdy and channels from now on."""
        self.request("POST", f"/demo/wires?speak={','.join(wires)}")

    def refuse(self, *rules: str) -> None:
        """Forbid these rules, such as ``list:pods``, from now on; without any, none."""
        self.request("POST", f"/demo/refuse?rules={','.join(rules)}")

    def expire(self, seconds: float) -> None:
        """Refuse the token for so long."""
        self.request("POST", f"/demo/expire?seconds={seconds}")

    def stats(self) -> dict[str, Any]:
        """Counters of requests and wires."""
        stats = self.request("GET", "/demo/stats")
        assert isinstance(stats, dict)
        return stats

    def pods(self, selector: str = "", namespace: str = "default") -> list[dict[str, Any]]:
        """The pods there are, by label selector."""
        query = f"?labelSelector={urllib.parse.quote(selector)}" if selector else ""
        listed = self.request("GET", f"/api/v1/namespaces/{namespace}/pods{query}")
        return list(listed["items"])

    def command(self, *arguments: str) -> list[str]:
        """A kubectl command line on this cluster."""
        cache = str(Path(self.kubeconfig).parent / "kubectl-cache")
        return [
            require("kubectl"), "--kubeconfig", self.kubeconfig, "--cache-dir", cache, *arguments,
        ]  # fmt: skip

    def kubectl(
        self, *arguments: str, check: bool = True, timeout: float = 60, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl to its end; what it said is in the exception's message if it failed."""
        done = subprocess.run(
            self.command(*arguments), input=text, capture_output=True, text=True, timeout=timeout
        )
        if check and done.returncode:
            raise AssertionError(
                f"kubectl {' '.join(arguments)} ended with {done.returncode}: "
                f"{done.stdout}{done.stderr}"
            )
        return done

    def _config(self) -> dict[str, Any]:
        loaded = yaml.safe_load(Path(self.kubeconfig).read_text())
        assert isinstance(loaded, dict)
        return loaded


@contextlib.contextmanager
def running_demo(folder: Path, *arguments: str, command: Sequence[str] = ()) -> Iterator[Demo]:
    """Start `ferry demo --cluster-only`, wait until it is ready, stop it with SIGTERM.

    Further ``arguments`` go to the verb. It fails if the demo ends early, and at the end if it
    does not stop by itself.
    """
    kubeconfig = str(folder / "kubeconfig")
    process = subprocess.Popen(
        [
            *(command or [sys.executable, "-m", "ferryman.cli.main"]),
            "demo", "--cluster-only", "--kubeconfig", kubeconfig, *arguments,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    demo = Demo(process, kubeconfig)
    ready = threading.Event()
    readers = (
        threading.Thread(target=_read_lines, args=(process.stdout, demo.lines, ready)),
        threading.Thread(target=_read_lines, args=(process.stderr, demo.errors, None)),
    )
    for reader in readers:
        reader.start()
    try:
        if not ready.wait(START) or process.poll() is not None:
            raise AssertionError(f"the demo did not start: {demo.lines} {demo.errors}")
        yield demo
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the demo did not stop: {demo.errors}") from None
        finally:
            for reader in readers:
                reader.join(5)


def _read_lines(stream: Any, into: list[str], ready: threading.Event | None) -> None:
    with stream:
        for line in stream:
            into.append(line.rstrip("\n"))
            if ready and line.startswith("demo cluster ready: "):
                ready.set()
    if ready:
        ready.set()  # the end: whoever waits looks at the process
