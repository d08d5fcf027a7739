from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from ferryman.api.conditions import (
    Condition,
    find_condition,
    is_true,
    rfc3339,
    set_condition,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)


def test_the_transition_time_moves_only_when_the_status_turns() -> None:
    first = set_condition((), "Ready", False, "NoPod", "no pod yet", now=NOON, generation=1)
    same = set_condition(first, "Ready", False, "NoPod", "no pod yet", now=LATER, generation=1)
    assert same == first
    other = set_condition(first, "Ready", False, "Denied", "may not", now=LATER, generation=2)
    (condition,) = other
    assert condition.last_transition_time == "2026-01-01T12:00:00Z"
    assert (condition.reason, condition.observed_generation) == ("Denied", 2)
    (turned,) = set_condition(other, "Ready", True, "PodReady", "", now=LATER)
    assert turned.last_transition_time == "2026-01-01T12:05:00Z"


def test_conditions_keep_their_places() -> None:
    conditions = (Condition(type="Bound", status="True"), Condition(type="Ready", status="False"))
    changed = set_condition(conditions, "Bound", "Unknown", "Lost", "", now=NOON)
    changed = set_condition(changed, "Reachable", True, "Yes", "", now=NOON)
    assert [c.type for c in changed] == ["Bound", "Ready", "Reachable"]
    assert conditions[0].status == "True"
    assert is_true(changed, "Reachable")
    assert not is_true(changed, "Bound")
    assert not is_true(changed, "Other")
    assert find_condition(changed, "Other") is None


def test_times_are_utc_in_whole_seconds() -> None:
    east = datetime(2026, 1, 1, 14, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))
    assert rfc3339(east) == "2026-01-01T12:00:00Z"
