"""Durations as Kubernetes writes them: ``30s``, ``1m30s``, ``1.5h``, ``200ms``; pure.

Grammar and spelling are those of Go's ``time.ParseDuration`` and ``Duration.String``, because
that is what ``metav1.Duration`` holds; negative ones are refused, as nothing here waits so long.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ferryman.errors import UserError

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(ns|us|µs|μs|ms|s|m|h)")
_LONGEST = 2**63 - 1  # nanoseconds in a Go int64: about 292 years


def parse_duration(text: str) -> float:
    """Seconds; raises UserError, which says how a duration is written."""
    if text in ("0", "+0"):
        return 0.0
    at = 1 if text.startswith("+") else 0
    nanoseconds = Fraction(0)
    while at < len(text) and (part := _PART.match(text, at)):
        at = part.end()
        number = part[1] if not part[1].endswith(".") else part[1] + "0"
        nanoseconds += Fraction(number) * _UNITS[part[2]]
    if not text or at < len(text) or text == "+":
        raise UserError(f"not a duration: {text!r}", "write 30s, 1m30s, 1.5h or 200ms")
    if nanoseconds > _LONGEST:
        raise UserError(f"too long a duration: {text!r}")
    return int(nanoseconds) / 1e9


def format_duration(seconds: float) -> str:
    """As Go spells it: ``1m30s``, ``0s``, ``200ms``, ``1h0m0s``; to the nanosecond. UserError."""
    if not 0 <= seconds <= _LONGEST / 1e9:  # not: NaN is neither
        raise UserError(f"not a duration: {seconds} seconds")
    left = round(Fraction(seconds) * 1_000_000_000)
    if left == 0:
        return "0s"
    for unit in ("ns", "µs", "ms"):
        if left < _UNITS[unit] * 1000:
            return _decimal(left, _UNITS[unit]) + unit
    hours, left = divmod(left, _UNITS["h"])
    minutes, left = divmod(left, _UNITS["m"])
    text = _decimal(left, _UNITS["s"]) + "s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0")
