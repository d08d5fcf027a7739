"""Daemon sets, jobs and cron jobs: what is seen, and what is done about it."""

from datetime import timedelta

import pytest

from ferryman.api.resource import Object
from ferryman.demo.controllers import cronjob_plan, daemonset_plan, job_plan
from ferryman.demo.controllers.statefulset_plan import REVISION
from tests.support.demo_objects import NOW, pod, workload


def node(name: str = "node", *, ready: bool = True, **labels: str) -> Object:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {"conditions": conditions},
    }


def agents(*pods: Object, daemon_set: Object | None = None, nodes: tuple[Object, ...] = ()) -> (
    daemonset_plan.Plan
):  # fmt: skip
    daemon_set = daemon_set or workload("DaemonSet", "agent")
    return daemonset_plan.plan(daemon_set, pods, nodes or (node(),), NOW)


CURRENT = {"app": "agent", REVISION: agents().revision}


def names(objects: tuple[Object, ...]) -> list[str]:
    return [str(o["metadata"]["name"]) for o in objects]


def test_a_daemon_set_has_a_pod_on_each_node_that_is_fit() -> None:
    todo = agents(pod("a", labels=CURRENT), nodes=(node(), node("b"), node("c", ready=False)))
    assert todo.create == ("b",)
    assert todo.delete == ()
    assert todo.status["desiredNumberScheduled"] == 2
    assert todo.status["numberReady"] == 1
    assert todo.status["numberUnavailable"] == 1


def test_a_daemon_sets_node_selector_counts() -> None:
    daemon_set = workload("DaemonSet", "agent")
    daemon_set["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
    todo = agents(daemon_set=daemon_set, nodes=(node(), node("fast", disk="ssd")))
    assert todo.create == ("fast",)


def test_a_pod_on_no_such_node_and_one_that_ended_are_taken_away() -> None:
    elsewhere, ended = pod("x", labels=CURRENT, node="gone"), pod("y", phase="Failed", ready=False)
    todo = agents(elsewhere, ended)
    assert names(todo.delete) == ["x", "y"]
    assert todo.create == ()  # its place is taken until it is gone


def test_an_old_revision_is_replaced_one_pod_at_a_time() -> None:
    old = [pod(n, node=n, labels={REVISION: "old"}) for n in ("a", "b")]
    nodes = (node("a"), node("b"))
    assert names(agents(*old, nodes=nodes).delete) == ["a"]
    leaving = pod("a", node="a", deleting=True)
    assert agents(leaving, old[1], nodes=nodes).delete == ()
    daemon_set = workload("DaemonSet", "agent", updateStrategy={"type": "OnDelete"})
    assert agents(*old, daemon_set=daemon_set, nodes=nodes).delete == ()


def job(**spec: object) -> Object:
    made = workload("Job", "migrate", completions=1, parallelism=1, backoffLimit=1, **spec)
    return {**made, "metadata": {**made["metadata"], "creationTimestamp": "2026-03-01T10:00:00Z"}}


OVER = {"ready": False}


@pytest.mark.parametrize(
    ("spec", "phases", "create", "delete", "condition"),
    [
        ({}, [], 1, 0, ""),
        ({}, ["Running"], 0, 0, ""),
        ({}, ["Succeeded"], 0, 0, "Complete"),
        ({}, ["Failed"], 1, 0, ""),
        ({}, ["Failed", "Failed"], 0, 0, "Failed"),
        ({}, ["Failed", "Failed", "Running"], 0, 1, "Failed"),
        ({"completions": 3, "parallelism": 2}, ["Succeeded"], 2, 0, ""),
        ({"completions": 3, "parallelism": 2}, ["Succeeded", "Succeeded"], 1, 0, ""),
        ({"suspend": True}, ["Running"], 0, 1, "Suspended"),
        ({"parallelism": 0}, ["Running"], 0, 1, ""),
    ],
)
def test_a_job_runs_pods_until_enough_have_ended_well(
    spec: dict[str, object], phases: list[str], create: int, delete: int, condition: str
) -> None:
    wanted = job()
    wanted["spec"] |= spec
    pods = [pod(f"p{i}", phase=p, ready=p == "Running") for i, p in enumerate(phases)]
    todo = job_plan.plan(wanted, pods, NOW)
    assert (todo.create, len(todo.delete)) == (create, delete)
    conditions = [c["type"] for c in todo.status.get("conditions", ())]
    assert conditions == ([condition] if condition else [])
    assert ("completionTime" in todo.status) is (condition == "Complete")


def test_the_pod_of_a_job_that_leaves_is_made_up_for() -> None:
    assert job_plan.plan(job(), [pod("p", deleting=True)], NOW).create == 1


def cron_job(**spec: object) -> Object:
    return {
        "metadata": {
            "name": "nightly",
            "namespace": "default",
            "uid": "u",
            "creationTimestamp": "2026-03-01T11:59:30Z",
        },
        "spec": {
            "schedule": "* * * * *",
            "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}},
            **spec,
        },
    }


def test_a_cron_job_makes_the_minutes_job_once() -> None:
    todo = cronjob_plan.plan(cron_job(), [], NOW + timedelta(seconds=20))
    assert todo.create is not None
    assert todo.create["metadata"]["labels"] == {"a": "b"}
    assert todo.create["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert todo.wait == 40
    done = {**cron_job(), "status": todo.status}
    assert cronjob_plan.plan(done, [], NOW + timedelta(seconds=59)).create is None
    assert cronjob_plan.plan(done, [], NOW + timedelta(seconds=60)).create is not None


@pytest.mark.parametrize(
    "spec", [{"suspend": True}, {"schedule": "1 * * * *"}, {"concurrencyPolicy": "Forbid"}]
)
def test_a_cron_job_that_may_not_makes_none(spec: dict[str, object]) -> None:
    todo = cronjob_plan.plan(cron_job(**spec), [job()], NOW)
    assert todo.create is None
    assert len(todo.status["active"]) == 1


def test_a_cron_job_makes_nothing_for_the_minute_in_which_it_came() -> None:
    assert cronjob_plan.plan(cron_job(), [], NOW - timedelta(minutes=1)).create is None


def test_a_cron_job_may_replace_what_runs() -> None:
    ended = {**job(), "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    todo = cronjob_plan.plan(cron_job(concurrencyPolicy="Replace"), [job(), ended], NOW)
    assert len(todo.delete) == 1
    assert todo.create is not None
    assert "active" not in todo.status
