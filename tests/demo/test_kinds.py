from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest

from ferryman.api.resource import Object, Resource
from ferryman.api.status import Invalid
from ferryman.demo.kinds import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NODES,
    PODS,
    SCHEME,
    SERVICES,
    STATEFUL_SETS,
)
from ferryman.demo.kinds.pods import display_status
from ferryman.runtime.clock import ManualClock
from ferryman.store.memory import MemoryStore
from tests.support.demo_objects import NOW, pod, workload


def cells(resource: Resource, obj: Object, *, wide: bool = False) -> dict[str, Any]:
    kind = SCHEME[resource]
    return {c.name: c.cell(obj, NOW) for c in kind.columns if wide or not c.wide}


def running(**more: object) -> Object:
    return {"name": "main", "ready": True, "restartCount": 0, "state": {"running": {}}, **more}


@pytest.mark.parametrize(
    ("status", "deleting", "shown"),
    [
        ({"phase": "Pending"}, False, "Pending"),
        ({"phase": "Running", "containerStatuses": [running()]}, False, "Running"),
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    running(state={"waiting": {"reason": "ErrImagePull"}}, ready=False)
                ],
            },
            False,
            "ErrImagePull",
        ),
        (
            {
                "phase": "Failed",
                "containerStatuses": [running(state={"terminated": {"exitCode": 3}})],
            },
            False,
            "ExitCode:3",
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    running(state={"terminated": {"reason": "Completed", "exitCode": 0}}),
                    running(name="other"),
                ],
            },
            False,
            "Running",
        ),
        ({"phase": "Running", "containerStatuses": [running()]}, True, "Terminating"),
    ],
)
def test_the_status_column_says_what_matters(status: Object, deleting: bool, shown: str) -> None:
    obj = pod("p", deleting=deleting)
    obj["status"] = status
    assert display_status(obj) == shown


def test_restarts_tell_when_the_last_one_was() -> None:
    obj = pod("p")
    ended = (NOW - timedelta(seconds=30)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    obj["status"]["containerStatuses"] = [
        running(restartCount=2, lastState={"terminated": {"finishedAt": ended}})
    ]
    assert cells(PODS, obj)["Restarts"] == "2 (30s ago)"
    assert cells(PODS, obj)["Ready"] == "1/1"
    assert cells(PODS, obj, wide=True)["IP"] == "127.9.9.2"


def test_every_kind_shows_an_object_that_has_nothing_but_a_name() -> None:
    bare = {"metadata": {"name": "x"}, "spec": {}}
    for kind in SCHEME:
        for column in kind.columns:
            assert isinstance(column.cell(bare, NOW), str | int)


async def created(resource: Resource, obj: Object) -> Object:
    store = MemoryStore(SCHEME, ManualClock())
    return await store.create(resource, obj)


async def test_unknown_fields_are_kept() -> None:
    obj = workload("Deployment", "d")
    obj["spec"]["template"]["spec"]["novelty"] = {"deep": [1, {"x": None}]}
    made = await created(DEPLOYMENTS, obj)
    assert made["spec"]["template"]["spec"]["novelty"]["deep"][0] == 1


async def test_what_is_left_out_is_filled_in_as_kubernetes_does() -> None:
    made = await created(DEPLOYMENTS, workload("Deployment", "d"))
    spec = made["spec"]
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert spec["revisionHistoryLimit"] == 10
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 30
    made = await created(STATEFUL_SETS, workload("StatefulSet", "s"))
    assert made["spec"]["podManagementPolicy"] == "OrderedReady"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "default"},
        "spec": {"ports": [{"port": 80}]},
    }
    made = await created(SERVICES, service)
    assert made["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert made["spec"]["clusterIP"].startswith("10.")


@pytest.mark.parametrize(
    ("resource", "obj", "fields"),
    [
        (
            DEPLOYMENTS,
            {**workload("Deployment", "d"), "spec": {"replicas": 1}},
            {"spec.selector", "spec.template"},
        ),
        (
            DEPLOYMENTS,
            workload("Deployment", "d", selector={"matchLabels": {"app": "other"}}),
            {"spec.template.metadata.labels"},
        ),
        (DEPLOYMENTS, workload("Deployment", "d", replicas=-1), {"spec.replicas"}),
        (
            DEPLOYMENTS,
            workload("Deployment", "d", selector={}, template={"spec": {"containers": []}}),
            {"spec.selector", "spec.template.spec.containers"},
        ),
        (
            DEPLOYMENTS,
            {k: v for k, v in workload("Deployment", "d").items() if k != "spec"},
            {"spec"},
        ),
        (
            DEPLOYMENTS,
            workload("Deployment", "d", strategy={"type": "Sideways"}),
            {"spec.strategy.type"},
        ),
        (
            PODS,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "p", "namespace": "default"},
                "spec": {
                    "containers": [
                        {"name": "a", "image": ""},
                        {"name": "b", "image": "web", "ports": [{"containerPort": 0}]},
                    ]
                },
            },
            {
                "spec.containers[0].image",
                "spec.containers[1].ports[0].containerPort",
            },
        ),
        (
            SERVICES,
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "s", "namespace": "default"},
                "spec": {"ports": [{"port": 1}, {"port": 99999, "name": "x"}]},
            },
            {"spec.ports[0].name", "spec.ports[1].port"},
        ),
    ],
)
async def test_every_cause_is_told(resource: Resource, obj: Object, fields: set[str]) -> None:
    with pytest.raises(Invalid) as refused:
        await created(resource, obj)
    assert {cause.field for cause in refused.value.causes} == fields


@pytest.mark.parametrize(
    "spec",
    [None, [], {}, {"containers": {}}, {"containers": [None]}, {"containers": [{"ports": 1}]}],
)
async def test_an_object_of_odd_shapes_is_refused_and_crashes_nothing(spec: Any) -> None:
    meta = {"name": "p", "namespace": "default"}
    with pytest.raises(Invalid):
        await created(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


def test_nodes_and_config_maps_show_themselves() -> None:
    node = {
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert cells(NODES, node)["Status"] == "Ready,SchedulingDisabled"
    assert cells(NODES, node)["Roles"] == "worker"
    assert cells(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"a": "b"}})["Data"] == 1


def test_merge_keys_are_those_of_kubernetes() -> None:
    spec = SCHEME[PODS].schema["properties"]["spec"]["properties"]
    container = spec["containers"]["items"]["properties"]
    keys = {
        name: schema["x-kubernetes-patch-merge-key"]
        for name, schema in {**spec, **container}.items()
        if "x-kubernetes-patch-merge-key" in schema
    }
    assert keys["containers"] == keys["env"] == keys["volumes"] == "name"
    assert keys["ports"] == "containerPort"
    assert keys["volumeMounts"] == "mountPath"
    assert "tolerations" not in keys
