from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.api.durations import format_duration, parse_duration
from ferryman.errors import UserError

# Text, seconds, and how Go spells it.
DURATIONS = [
    ("30s", 30.0, "30s"),
    ("1m30s", 90.0, "1m30s"),
    ("0s", 0.0, "0s"),
    ("0", 0.0, "0s"),
    ("1.5h", 5400.0, "1h30m0s"),
    ("200ms", 0.2, "200ms"),
    ("1h0.5s", 3600.5, "1h0m0.5s"),
    (".5s", 0.5, "500ms"),
    ("1.s", 1.0, "1s"),
    ("+2m", 120.0, "2m0s"),
    ("1500us", 0.0015, "1.5ms"),
    ("1µs", 1e-6, "1µs"),
    ("1μs", 1e-6, "1µs"),
    ("7ns", 7e-9, "7ns"),
    ("90s90s", 180.0, "3m0s"),
]


@pytest.mark.parametrize(("text", "seconds", "spelled"), DURATIONS)
def test_durations_are_read_and_spelled_as_go_does(text: str, seconds: float, spelled: str) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)
    assert format_duration(seconds) == spelled


@pytest.mark.parametrize(
    "text", ["", "3", "s", "+", "-1s", "1 s", "1s ", "1d", "1e3s", "0x1s", ".s", "1m30", "٣s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="30s, 1m30s"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9999999h", "99999999999999999999h"])
def test_what_go_cannot_hold_is_too_long(text: str) -> None:
    with pytest.raises(UserError, match="too long"):
        parse_duration(text)


@given(st.integers(0, 2**50))
def test_what_is_spelled_reads_back_the_same(nanoseconds: int) -> None:
    seconds = nanoseconds / 1e9
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e12])
def test_what_is_no_time_cannot_be_spelled(seconds: float) -> None:
    with pytest.raises(UserError, match="not a duration"):
        format_duration(seconds)
