"""A pod in the words of a discovery's status: kubectl's, by a table."""

from __future__ import annotations

from typing import Any

import pytest

from ferryman.api import codec
from ferryman.api.kinds.kubernetesdiscovery import Pod
from ferryman.api.resource import Object
from ferryman.controllers.kubernetesdiscovery.pods import pod_of, summary

AT = "2026-01-01T00:00:00Z"


def container(name: str = "app", **state: Any) -> Object:
    return {"name": name, "state": state}


def pod(*containers: Object, init: tuple[Object, ...] = (), **status: Any) -> Object:
    return {
        "metadata": {"name": "web-1", "namespace": "n", "uid": "u", "creationTimestamp": AT},
        "spec": {
            "containers": [{"name": c["name"]} for c in containers],
            "initContainers": [
                {"name": c["name"], "restartPolicy": "Always" if c["name"] == "sidecar" else ""}
                for c in init
            ],
        },
        "status": {
            "phase": "Running",
            "containerStatuses": list(containers),
            "initContainerStatuses": list(init),
            **status,
        },
    }


RUNS = container(running={"startedAt": AT})
DONE = container("init", terminated={"exitCode": 0})
CRASHED = {"reason": "Error", "exitCode": 1}

SUMMARIES = [
    ("Running", pod(RUNS)),
    ("", {"metadata": {"name": "new"}}),
    ("Evicted", pod(phase="Failed", reason="Evicted")),
    ("CrashLoopBackOff", pod(container(waiting={"reason": "CrashLoopBackOff"}))),
    ("ImagePullBackOff", pod(container(waiting={"reason": "ImagePullBackOff"}), RUNS)),
    ("Error", pod(container(terminated=CRASHED))),
    ("ExitCode:3", pod(container(terminated={"exitCode": 3}))),
    ("Signal:9", pod(container(terminated={"exitCode": 137, "signal": 9}))),
    ("Init:0/1", pod(RUNS, init=({**container("init", running={}), "started": True},))),
    ("Init:1/2", pod(init=(DONE, container("two", waiting={"reason": "PodInitializing"})))),
    ("Init:Error", pod(init=(container("init", terminated=CRASHED),))),
    ("Init:ExitCode:2", pod(init=(container("init", terminated={"exitCode": 2}),))),
    ("Init:ErrImagePull", pod(init=(container("init", waiting={"reason": "ErrImagePull"}),))),
    ("Running", pod(RUNS, init=(DONE,))),
    ("Running", pod(RUNS, init=({**container("sidecar", running={}), "started": True},))),
]


@pytest.mark.parametrize(("word", "seen"), SUMMARIES)
def test_the_status_is_kubectls_word(word: str, seen: Object) -> None:
    assert summary(seen) == word


def test_every_field_is_where_tilt_has_it() -> None:
    seen = pod(
        {
            "name": "app",
            "ready": True,
            "image": "web:1",
            "restartCount": 2,
            "containerID": "containerd://4f",
            "state": {"running": {"startedAt": AT}},
        },
        init=(container("init", terminated={**CRASHED, "exitCode": 0, "finishedAt": AT}),),
        conditions=[{"type": "Ready", "status": "False", "reason": "R", "message": "M",
                     "lastTransitionTime": AT}],
    )  # fmt: skip
    seen["metadata"]["labels"] = {"tilt.dev/pod-template-hash": "abc"}
    seen["metadata"]["deletionTimestamp"] = AT
    seen["metadata"]["ownerReferences"] = [
        {"name": "first", "kind": "A", "apiVersion": "a/v1", "uid": "1"},
        {"name": "web", "kind": "B", "apiVersion": "b/v1", "uid": "2", "controller": True},
    ]
    documented = [{"containerPort": 8000}, {"containerPort": 53, "protocol": "UDP"}]
    seen["spec"]["containers"][0]["ports"] = documented
    found = codec.encode(pod_of(seen, "ancestor", AT))
    assert found == {
        "uid": "u",
        "name": "web-1",
        "namespace": "n",
        "createdAt": AT,
        "phase": "Running",
        "deleting": True,
        "conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": AT, "reason": "R",
             "message": "M"}
        ],
        "initContainers": [
            {"name": "init", "id": "", "ready": False, "image": "", "restarts": 0,
             "state": {"terminated": {"finishedAt": AT, "exitCode": 0, "reason": "Error"}},
             "ports": []}
        ],
        "containers": [
            {"name": "app", "id": "4f", "ready": True, "image": "web:1", "restarts": 2,
             "state": {"running": {"startedAt": AT}}, "ports": [8000, 53]}
        ],
        "ancestorUID": "ancestor",
        "podTemplateSpecHash": "abc",
        "status": "Running",
        "owner": {"name": "web", "kind": "B", "apiVersion": "b/v1", "creationTimestamp": AT},
    }  # fmt: skip
    assert codec.decode(Pod, found) == pod_of(seen, "ancestor", AT)


def test_what_containers_say_for_people_is_kept() -> None:
    waiting = container(waiting={"reason": "CrashLoopBackOff", "message": "back-off 10s"})
    waiting["lastState"] = {"terminated": {"message": "no database"}}
    ended = container("two", terminated={"exitCode": 1, "message": "bye"})
    found = pod_of(pod(waiting, ended, RUNS), "", None)
    assert found.errors == ("no database", "back-off 10s", "bye")
