"""A Cluster's status after each attempt, as transcripts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ferryman.api.kinds.cluster import (
    ClusterSpec,
    ClusterStatus,
    Connection,
    KubernetesConnection,
)
from ferryman.controllers.cluster.plan import (
    FAILURES,
    POLL,
    RETRY,
    Answer,
    Facts,
    after,
    introduced,
    product,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
FACTS = Facts("ctx", "n", "kind-x", "/config")
YES = Answer("v1.37.0", "arm64")

# "+" is an answer, "-" is none; after each, the status: c(onnected) or e(rror), and the wait.
TRANSCRIPTS = [
    ("connected, then polled", "++", "cc", (POLL, POLL)),
    ("never connected: an error at once", "--+", "eec", (RETRY, RETRY, POLL)),
    ("three failures alarm nobody", "+---+", "ccccc", (POLL,) * 5),
    ("the fourth does", "+----", "cccce", (POLL, POLL, POLL, POLL, RETRY)),
    ("one answer is enough to recover", "+----+-", "ccccecc", (POLL,) * 4 + (RETRY, POLL, POLL)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "said", "waits"), [t[1:] for t in TRANSCRIPTS], ids=[t[0] for t in TRANSCRIPTS]
)
def test_a_cluster_is(answers: str, said: str, waits: tuple[float, ...]) -> None:
    status, failures, seen, waited = ClusterStatus(), 0, "", []
    for i, answer in enumerate(answers):
        now = START + timedelta(seconds=i)
        plan = after(ClusterSpec(), status, FACTS, YES if answer == "+" else "no", failures, now)
        status, failures = plan.status, plan.failures
        seen += "e" if status.error else "c"
        waited.append(plan.wait)
        assert bool(status.connected_at) == (seen[-1] == "c")
    assert seen == said
    assert tuple(waited) == waits


def test_an_answer_fills_the_status_and_the_time_stays() -> None:
    first = after(ClusterSpec(), ClusterStatus(), FACTS, YES, 0, START).status
    assert (first.version, first.arch, first.error) == ("v1.37.0", "arm64", "")
    assert first.connected_at == "2026-01-01T00:00:00.000000Z"
    assert first.connection is not None
    assert first.connection.kubernetes is not None
    known = first.connection.kubernetes
    assert (known.context, known.namespace, known.cluster) == ("ctx", "n", "kind-x")
    assert (known.product, known.config_path) == ("kind", "/config")
    later = START + timedelta(minutes=1)
    assert after(ClusterSpec(), first, FACTS, YES, 0, later).status == first
    broken = after(ClusterSpec(), first, FACTS, "no", FAILURES - 1, later).status
    assert (broken.version, broken.error, broken.connected_at) == ("v1.37.0", "no", None)
    again = after(ClusterSpec(), broken, FACTS, YES, FAILURES, later).status
    assert again.connected_at == "2026-01-01T00:01:00.000000Z"


def test_where_it_is_is_said_before_it_answers_and_a_move_forgets_the_rest() -> None:
    first = after(ClusterSpec(), ClusterStatus(), FACTS, YES, 0, START).status
    assert introduced(ClusterSpec(), first, FACTS) == first
    moved = introduced(ClusterSpec(), first, Facts("other", "n", "gke_x", ""))
    assert moved.connection is not None
    assert (moved.version, moved.connected_at, moved.error) == ("", None, "")


def test_a_context_that_is_not_there_has_no_connection() -> None:
    status = after(ClusterSpec(), ClusterStatus(), None, "no such context", 0, START).status
    assert status == ClusterStatus(error="no such context")


def test_the_namespace_is_the_specs_or_the_contexts() -> None:
    wanted = KubernetesConnection(context="ctx", namespace="mine")
    spec = ClusterSpec(connection=Connection(kubernetes=wanted))
    connection = introduced(spec, ClusterStatus(), FACTS).connection
    assert connection is not None
    assert connection.kubernetes is not None
    assert connection.kubernetes.namespace == "mine"


@pytest.mark.parametrize(
    ("cluster", "made_by"),
    [
        ("kind", "kind"),
        ("kind-kind", "kind"),
        ("minikube", "minikube"),
        ("docker-desktop", "docker-desktop"),
        ("gke_project_zone_name", "gke"),
        ("k3d-x", "k3d"),
        ("kindergarten", "unknown"),
        ("", "unknown"),
    ],
)
def test_its_maker_is_told_by_its_name(cluster: str, made_by: str) -> None:
    assert product(cluster) == made_by
