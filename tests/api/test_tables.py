from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ferryman.api.tables import age, human_duration

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400

# Of apimachinery's duration_test.go.
DURATIONS = [
    (-5, "<invalid>"),
    (0, "0s"),
    (119, "119s"),
    (2 * MINUTE, "2m"),
    (2 * MINUTE + 1, "2m1s"),
    (10 * MINUTE - 1, "9m59s"),
    (10 * MINUTE, "10m"),
    (3 * HOUR - 1, "179m"),
    (3 * HOUR, "3h"),
    (3 * HOUR + MINUTE, "3h1m"),
    (8 * HOUR - 1, "7h59m"),
    (48 * HOUR - 1, "47h"),
    (2 * DAY, "2d"),
    (2 * DAY + HOUR, "2d1h"),
    (8 * DAY, "8d"),
    (2 * YEAR - 1, "729d"),
    (2 * YEAR, "2y"),
    (2 * YEAR + DAY, "2y1d"),
    (8 * YEAR, "8y"),
]


@pytest.mark.parametrize(("seconds", "text"), DURATIONS)
def test_durations_read_as_in_kubectl(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize(
    ("created", "text"),
    [
        ("2026-01-01T11:55:00Z", "5m"),
        ("2026-01-01T13:55:00.5+02:00", "4m59s"),
        (None, "<unknown>"),
        ("yesterday", "<unknown>"),
    ],
)
def test_ages_take_any_rfc_3339_time(created: str | None, text: str) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert age({"metadata": {"creationTimestamp": created}}, noon) == text
