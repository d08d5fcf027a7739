"""The README's recording: a pod replaced under load, as it really went.

``python -m bench.recording`` starts a demo cluster whose pods need a second to start, forwards to
one, asks for a page every 20 ms on new connections, deletes the pod and then restarts the
deployment. Prints what was said and when, in seconds since the start.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.support.demo import Demo, running_demo

INTERVAL = 0.02
QUIET = 2.0  # seconds between the things that we do
WORKLOAD = "deployment/example-go"
START_DELAY = 1.0  # seconds that a pod needs before it listens


@dataclass
class Recording:
    """Lines with the time at which they were said."""

    started: float = field(default_factory=time.monotonic)
    lines: list[tuple[float, str]] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append((time.monotonic() - self.started, line.rstrip()))

    def text(self) -> str:
        return "\n".join(f"{when:6.2f}  {line}" for when, line in sorted(self.lines))


@dataclass
class Load:
    """Requests at a fixed pace, each in a thread and on a connection of its own."""

    port: int
    say: Callable[[str], None]
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    pod: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        threads: list[threading.Thread] = []
        begun = time.monotonic()
        while not self.stopping.wait(max(0.0, begun + INTERVAL * len(threads) - time.monotonic())):
            threads.append(threading.Thread(target=self._ask))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _ask(self) -> None:
        begun = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/")
            pod = connection.getresponse().read().decode().strip()
        except OSError as error:
            self.failures.append(repr(error))
            return
        finally:
            connection.close()
        self.seconds.append(time.monotonic() - begun)
        if pod != self.pod:
            self.pod = pod
            self.say(f"  answered by {pod}")


def record(demo: Demo) -> str:
    """Replace pods under load; returns what happened."""
    recording = Recording()
    recording.say(f"$ ferry forward {WORKLOAD} :8000")
    ferry = str(Path(sys.executable).with_name("ferry"))
    command = [ferry, "forward", "--kubeconfig", demo.kubeconfig, WORKLOAD, ":8000"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as forward:
        assert forward.stdout
        first = forward.stdout.readline()
        recording.say(first)
        found = re.search(r":(\d+) ->", first)
        assert found, first
        listener = threading.Thread(target=_listen, args=(forward.stdout, recording.say))
        load = Load(int(found[1]), recording.say)
        asking = threading.Thread(target=load.run)
        listener.start()
        asking.start()
        time.sleep(QUIET)
        _kubectl(demo, recording, "delete", "pod", load.pod, "--wait=false")
        time.sleep(QUIET + START_DELAY)
        _kubectl(demo, recording, "rollout", "restart", WORKLOAD)
        time.sleep(QUIET + START_DELAY)
        load.stopping.set()
        asking.join()
        asked = len(load.seconds) + len(load.failures)
        recording.say(
            f"{asked} requests in {asked * INTERVAL:.0f} s, {len(load.failures)} failed; "
            f"the slowest took {max(load.seconds) * 1000:.0f} ms"
        )
        forward.terminate()
        listener.join()
    return recording.text()


def _listen(stream: IO[str], say: Callable[[str], None]) -> None:
    for line in stream:
        say(line)


def _kubectl(demo: Demo, recording: Recording, *arguments: str) -> None:
    recording.say(f"$ kubectl {' '.join(arguments)}")
    demo.kubectl(*arguments)


def _slow_down(demo: Demo) -> None:
    container = {"name": "example-go", "env": [{"name": "START_DELAY", "value": str(START_DELAY)}]}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    demo.kubectl("patch", WORKLOAD, "--patch", json.dumps(patch))
    demo.kubectl("rollout", "status", WORKLOAD, "--timeout=60s")
    while len(demo.pods("app=example-go")) > 1:
        time.sleep(0.05)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ferryman-recording-") as folder:
        with running_demo(Path(folder)) as demo:
            _slow_down(demo)
            print(record(demo))
    return 0


if __name__ == "__main__":
    sys.exit(main())
