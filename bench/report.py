"""Turns figures into ratios, bars and the tables of docs/performance.md; pure.

A ratio is the median of the rounds' own ratios (ours to the peer's of the same round). Absolute
figures go to bench/results/latest.json only: they say more about the machine than about us.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    """A figure of the table: its name in the results, what to call it, its bars."""

    figure: str
    title: str
    bars: tuple[Bar, ...] = ()
    unit: str = ""  # of our own value, where that is shown instead of ratios


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """The median of pairwise ratios."""
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


def table(rows: Iterable[Row], results: Results, peers: Iterable[str]) -> str:
    """A Markdown table of the rows that were measured: ratios to each peer, bars, verdicts."""
    peers = list(peers)
    lines = [
        f"| figure | {' | '.join(f'to {peer}' for peer in peers)} | bar | |",
        f"|---|{'---|' * len(peers)}---|---|",
    ]
    for row in rows:
        if row.figure in results:
            measured = results[row.figure]
            cells = [_cell(measured, peer, row) for peer in peers]
            bars = "; ".join(_bar(bar, row, measured, peers) for bar in row.bars)
            lines.append(
                f"| {row.title} | {' | '.join(cells)} | {bars} | {_verdict(row, measured)} |"
            )
    return "\n".join(lines) + "\n"


def missed(rows: Iterable[Row], results: Results) -> list[str]:
    """The titles of the rows with a bar that was not met."""
    return [r.title for r in rows if r.figure in results and _missed(r, results[r.figure])]


def _cell(measured: Mapping[str, list[float]], peer: str, row: Row) -> str:
    if peer not in measured:
        return ""
    if row.unit:
        return f"{_number(median(measured[OURS]))} to {_number(median(measured[peer]))} {row.unit}"
    return f"{_number(ratio(measured[OURS], measured[peer]))} x"


def _bar(bar: Bar, row: Row, measured: Mapping[str, list[float]], peers: list[str]) -> str:
    sign = "≤" if bar.at_most else "≥"
    if bar.peer is None:
        return f"{sign} {bar.limit:g} {row.unit}"
    text = f"{sign} {bar.limit:g} x {bar.peer}"
    if bar.peer in peers:
        return text
    return f"{text} (is {_number(ratio(measured[OURS], measured[bar.peer]))} x)"  # no column has it


def _verdict(row: Row, measured: Mapping[str, list[float]]) -> str:
    if not row.bars:
        return ""
    return "**missed**" if _missed(row, measured) else "met"


def _missed(row: Row, measured: Mapping[str, list[float]]) -> bool:
    ours = measured[OURS]
    return not all(
        bar.met(ratio(ours, measured[bar.peer]) if bar.peer else median(ours)) for bar in row.bars
    )


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def replace_block(document: str, name: str, text: str) -> str:
    """The document with a new text between the comments that open and close the block."""
    opening, closing = f"<!-- bench {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = document.partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise ValueError(f"the document has no block for {name}: {opening.strip()} … {closing}")
    return f"{before}{opening}{text}{closing}{after}"
