from typing import Any

import pytest

from ferryman.kube.pods import judge, rank, usable


def pod(name: str = "web-1", *, created: str = "2026-01-01T00:00:00Z", **changes: Any) -> Any:
    """A ready pod; ``changes`` go to its status, ``deleted`` to its metadata."""
    meta = {"name": name, "creationTimestamp": created, "uid": f"uid-{name}"}
    if changes.pop("deleted", False):
        meta["deletionTimestamp"] = created
    spec = changes.pop("spec", {})
    ready = [{"type": "Ready", "status": "True"}]
    status = {"phase": "Running", "podIP": "10.0.0.7", "conditions": ready} | changes
    return {"metadata": meta, "spec": spec, "status": status}


NOT_READY = [{"type": "Ready", "status": "False"}]


def waiting(reason: str, name: str = "app") -> dict[str, Any]:
    return {"name": name, "ready": False, "state": {"waiting": {"reason": reason}}}


def test_a_ready_pod_is_usable() -> None:
    assert usable(pod())
    assert judge(pod()).reason == "ready"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"deleted": True}, "going away"),
        ({"phase": "Succeeded"}, "it has succeeded"),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            "it has failed: Evicted: low on memory",
        ),
        ({"podIP": ""}, "not ready: it has no IP address yet"),
        ({"phase": "Unknown"}, "not ready: its phase is Unknown"),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes are available",
                    }
                ],
            },
            "not ready: not scheduled: Unschedulable: 0/3 nodes are available",
        ),
        (
            {"conditions": NOT_READY, "containerStatuses": [waiting("ImagePullBackOff")]},
            "not ready: container app waiting ImagePullBackOff",
        ),
        (
            {
                "phase": "Pending",
                "conditions": [],
                "initContainerStatuses": [waiting("ErrImagePull", "setup")],
                "containerStatuses": [waiting("PodInitializing")],
            },
            "not ready: container setup waiting ErrImagePull",
        ),
        (
            {
                "conditions": NOT_READY,
                "containerStatuses": [{"name": "app", "state": {"terminated": {"exitCode": 137}}}],
            },
            "not ready: container app ended with exit code 137",
        ),
        (
            {
                "conditions": NOT_READY,
                "containerStatuses": [{"name": "app", "started": False, "state": {"running": {}}}],
            },
            "not ready: container app is starting",
        ),
        (
            {
                "conditions": NOT_READY,
                "containerStatuses": [
                    {"name": "ok", "ready": True, "state": {"running": {}}},
                    {"name": "app", "started": True, "state": {"running": {}}},
                ],
            },
            "not ready: container app has not passed its readiness probe",
        ),
        (
            {"conditions": NOT_READY, "spec": {"readinessGates": [{"conditionType": "lb/up"}]}},
            "not ready: readiness gate lb/up is not met",
        ),
        (
            {"conditions": [{"type": "Ready", "status": "False", "reason": "NodeNotReady"}]},
            "not ready: NodeNotReady",
        ),
    ],
)
def test_a_pod_that_is_not_usable_says_why(changes: Any, reason: str) -> None:
    assert not usable(pod(**changes))
    assert judge(pod(**changes)).reason == reason


def test_a_pod_without_any_status_is_pending() -> None:
    assert judge({"metadata": {"name": "new"}}).reason == "not ready: its phase is Pending"


def test_the_choice_is_staying_before_leaving_then_ready_then_newest_then_by_name() -> None:
    pods = [
        pod("leaving-newest", created="2026-01-09T00:00:00Z", deleted=True),
        pod("unready-newest", created="2026-01-09T00:00:00Z", conditions=NOT_READY),
        pod("old", created="2026-01-01T00:00:00Z"),
        pod("twin-b", created="2026-01-02T00:00:00Z"),
        pod("twin-a", created="2026-01-02T00:00:00Z"),
    ]
    ranked = rank(pods)
    assert [(j.name, j.state, j.reason) for j in ranked[:3]] == [
        ("twin-a", "Active", "ready, newest"),
        ("twin-b", "Active", "ready"),
        ("old", "Active", "ready"),
    ]
    assert [j.name for j in ranked[3:]] == ["unready-newest", "leaving-newest"]
    assert ranked[0].uid == "uid-twin-a"


def test_a_single_ready_pod_is_not_called_newest() -> None:
    assert rank([pod(), pod("gone", deleted=True)])[0].reason == "ready"
