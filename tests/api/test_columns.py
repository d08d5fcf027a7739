"""Ages in kubectl's words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.api.columns import AGE, NAME, age, human_duration, since

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

# From k8s.io/apimachinery/pkg/util/duration/duration_test.go.
DURATIONS = [
    (timedelta(seconds=-2), "<invalid>"),
    (timedelta(seconds=-1), "0s"),
    (timedelta(seconds=0), "0s"),
    (timedelta(seconds=1), "1s"),
    (timedelta(seconds=70), "70s"),
    (timedelta(seconds=119), "119s"),
    (timedelta(seconds=120), "2m"),
    (timedelta(seconds=190), "3m10s"),
    (timedelta(minutes=10), "10m"),
    (timedelta(minutes=70), "70m"),
    (timedelta(minutes=179, seconds=59), "179m"),
    (timedelta(hours=3, minutes=10), "3h10m"),
    (timedelta(hours=4), "4h"),
    (timedelta(hours=47, minutes=10), "47h"),
    (timedelta(hours=49), "2d1h"),
    (timedelta(days=5), "5d"),
    (timedelta(days=7, hours=23), "7d23h"),
    (timedelta(days=8, hours=23), "8d"),
    (timedelta(days=367), "367d"),
    (timedelta(days=365 * 2), "2y"),
    (timedelta(days=365 * 3 + 2), "3y2d"),
    (timedelta(days=365 * 8 + 2), "8y"),
]


@pytest.mark.parametrize(("duration", "words"), DURATIONS)
def test_durations_read_as_in_kubectl(duration: timedelta, words: str) -> None:
    assert human_duration(duration) == words


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36500)))
def test_a_duration_never_takes_more_than_seven_characters(duration: timedelta) -> None:
    assert len(human_duration(duration)) <= 7


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [
        ("2026-01-02T03:04:00Z", "5s"),
        ("2026-01-02T04:04:00+01:00", "5s"),
        ("2026-01-02T03:04:00.123456789Z", "4s"),
        ("2026-01-02T03:04:00", "<unknown>"),
        ("yesterday", "<unknown>"),
        (None, "<unknown>"),
        (7, "<unknown>"),
    ],
)
def test_any_rfc_3339_time_has_an_age(timestamp: object, words: str) -> None:
    assert since(timestamp, NOW) == words


def test_the_columns_of_every_kind_need_nothing_of_an_object() -> None:
    assert NAME.cell({}, NOW) == ""
    assert AGE.cell({}, NOW) == "<unknown>"
    obj = {"metadata": {"name": "x", "creationTimestamp": "2026-01-02T02:00:00Z"}}
    assert (NAME.cell(obj, NOW), age(obj, NOW)) == ("x", "64m")
