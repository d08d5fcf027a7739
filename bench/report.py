"""Turns figures into ratios, bars and the tables of docs/performance.md; pure.

A ratio is the median of the rounds' own ratios (ours to the peer's of the same round). Absolute
figures go to bench/results/latest.json only: they say more about the machine than about us.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.rounds import Results

OURS = "ferry"


@dataclass(frozen=True, slots=True)
class Bar:
    """What a ratio to a peer must reach, or must not exceed. Without a peer: our own value."""

    peer: str | None
    limit: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of the table: its name in the results, what to call it, bars, and aims beyond."""

    figure: str
    title: str
    bars: tuple[Bar, ...] = ()
    unit: str = ""  # of our own value, where that is shown instead of ratios
    aims: tuple[Bar, ...] = ()


Values = Sequence[float | None]
"""A contender's values of one figure, one a round; None where it failed."""


def ratio(ours: Values, theirs: Values) -> float | None:
    """The median of pairwise ratios, over the rounds in which neither failed; None without any."""
    pairs = zip(ours, theirs, strict=True)
    ratios = [mine / other for mine, other in pairs if mine is not None and other is not None]
    return median(ratios) if ratios else None


def table(rows: Iterable[Row], results: Results, peers: Iterable[str]) -> str:
    """A Markdown table of what was measured: ratios to each peer, bars, aims, verdicts."""
    rows, peers = [row for row in rows if row.figure in results], list(peers)
    aimed = any(row.aims for row in rows)
    head = ["figure", *(f"to {peer}" for peer in peers), "bar", "", *(["aim", ""] if aimed else [])]
    lines = [_line(head), "|---" * len(head) + "|"]
    for row in rows:
        measured = results[row.figure]
        cells = [row.title, *(_cell(measured, peer, row) for peer in peers)]
        for bars in (row.bars, row.aims) if aimed else (row.bars,):
            cells.append("; ".join(_bar(bar, row, measured, peers) for bar in bars))
            cells.append(_verdict(bars, measured))
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def missed(rows: Iterable[Row], results: Results) -> list[str]:
    """The titles of the rows with a bar, or an aim, that was not met."""
    titles = []
    for row in rows:
        if row.figure in results:
            measured = results[row.figure]
            if _missed(row.bars, measured):
                titles.append(row.title)
            if _missed(row.aims, measured):
                titles.append(f"{row.title} (aim)")
    return titles


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(measured: Mapping[str, Values], peer: str, row: Row) -> str:
    if peer not in measured:
        return ""
    ours, theirs = measured[OURS], measured[peer]
    if None in theirs:
        return _failed(theirs)
    if None in ours:
        return f"ours {_failed(ours)}"
    if row.unit:
        return f"{_number(_median(ours))} to {_number(_median(theirs))} {row.unit}"
    return f"{_number(ratio(ours, theirs))} x"


def _failed(values: Values) -> str:
    count = sum(value is None for value in values)
    return "failed" if count == len(values) else f"failed in {count} of {len(values)} rounds"


def _bar(bar: Bar, row: Row, measured: Mapping[str, Values], peers: list[str]) -> str:
    sign = "≤" if bar.at_most else "≥"
    if bar.peer is None:
        return f"{sign} {bar.limit:g} {row.unit}"
    text = f"{sign} {bar.limit:g} x {bar.peer}"
    if bar.peer in peers:
        return text
    return f"{text} (is {_number(ratio(measured[OURS], measured[bar.peer]))} x)"  # no column has it


def _verdict(bars: Sequence[Bar], measured: Mapping[str, Values]) -> str:
    if not bars:
        return ""
    return "**missed**" if _missed(bars, measured) else "met"


def _missed(bars: Sequence[Bar], measured: Mapping[str, Values]) -> bool:
    return bool(bars) and (None in measured[OURS] or not all(_met(bar, measured) for bar in bars))


def _met(bar: Bar, measured: Mapping[str, Values]) -> bool:
    ours = measured[OURS]
    value = ratio(ours, measured[bar.peer]) if bar.peer else _median(ours)
    return value is None or bar.met(value)  # whoever failed in every round is beaten


def _median(values: Values) -> float:
    return median(value for value in values if value is not None)


def _number(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def replace_block(document: str, name: str, text: str) -> str:
    """The document with a new text between the comments that open and close the block."""
    opening, closing = f"<!-- bench {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = document.partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise ValueError(f"the document has no block for {name}: {opening.strip()} … {closing}")
    return f"{before}{opening}{text}{closing}{after}"
