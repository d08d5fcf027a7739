"""Minutes of whatever may happen to a pod, in an order that a seed decides, under a steady load.

The seed is printed: FERRYMAN_SEED repeats a run, FERRYMAN_CHAOS_SECONDS makes it longer.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

from tests.support.demo import Demo, running_demo
from tests.support.forwarding import Load, Program, ferry_forward

SECONDS = float(os.environ.get("FERRYMAN_CHAOS_SECONDS", "180"))
SETTLE = 30.0
WORKLOAD = "deployment/web"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as started:
        yield started


@pytest.fixture
def forward(demo: Demo) -> Iterator[Program]:
    with ferry_forward(demo.kubeconfig, WORKLOAD, ":http") as program:
        yield program
        assert program.stop() == 0, program.err


@pytest.fixture
def chance() -> random.Random:
    seed = os.environ.get("FERRYMAN_SEED") or str(time.time_ns())
    print(f"FERRYMAN_SEED={seed}")
    return random.Random(seed)


class Chaos:
    """What a cluster does to the pods behind a forward."""

    def __init__(self, demo: Demo, chance: random.Random) -> None:
        self._demo = demo
        self._chance = chance
        self.violent: list[float] = []  # when something was done that may cost what was delivered

    def delete(self) -> None:
        self._demo.kubectl("delete", "pod", self._a_pod(), "--wait=false", check=False)

    def restart(self) -> None:
        # kubectl refuses a second restart within a second.
        self._demo.kubectl("rollout", "restart", WORKLOAD, check=False)

    def scale(self) -> None:
        self._demo.kubectl("scale", WORKLOAD, f"--replicas={self._chance.randint(0, 4)}")

    def kill(self) -> None:
        self.violent.append(time.monotonic())
        self._demo.kill(self._a_pod())

    def outage(self) -> None:
        self.violent.append(time.monotonic())
        self._demo.outage(self._chance.uniform(0.2, 3))
        time.sleep(4)

    def settle(self) -> None:
        self._demo.kubectl("scale", WORKLOAD, "--replicas=3")
        self._demo.kubectl("rollout", "status", WORKLOAD, f"--timeout={SETTLE:.0f}s")

    def _a_pod(self) -> str:
        running = [
            pod["metadata"]["name"]
            for pod in self._demo.pods("app=web")
            if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] == "Running"
        ]
        if not running:
            self.settle()
            return self._a_pod()
        return str(self._chance.choice(running))


def test_no_request_fails_whatever_orderly_thing_happens(
    demo: Demo, forward: Program, chance: random.Random
) -> None:
    port, _ = forward.ports(2)
    chaos = Chaos(demo, chance)
    end = time.monotonic() + SECONDS
    with Load(port) as once, Load(port, connections=4) as kept:
        while time.monotonic() < end:
            chance.choice([chaos.delete, chaos.delete, chaos.restart, chaos.scale])()
            time.sleep(chance.uniform(0, 3))
            if chance.random() < 0.3:
                chaos.settle()  # so that nobody waits longer than a connection is held
        chaos.settle()
    assert len(once.requests) > SECONDS
    assert once.failed == [], forward.err[-100:]
    assert kept.failed == [], forward.err[-100:]


def test_after_violence_the_forward_is_whole_again(
    demo: Demo, forward: Program, chance: random.Random
) -> None:
    port, _ = forward.ports(2)
    chaos = Chaos(demo, chance)
    end = time.monotonic() + SECONDS
    with Load(port) as load:
        while time.monotonic() < end:
            chance.choice([chaos.delete, chaos.kill, chaos.outage, chaos.restart])()
            time.sleep(chance.uniform(0, 3))
        chaos.settle()
    delivered_before = [
        request
        for request in load.failed
        if any(request.began <= moment <= request.ended for moment in chaos.violent)
    ]
    assert load.failed == delivered_before, forward.err[-100:]
    with Load(port) as after:
        while len(after.requests) < 250:
            time.sleep(0.1)
    assert after.failed == [], forward.err[-100:]
