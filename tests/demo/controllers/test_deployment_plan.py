from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.api.resource import Object
from ferryman.demo.controllers.deployment_plan import (
    HASH,
    REVISION,
    Plan,
    bounds,
    plan,
    share,
)
from tests.support.demo_objects import NOW, template, workload


class World:
    """A deployment's replica sets, whose pods become ready and go as a test likes."""

    def __init__(self, deployment: Object) -> None:
        self.deployment = deployment
        self.sets: list[Object] = []

    def step(self) -> Plan:
        todo = plan(self.deployment, self.sets, NOW)
        if todo.create is not None:
            made = todo.create
            made["metadata"]["uid"] = made["metadata"]["name"]
            self.sets.append(made)
        for rs in self.sets:
            name = rs["metadata"]["name"]
            if name in todo.scale:
                rs["spec"]["replicas"] = todo.scale[name]
            if name in todo.annotations:
                rs["metadata"]["annotations"].update(todo.annotations[name])
        self.sets = [rs for rs in self.sets if rs["metadata"]["name"] not in todo.delete]
        annotations = self.deployment["metadata"].setdefault("annotations", {})
        annotations[REVISION] = todo.revision
        self.deployment["status"] = todo.status
        return todo

    def follow(self, chance: random.Random | None = None) -> None:
        """Let pods come to what is wanted: all of them, or some by chance."""
        for rs in self.sets:
            status, wanted = rs.setdefault("status", {}), rs["spec"]["replicas"]
            status["replicas"] = wanted
            usable = min(status.get("availableReplicas", 0), wanted)
            missing = wanted - usable
            usable += missing if chance is None else chance.randint(0, missing)
            status["availableReplicas"] = status["readyReplicas"] = usable

    def settle(self) -> None:
        for _ in range(100):
            self.follow()
            if not _acts(self.step()):
                return
        raise AssertionError("it never settles")

    @property
    def replicas(self) -> dict[str, int]:
        return {
            rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"]
            for rs in self.sets
        }


def _acts(todo: Plan) -> bool:
    return bool(todo.create or todo.scale or todo.annotations or todo.delete)


def deployment(replicas: int, **spec: Any) -> Object:
    return workload("Deployment", "d", replicas=replicas, **spec)


def rolling(surge: object, unavailable: object) -> Object:
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
    }


def roll(world: World, image: str) -> None:
    world.deployment["spec"]["template"] = template("d", image)
    world.deployment["metadata"]["generation"] += 1


@pytest.mark.parametrize(
    ("value", "total", "up", "pods"),
    [
        ("25%", 1, True, 1),
        ("25%", 1, False, 0),
        ("25%", 4, False, 1),
        ("30%", 10, True, 3),
        (2, 10, True, 2),
        (None, 10, True, 0),
        ("100%", 7, False, 7),
    ],
)
def test_a_share_is_a_number_or_a_rounded_percentage(
    value: object, total: int, up: bool, pods: int
) -> None:
    assert share(value, total, up=up) == pods


def test_bounds_that_would_let_nothing_move_let_one_pod_be_missing() -> None:
    assert bounds(deployment(3, strategy=rolling(0, 0))["spec"]) == (0, 1)
    assert bounds(deployment(1, strategy=rolling("25%", "25%"))["spec"]) == (1, 0)


def test_the_first_replica_set_has_all_pods_at_once() -> None:
    world = World(deployment(3))
    todo = world.step()
    assert todo.create is not None
    assert todo.create["spec"]["replicas"] == 3
    assert todo.create["metadata"]["annotations"][REVISION] == "1"
    assert todo.create["spec"]["selector"]["matchLabels"][HASH] in todo.create["metadata"]["name"]
    assert todo.events == (f"Scaled up replica set {todo.create['metadata']['name']} from 0 to 3",)
    assert not _acts(world.step())


def test_one_replica_rolls_by_surge_new_first_then_old_away() -> None:
    world = World(deployment(1))
    world.settle()
    roll(world, "cache")
    seen = [world.replicas]
    for _ in range(4):
        world.step()
        seen.append(world.replicas)
        world.follow()
    assert seen == [
        {"web": 1},
        {"web": 1, "cache": 1},
        {"web": 0, "cache": 1},
        {"web": 0, "cache": 1},
        {"web": 0, "cache": 1},
    ]


def test_recreate_starts_nothing_before_the_old_pods_are_gone() -> None:
    world = World(deployment(2, strategy={"type": "Recreate"}))
    world.settle()
    roll(world, "cache")
    world.step()
    world.step()
    assert world.replicas == {"web": 0, "cache": 0}
    world.follow()
    world.sets[0]["status"]["terminatingReplicas"] = 2
    world.step()
    assert world.replicas == {"web": 0, "cache": 0}
    world.sets[0]["status"]["terminatingReplicas"] = 0
    world.step()
    assert world.replicas == {"web": 0, "cache": 2}


def test_a_template_that_comes_back_gets_its_replica_set_and_a_new_revision() -> None:
    world = World(deployment(1))
    world.settle()
    roll(world, "cache")
    world.settle()
    roll(world, "web")
    world.settle()
    assert world.replicas == {"web": 1, "cache": 0}
    assert [rs["metadata"]["annotations"][REVISION] for rs in world.sets] == ["3", "2"]
    assert world.deployment["metadata"]["annotations"][REVISION] == "3"


def test_history_keeps_the_newest_empty_replica_sets() -> None:
    world = World(deployment(1, revisionHistoryLimit=2))
    for image in ("a", "b", "c", "d", "e"):
        roll(world, image)
        world.settle()
    assert world.replicas == {"c": 0, "d": 0, "e": 1}


def test_scaling_alone_makes_no_new_replica_set_and_stays_complete() -> None:
    world = World(deployment(3))
    world.settle()
    world.deployment["spec"]["replicas"] = 5
    todo = world.step()
    assert todo.create is None
    assert world.replicas == {"web": 5}
    reasons = {c["type"]: c["reason"] for c in todo.status["conditions"]}
    assert reasons["Progressing"] == "NewReplicaSetAvailable"
    world.deployment["spec"]["replicas"] = 0
    world.settle()
    assert world.replicas == {"web": 0}


def test_a_paused_deployment_scales_but_does_not_roll() -> None:
    world = World(deployment(2))
    world.settle()
    world.deployment["spec"]["paused"] = True
    roll(world, "cache")
    world.deployment["spec"]["replicas"] = 3
    world.settle()
    assert world.replicas == {"web": 3}
    world.deployment["spec"]["paused"] = False
    world.settle()
    assert world.replicas == {"web": 0, "cache": 3}


def test_a_deployment_that_is_going_away_touches_nothing() -> None:
    world = World(deployment(1))
    world.settle()
    world.deployment["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    world.deployment["spec"]["replicas"] = 7
    assert not _acts(world.step())


def test_the_status_tells_kubectl_when_a_rollout_is_over() -> None:
    world = World(deployment(2))
    world.settle()
    roll(world, "cache")
    todo = world.step()
    assert todo.status["observedGeneration"] == 2
    assert todo.status.get("updatedReplicas", 0) == 0
    assert {c["type"]: c["reason"] for c in todo.status["conditions"]} == {
        "Available": "MinimumReplicasAvailable",
        "Progressing": "NewReplicaSetCreated",
    }
    world.settle()
    status = world.deployment["status"]
    assert status["updatedReplicas"] == status["replicas"] == status["availableReplicas"] == 2
    assert "unavailableReplicas" not in status


@given(
    replicas=st.integers(1, 12),
    surge=st.one_of(st.integers(0, 5), st.sampled_from(["0%", "25%", "50%", "100%"])),
    unavailable=st.one_of(st.integers(0, 5), st.sampled_from(["0%", "25%", "50%", "100%"])),
    seed=st.integers(0, 10_000),
)
def test_a_rollout_stays_within_its_bounds_and_ends(
    replicas: int, surge: Any, unavailable: Any, seed: int
) -> None:
    chance = random.Random(seed)
    world = World(deployment(replicas, strategy=rolling(surge, unavailable)))
    world.settle()
    more, fewer = bounds(world.deployment["spec"])
    for image in ("cache", "example-go"):
        roll(world, image)
        for _ in range(chance.randint(1, 12)):  # the second overtakes the first
            world.step()
            assert sum(world.replicas.values()) <= replicas + more
            kept = sum(
                min(rs.get("status", {}).get("availableReplicas", 0), rs["spec"]["replicas"])
                for rs in world.sets
            )
            assert kept >= replicas - fewer
            world.follow(chance)
    world.settle()
    assert {image: n for image, n in world.replicas.items() if n} == {"example-go": replicas}
