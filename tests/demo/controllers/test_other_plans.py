from __future__ import annotations

import pytest

from ferryman.api.resource import Object
from ferryman.demo.controllers import (
    endpointslice_plan,
    replicaset_plan,
    scheduler_plan,
    statefulset_plan,
)
from ferryman.demo.controllers.objects import safe_hash
from ferryman.demo.controllers.statefulset_plan import REVISION
from tests.support.demo_objects import NOW, pod, workload

READY_NODE = {
    "metadata": {"name": "node", "labels": {"disk": "ssd"}},
    "spec": {},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}


def names(pods: tuple[Object, ...]) -> list[str]:
    return [str(p["metadata"]["name"]) for p in pods]


class TestReplicaSet:
    @pytest.mark.parametrize(
        ("wanted", "pods", "create", "delete"),
        [
            (2, [], 2, []),
            (1, [pod("a")], 0, []),
            (1, [pod("a", deleting=True)], 1, []),
            (1, [pod("a", phase="Failed")], 1, []),
            (0, [pod("a"), pod("b")], 0, ["a", "b"]),
            (1, [pod("ready"), pod("unready", ready=False)], 0, ["unready"]),
            (1, [pod("p", phase="Pending", ready=False), pod("r", ready=False)], 0, ["p"]),
            (1, [pod("assigned", ready=False), pod("not", node="", ready=False)], 0, ["not"]),
            (
                1,
                [
                    pod("old", created="2026-03-01T10:00:00Z"),
                    pod("new", created="2026-03-01T11:00:00Z"),
                ],
                0,
                ["new"],
            ),
        ],
    )
    def test_it_makes_what_is_missing_and_deletes_what_does_the_least(
        self, wanted: int, pods: list[Object], create: int, delete: list[str]
    ) -> None:
        todo = replicaset_plan.plan(workload("ReplicaSet", "r", replicas=wanted), pods, NOW)
        assert (todo.create, names(todo.delete)) == (create, delete)

    def test_available_is_ready_for_long_enough(self) -> None:
        fresh = pod("fresh", created="2026-03-01T11:59:58Z")
        old = pod("old")
        owner = workload("ReplicaSet", "r", replicas=3, minReadySeconds=10)
        status = replicaset_plan.plan(owner, [fresh, old, pod("x", deleting=True)], NOW).status
        assert status["replicas"] == 2
        assert status["readyReplicas"] == 2
        assert status["availableReplicas"] == 1
        assert status["terminatingReplicas"] == 1

    def test_one_that_is_going_away_makes_nothing(self) -> None:
        owner = workload("ReplicaSet", "r", replicas=3)
        owner["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
        todo = replicaset_plan.plan(owner, [], NOW)
        assert (todo.create, todo.delete) == (0, ())


class TestStatefulSet:
    def pods(self, owner: Object, *states: str) -> list[Object]:
        """One pod an ordinal: r(eady), u(nready), d(eleting), o(ld revision, ready), - missing."""
        revision = f"{owner['metadata']['name']}-{safe_hash(owner['spec']['template'])}"
        return [
            pod(
                f"s-{number}",
                ready=state in "ro",
                deleting=state == "d",
                labels={REVISION: "old" if state == "o" else revision},
            )
            for number, state in enumerate(states)
            if state != "-"
        ]

    @pytest.mark.parametrize(
        ("replicas", "states", "create", "delete"),
        [
            (3, "", [0], []),
            (3, "u", [], []),
            (3, "r", [1], []),
            (3, "r-r", [1], []),
            (3, "d", [], []),
            (1, "rrr", [], ["s-2"]),
            (1, "rrd", [], []),
            (3, "ooo", [], ["s-2"]),
            (3, "ood", [], []),
            (3, "oou", [], []),
            (3, "oor", [], ["s-1"]),
            (3, "orr", [], ["s-0"]),
            (3, "rrr", [], []),
        ],
    )
    def test_pods_come_and_go_in_order(
        self, replicas: int, states: str, create: list[int], delete: list[str]
    ) -> None:
        owner = workload("StatefulSet", "s", replicas=replicas)
        todo = statefulset_plan.plan(owner, self.pods(owner, *states), NOW)
        assert (list(todo.create), names(todo.delete)) == (create, delete)

    def test_parallel_ones_do_not_wait(self) -> None:
        owner = workload("StatefulSet", "s", replicas=3, podManagementPolicy="Parallel")
        todo = statefulset_plan.plan(owner, self.pods(owner, "u"), NOW)
        assert todo.create == (1, 2)

    def test_a_partition_and_on_delete_hold_back(self) -> None:
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
        owner = workload("StatefulSet", "s", replicas=3, updateStrategy=rolling)
        assert names(statefulset_plan.plan(owner, self.pods(owner, *"ooo"), NOW).delete) == ["s-2"]
        assert statefulset_plan.plan(owner, self.pods(owner, *"oor"), NOW).delete == ()
        owner["spec"]["updateStrategy"] = {"type": "OnDelete"}
        assert statefulset_plan.plan(owner, self.pods(owner, *"ooo"), NOW).delete == ()

    def test_the_current_revision_follows_when_all_are_updated(self) -> None:
        owner = workload("StatefulSet", "s", replicas=2)
        owner["status"] = {"currentRevision": "s-old"}
        halfway = statefulset_plan.plan(owner, self.pods(owner, *"or"), NOW).status
        assert halfway["currentRevision"] == "s-old"
        assert halfway["updatedReplicas"] == 1
        assert halfway["currentReplicas"] == 1
        whole = statefulset_plan.plan(owner, self.pods(owner, *"rr"), NOW).status
        assert whole["currentRevision"] == whole["updateRevision"]


SERVICE: Object = {
    "metadata": {"name": "svc", "namespace": "default", "uid": "s1"},
    "spec": {
        "selector": {"app": "x"},
        "ports": [{"name": "web", "port": 80, "targetPort": "http", "protocol": "TCP"}],
    },
}


class TestEndpointSlice:
    def test_it_has_the_selected_pods_and_says_which_are_ready(self) -> None:
        pods = [
            pod("ready", ip="127.9.9.2"),
            pod("unready", ready=False, ip="127.9.9.3"),
            pod("going", deleting=True, ip="127.9.9.4"),
            pod("other", labels={"app": "y"}),
            pod("no-address", ip=""),
            pod("over", phase="Succeeded"),
        ]
        made = endpointslice_plan.plan(SERVICE, pods)
        assert [(e["targetRef"]["name"], *e["conditions"].values()) for e in made["endpoints"]] == [
            ("going", False, True, True),
            ("ready", True, True, False),
            ("unready", False, False, False),
        ]
        assert made["ports"] == [{"name": "web", "protocol": "TCP", "port": 8080}]
        assert made["metadata"]["labels"]["kubernetes.io/service-name"] == "svc"

    def test_a_port_that_no_pod_names_is_left_out(self) -> None:
        assert endpointslice_plan.plan(SERVICE, [])["ports"] == []

    def test_no_selector_selects_nothing(self) -> None:
        assert not endpointslice_plan.selects({"spec": {}}, pod("a"))


@pytest.mark.parametrize(
    ("spec", "node", "assigned", "why"),
    [
        ({}, READY_NODE, "node", ""),
        ({"nodeSelector": {"disk": "ssd"}}, READY_NODE, "node", ""),
        (
            {"nodeSelector": {"disk": "tape"}},
            READY_NODE,
            "",
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            {},
            {**READY_NODE, "spec": {"unschedulable": True}},
            "",
            "0/1 nodes are available: 1 node(s) were unschedulable.",
        ),
        (
            {},
            {**READY_NODE, "status": {}},
            "",
            "0/1 nodes are available: 1 node(s) were not ready.",
        ),
    ],
)
def test_the_scheduler_finds_the_node_or_says_why_not(
    spec: Object, node: Object, assigned: str, why: str
) -> None:
    assert scheduler_plan.plan({"spec": spec}, [node]) == (assigned, why)


def test_without_nodes_there_are_none() -> None:
    assert scheduler_plan.plan({"spec": {}}, []) == (
        "",
        "0/0 nodes are available: there are none.",
    )
