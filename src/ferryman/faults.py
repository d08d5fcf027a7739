"""Faults: what may be done on purpose to a connection, and how a person writes it; pure.

``latency=200ms±50,down``, ``rate=64k``, ``reset@1KB``, ``slice=1``, ``drop=5%``, ``stall=5s``,
``blackhole``: a kind with its amount, ``@`` the bytes that pass before it begins, a direction (up
is what the client says, down what it is answered), and ``share=10%`` of the connections.
``dataplane.faults`` carries them out; ``str`` of a Fault can be parsed again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from ferryman.errors import UserError

Kind = Literal["latency", "rate", "reset", "slice", "drop", "stall", "blackhole"]
Where = Literal["up", "down", "both"]

KINDS: tuple[Kind, ...] = get_args(Kind)
EXAMPLES = (
    "latency=200ms±50,down; rate=64k; reset@1KB; slice=1; drop=5%; stall=5s; blackhole,share=10%"
)
LONGEST = 3600.0
"""The most seconds of a latency or a stall."""
MOST = 1 << 40
"""The most bytes, or bytes a second."""

_TIMES = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_SIZES = {"": 1, "b": 1}
_SIZES |= {f"{prefix}{b}": 1000**n for n, prefix in enumerate("kmg", 1) for b in ("", "b")}
_SIZES |= {f"{prefix}i{b}": 1024**n for n, prefix in enumerate("kmg", 1) for b in ("", "b")}
_NUMBER = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([A-Za-zµ]*)", re.ASCII)
_LATER: tuple[Kind, ...] = ("reset", "stall", "blackhole")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. ``amount`` is seconds for latency and stall, bytes a second for rate, bytes for
    slice; ``jitter`` are seconds more or less; ``after`` bytes in its direction it begins (reset,
    stall, blackhole); ``share`` of the connections have it, from 0 to 1.
    """

    kind: Kind
    amount: float = 0.0
    jitter: float = 0.0
    after: int = 0
    direction: Where = "both"
    share: float = 1.0

    def __str__(self) -> str:
        text: str = self.kind
        if self.kind == "drop":
            return f"{text}={_percent(self.share)}"
        if self.kind in ("latency", "stall"):
            text += f"={_seconds(self.amount)}"
        elif self.kind in ("rate", "slice"):
            text += f"={self.amount:.0f}"
        if self.jitter:
            text += f"±{_seconds(self.jitter)}"
        if self.after:
            text += f"@{self.after}"
        if self.direction != "both":
            text += f",{self.direction}"
        return text if self.share == 1.0 else f"{text},share={_percent(self.share)}"


def parse(text: str) -> Fault:
    """The fault that is meant; raises UserError, which says how it is written."""
    what, *options = (part.strip() for part in text.split(","))
    what, at, after = what.partition("@")
    name, _, amount = what.partition("=")
    if name not in KINDS:
        raise UserError(f"no such fault: {name!r}", _nearest(name, KINDS))
    fault = _with_amount(Fault(name), amount)
    if at:
        if name not in _LATER:
            raise UserError(f"{name} begins at once: {text!r}", f"@ is for {_list(_LATER)}")
        fault = replace(fault, after=_bytes(after, least=0))
    for option in options:
        fault = _with_option(fault, option)
    return fault


def parse_all(texts: Iterable[str]) -> tuple[Fault, ...]:
    """Each text's fault, in order."""
    return tuple(parse(text) for text in texts)


def _with_amount(fault: Fault, text: str) -> Fault:
    match fault.kind:
        case "latency":
            base, _, jitter = text.replace("+-", "±").partition("±")
            amount, unit = _time(base)
            return replace(fault, amount=amount, jitter=_time(jitter, unit)[0] if jitter else 0.0)
        case "stall":
            return replace(fault, amount=_time(text)[0])
        case "rate":
            return replace(fault, amount=float(_bytes(text.removesuffix("/s"))))
        case "slice":
            return replace(fault, amount=float(_bytes(text)))
        case "drop":
            return replace(fault, share=_share(text))
    if text:
        raise UserError(f"{fault.kind} has no amount: {text!r}", f"such as {EXAMPLES}")
    return fault


def _with_option(fault: Fault, text: str) -> Fault:
    if fault.kind == "drop":
        raise UserError(f"drop has a share only, not {text!r}", "such as drop=5%")
    if text in get_args(Where):
        return replace(fault, direction=cast(Where, text))
    name, equals, value = text.partition("=")
    if name != "share" or not equals:
        known = (*get_args(Where), "share")
        raise UserError(f"no such part of a fault: {text!r}", _nearest(name, known))
    return replace(fault, share=_share(value))


def _time(text: str, unit: str = "") -> tuple[float, str]:
    """Seconds, and the unit they were written in."""
    number = _NUMBER.fullmatch(text)
    unit = (number[2] or unit) if number else ""
    if number is None or unit not in _TIMES:
        raise UserError(f"not a time: {text!r}", "write 200ms, 1.5s or 2m")
    seconds = round(float(number[1]) * _TIMES[unit], 6)
    if seconds > LONGEST:
        raise UserError(f"too long a time: {text!r}", "an hour is the longest")
    return seconds, unit


def _bytes(text: str, least: int = 1) -> int:
    number = _NUMBER.fullmatch(text)
    factor = _SIZES.get(number[2].lower()) if number else None
    if number is None or factor is None:
        raise UserError(f"not a number of bytes: {text!r}", "write 500, 64k, 1.5MB or 1MiB")
    count = int(float(number[1]) * factor)
    if not least <= count <= MOST:
        raise UserError(f"{count} bytes cannot be: {text!r}", f"from {least} to {MOST}")
    return count


def _share(text: str) -> float:
    number = _NUMBER.fullmatch(text.removesuffix("%")) if text.endswith("%") else None
    share = round(float(number[1]) / 100, 8) if number and not number[2] else 0.0
    if not 0 < share <= 1:
        raise UserError(f"not a share of the connections: {text!r}", "write 5%, 0.1% or 100%")
    return share


def _nearest(name: str, known: Iterable[str]) -> str:
    import difflib  # for a person's typing error only

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else f"there are {_list(known)}"


def _list(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}"


def _seconds(value: float) -> str:
    return f"{_decimal(value * 1000)}ms" if value < 1 else f"{_decimal(value)}s"


def _percent(share: float) -> str:
    return f"{_decimal(share * 100)}%"


def _decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
