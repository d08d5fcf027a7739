from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.demo.schedule import parse_schedule
from ferryman.errors import UserError

SUNDAY = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("* * * * *", True),
        ("30 12 * * *", True),
        ("31 12 * * *", False),
        ("*/15 * * * *", True),
        ("*/7 * * * *", False),
        ("0-40/10 * * * *", True),
        ("20/10 * * * *", True),
        ("1,30 12 * * *", True),
        ("30 12 * mar *", True),
        ("30 12 * 4 *", False),
        ("30 12 * * 0", True),
        ("30 12 * * 7", True),
        ("30 12 * * sun", True),
        ("30 12 * * mon-fri", False),
        ("30 12 1 * *", True),
        ("30 12 2 * *", False),
        ("30 12 2 * sun", True),
        ("30 12 1 * mon", True),
        ("30 12 2 * mon", False),
        ("@hourly", False),
        ("@DAILY", False),
    ],
)
def test_a_schedule_names_its_minutes(text: str, due: bool) -> None:
    assert parse_schedule(text).is_due(SUNDAY) is due


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
     "5-1 * * * *", "*/0 * * * *", "a * * * *", "-1 * * * *", "* * * * * *",
     "@never", "1- * * * *", "*/ * * * *"],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_schedule(text)


@given(st.text(alphabet="0123456789*/,-? @abc", max_size=30))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        parse_schedule(text)
    except UserError:
        pass
