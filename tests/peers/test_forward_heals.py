"""What `ferry forward` is for: its users do not notice when pods come and go.

A real demo, real `ferry forward` processes, a request every 20 ms; beside them kubectl
port-forward in a `while true` loop, whose failures are reported for comparison, not judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.demo import Demo, running_demo
from tests.support.forwarding import Load, Program, ferry_forward, free_port, looping

HEALED = 30.0


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture
def forward(demo: Demo) -> Iterator[Program]:
    with ferry_forward(demo.kubeconfig, "deploy/example-go", ":8000") as program:
        yield program
        assert program.stop() == 0, program.err


def the_pod(demo: Demo) -> str:
    """The name of example-go's pod that stays."""
    [pod] = [p for p in demo.pods("app=example-go") if "deletionTimestamp" not in p["metadata"]]
    return str(pod["metadata"]["name"])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HEALED
    while not condition():
        assert time.monotonic() < deadline, "it did not heal"
        time.sleep(0.05)


def report(record: Callable[[str, object], None], **loads: Load) -> None:
    """What each load saw, into the test's report and onto its output."""
    for name, load in loads.items():
        late = max((r.ended - r.began for r in load.requests), default=0.0)
        text = f"{len(load.failed)} of {len(load.requests)} failed, the slowest took {late:.2f} s"
        record(name, text)
        print(f"{name}: {text}")
        for request in load.failed[:5]:
            print("   ", f"{request.ended - request.began:.3f} s", request.error)


def delete_pod(demo: Demo) -> None:
    demo.request("DELETE", f"/api/v1/namespaces/default/pods/{the_pod(demo)}")


def restart(demo: Demo) -> None:
    demo.kubectl("rollout", "restart", "deployment/example-go")


@pytest.mark.parametrize("replace", [delete_pod, restart], ids=["deleted", "rollout-restarted"])
def test_no_request_fails_while_the_pod_is(
    demo: Demo,
    forward: Program,
    replace: Callable[[Demo], None],
    record_property: Callable[[str, object], None],
) -> None:
    port, _ = forward.ports(2)
    rival_port = free_port()
    rival = demo.command("port-forward", "deploy/example-go", f"{rival_port}:8000")
    before = the_pod(demo)
    with looping(rival):
        with Load(port) as ours, Load(port, connections=4) as kept, Load(rival_port) as theirs:
            until(lambda: before in ours.answers() and before in kept.answers())
            replace(demo)
            until(lambda: len(ours.answers()) > 1 and len(kept.answers()) > 1)
            after = ours.answers()[-1]
            until(lambda: sum(r.answer == after for r in ours.requests) > 100)
    report(record_property, forward=ours, kept_alive=kept, kubectl_in_a_loop=theirs)
    assert ours.failed == []
    assert kept.failed == []
    assert ours.answers() == [before, after] == kept.answers()
    forward.said(f"{before} is going away")
    forward.said(f"now forwarding to {after}")


def test_a_killed_process_costs_at_most_what_was_delivered_to_it(
    demo: Demo, forward: Program, record_property: Callable[[str, object], None]
) -> None:
    port, _ = forward.ports(2)
    rival_port = free_port()
    rival = demo.command("port-forward", "deploy/example-go", f"{rival_port}:8000")
    pod = the_pod(demo)
    with looping(rival), Load(port) as ours, Load(rival_port) as theirs:
        until(lambda: pod in ours.answers() and pod in theirs.answers())
        demo.kill(pod)
        killed = time.monotonic()
        until(lambda: sum(r.began > killed and not r.error for r in ours.requests) > 100)
    report(record_property, forward=ours, kubectl_in_a_loop=theirs)
    assert ours.failed_after(killed) == []
    assert ours.answers() == [pod]  # the kubelet restarts the container in place


def test_an_outage_of_the_api_costs_at_most_what_was_delivered_before(
    demo: Demo, forward: Program, record_property: Callable[[str, object], None]
) -> None:
    port, _ = forward.ports(2)
    rival_port = free_port()
    rival = demo.command("port-forward", "deploy/example-go", f"{rival_port}:8000")
    with looping(rival), Load(port) as ours, Load(rival_port) as theirs:
        until(lambda: bool(ours.answers() and theirs.answers()))
        demo.outage(5)
        begun = time.monotonic()
        forward.said("the pods known so far stay in use")
        forward.said("the cluster can be reached again")
        back = time.monotonic()
        until(lambda: sum(r.began > back and not r.error for r in ours.requests) > 100)
    report(record_property, forward=ours, kubectl_in_a_loop=theirs)
    assert ours.failed_after(begun) == []
    assert back - begun > 4


def test_connections_wait_while_there_is_no_pod(demo: Demo, forward: Program) -> None:
    port, _ = forward.ports(2)
    gone = the_pod(demo)
    demo.kubectl("scale", "deployment/example-go", "--replicas=0")
    try:
        forward.said("no ready pod for deployment/example-go: connections wait (up to 30s)")
        until(lambda: demo.pods("app=example-go") == [])
        with Load(port) as load:
            until(lambda: load.begun > 50)
            assert load.requests == []
            demo.kubectl("scale", "deployment/example-go", "--replicas=1")
            until(lambda: len(load.requests) > 100)
    finally:
        demo.kubectl("scale", "deployment/example-go", "--replicas=1")
    assert load.failed == []
    assert load.answers() == [the_pod(demo)] != [gone]
    forward.said(f"now forwarding to {the_pod(demo)}")


def test_a_program_that_ends_at_once_is_rolled_without_a_failed_request(
    demo: Demo, record_property: Callable[[str, object], None]
) -> None:
    with ferry_forward(demo.kubeconfig, "service/web", ":http") as forward:
        port = forward.ports(2)[0]
        with Load(port) as ours, Load(port, connections=4) as kept:
            until(lambda: bool(ours.answers() and kept.answers()))
            demo.kubectl("rollout", "restart", "deployment/web")
            demo.kubectl("rollout", "status", "deployment/web")
            rolled = time.monotonic()
            until(lambda: sum(r.began > rolled for r in ours.requests) > 50)
        assert forward.stop() == 0
    report(record_property, forward=ours, kept_alive=kept)
    assert ours.failed == []
    assert kept.failed == []
    assert len(ours.answers()) > 1
