from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ferryman.api.resource import Object
from ferryman.demo.kubelet.process import Exit, program_of
from ferryman.demo.kubelet.status import ContainerState, pod_status
from tests.support.demo_objects import NOW, pod

WELL, KILLED = Exit(0, NOW, NOW), Exit(137, NOW, NOW)
CREATING = ContainerState("main", "web")
UP = replace(CREATING, started=NOW, ready=True, id="1")


def status_of(*containers: ContainerState, before: Object | None = None) -> Object:
    return pod_status(before or pod("p"), containers, host_ip="h", pod_ip="i", start=NOW, now=NOW)


@pytest.mark.parametrize(
    ("containers", "phase", "ready"),
    [
        ((CREATING,), "Pending", "False"),
        ((UP,), "Running", "True"),
        ((replace(UP, ready=False),), "Running", "False"),
        ((UP, CREATING), "Pending", "False"),
        ((UP, replace(UP, ready=False)), "Running", "False"),
        ((replace(CREATING, last=KILLED, waiting="CrashLoopBackOff"),), "Running", "False"),
        ((replace(CREATING, ended=WELL),), "Succeeded", "False"),
        ((replace(CREATING, ended=WELL), replace(CREATING, ended=KILLED)), "Failed", "False"),
        ((UP, replace(CREATING, ended=KILLED)), "Running", "False"),
    ],
)
def test_the_phase_and_readiness_follow_the_containers(
    containers: tuple[ContainerState, ...], phase: str, ready: str
) -> None:
    status = status_of(*containers)
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert (status["phase"], conditions["Ready"]) == (phase, ready)


def test_a_container_tells_its_state_and_its_last_end() -> None:
    waiting = replace(CREATING, waiting="CrashLoopBackOff", message="soon", last=KILLED, restarts=2)
    (shown,) = status_of(waiting)["containerStatuses"]
    assert shown["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "soon"}}
    assert shown["lastState"]["terminated"]["exitCode"] == 137
    assert shown["lastState"]["terminated"]["reason"] == "Error"
    assert shown["restartCount"] == 2
    (shown,) = status_of(UP)["containerStatuses"]
    assert set(shown["state"]) == {"running"}
    assert shown["containerID"] == "demo://1"


def test_a_conditions_time_moves_only_when_it_turns() -> None:
    before = pod("p")
    before["status"] = status_of(replace(UP, ready=False), before=before)
    later = NOW + timedelta(minutes=1)
    after = pod_status(before, [UP], host_ip="h", pod_ip="i", start=NOW, now=later)
    times = {c["type"]: c["lastTransitionTime"] for c in after["conditions"]}
    assert times["Ready"] == "2026-03-01T12:01:00Z"
    assert times["PodScheduled"] == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("image", "program"),
    [
        ("web", "web"),
        ("example-go:v2", "example-go"),
        ("registry.example:5000/team/cache@sha256:00", "cache"),
        ("nginx", None),
        ("", None),
        ("webx", None),
    ],
)
def test_an_image_stands_for_a_program_by_its_last_part(image: str, program: str | None) -> None:
    assert program_of(image) == program
