"""When a cron job is due: the five fields of crontab(5), in UTC; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ferryman.errors import UserError

_NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The values that each field allows; a day counts if either field names it, unless it is *."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def is_due(self, moment: datetime) -> bool:
        """Whether it is due in that minute."""
        if moment.minute not in self.minutes or moment.hour not in self.hours:
            return False
        if moment.month not in self.months:
            return False
        day, weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return day and weekday if self.any_day or self.any_weekday else day or weekday


def parse_schedule(text: str) -> Schedule:
    """The schedule that a crontab line means; raises UserError."""
    fields = _NAMES.get(text.strip().lower(), text).lower().split()
    if len(fields) != 5:
        raise UserError(f"a schedule has five fields: minute hour day month weekday, not {text!r}")
    names: tuple[tuple[str, ...], ...] = ((), (), (), ("", *_MONTHS), _DAYS)
    minutes, hours, days, months, weekdays = (
        _values(field, low, high, known)
        for field, (low, high), known in zip(fields, _RANGES, names, strict=True)
    )
    return Schedule(
        minutes,
        hours,
        days,
        months,
        frozenset(day % 7 for day in weekdays),
        fields[2].startswith(("*", "?")),
        fields[4].startswith(("*", "?")),
    )


def _values(field: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span in ("*", "?"):
            begin, end = low, high
        else:
            begin = _number(first, names)
            end = _number(last, names) if dash else high if slash else begin
        every = _number(step, ()) if slash else 1
        if not (low <= begin <= end <= high) or every < 1:
            raise UserError(f"{part!r} is out of range: {low} to {high}")
        found.update(range(begin, end + 1, every))
    return frozenset(found)


def _number(text: str, names: tuple[str, ...]) -> int:
    if text and text in names:
        return names.index(text)
    if not (text.isascii() and text.isdecimal() and len(text) < 3):
        raise UserError(f"{text!r} is no number of a schedule")
    return int(text)
