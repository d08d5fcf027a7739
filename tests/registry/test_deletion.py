from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ferryman.api.client import Propagation
from ferryman.api.resource import Object
from ferryman.api.status import BadRequest
from ferryman.registry.deletion import is_finished, prepare_delete
from tests.support.object_client import SHIP, WIDGET

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def obj(status: dict[str, Any] | None = None, **meta: Any) -> Object:
    return {"metadata": {"name": "a", "generation": 3, **meta}, "spec": {}, "status": status or {}}


# Title, kind, finalizers before, propagation, finalizers after or None if it is gone.
FINALIZERS: list[tuple[str, list[str], Propagation, list[str] | None]] = [
    ("nothing holds it", [], "Background", None),
    ("a finalizer holds it", ["x/y"], "Background", ["x/y"]),
    ("foreground", [], "Foreground", ["foregroundDeletion"]),
    ("orphan", ["x/y"], "Orphan", ["x/y", "orphan"]),
    ("how it is deleted now counts", ["foregroundDeletion"], "Orphan", ["orphan"]),
    ("background clears what was asked for at creation", ["orphan"], "Background", None),
]


@pytest.mark.parametrize(
    ("before", "propagation", "after"), [c[1:] for c in FINALIZERS], ids=[c[0] for c in FINALIZERS]
)
def test_finalizers_follow_from_how_it_is_deleted(
    before: list[str], propagation: Propagation, after: list[str] | None
) -> None:
    old = obj(finalizers=before)
    result = prepare_delete(WIDGET, old, propagation, None, NOW)
    assert old == obj(finalizers=before)
    if after is None:
        assert result is None
        return
    assert result is not None
    assert result["metadata"] == {
        "name": "a",
        "generation": 4,
        "finalizers": after,
        "deletionTimestamp": "2026-01-01T12:00:00Z",
        "deletionGracePeriodSeconds": 0,
    }


def test_a_later_delete_leaves_the_collectors_finalizer_alone() -> None:
    first = prepare_delete(SHIP, obj(), "Foreground", 30, NOW)
    assert first is not None
    again = prepare_delete(SHIP, first, "Background", 0, NOW)
    assert again is not None
    assert again["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert again["metadata"]["deletionGracePeriodSeconds"] == 0


def test_the_grace_period_is_the_shortest_that_was_asked_for() -> None:
    first = prepare_delete(SHIP, obj(), "Background", None, NOW)
    assert first is not None
    assert first["metadata"]["deletionGracePeriodSeconds"] == 30
    assert first["metadata"]["deletionTimestamp"] == "2026-01-01T12:00:30Z"
    assert prepare_delete(SHIP, first, "Background", 60, NOW) is first
    assert prepare_delete(SHIP, first, "Background", None, NOW) is first
    shorter = prepare_delete(SHIP, first, "Background", 5, NOW)
    assert shorter is not None
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    assert shorter["metadata"]["generation"] == 4  # counted once
    assert prepare_delete(SHIP, shorter, "Background", 0, NOW) is None


def test_the_spec_may_say_the_grace_period() -> None:
    old = {**obj(), "spec": {"terminationGracePeriodSeconds": 1}}
    result = prepare_delete(SHIP, old, "Background", None, NOW)
    assert result is not None
    assert result["metadata"]["deletionGracePeriodSeconds"] == 1


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_what_has_ended_needs_no_grace(phase: str) -> None:
    assert prepare_delete(SHIP, obj({"phase": phase}), "Background", None, NOW) is None


def test_a_negative_grace_period_is_refused() -> None:
    with pytest.raises(BadRequest):
        prepare_delete(SHIP, obj(), "Background", -1, NOW)


def test_it_is_finished_when_nothing_is_left_to_wait_for() -> None:
    deleting: dict[str, Any] = {"deletionTimestamp": "t", "deletionGracePeriodSeconds": 30}
    assert not is_finished(WIDGET, obj())
    assert not is_finished(WIDGET, obj(finalizers=["x/y"], **deleting))
    assert is_finished(WIDGET, obj(**deleting))
    assert not is_finished(SHIP, obj(**deleting))
    assert is_finished(SHIP, obj(**{**deleting, "deletionGracePeriodSeconds": 0}))
