"""Interleaves the contenders of a scenario, so that a drift of the machine meets all of them alike.

Every round measures each contender once, in an order that turns from round to round. Figures of one
round belong together: ``report`` compares them pairwise before it takes a median.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from bench.programs import Failed

Figures = Mapping[str, float | None]
"""What one measurement found, by the figure's name; None where the contender failed."""
Measure = Callable[[], Figures]
Results = dict[str, dict[str, list[float | None]]]
"""Values by figure and contender, one a round."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something to measure. ``prepare`` starts what it needs, to be stopped with the stack, and
    returns a measure for each contender.
    """

    name: str
    prepare: Callable[[ExitStack], Mapping[str, Measure]]
    rounds: int | None = None  # fewer than asked for, where one says it all


def run(scenarios: Iterable[Scenario], rounds: int) -> Results:
    """Measure all scenarios, one after the other; says on stderr where it is."""
    results: Results = {}
    for scenario in scenarios:
        with ExitStack() as stack:
            measures = scenario.prepare(stack)
            for number in range(min(rounds, scenario.rounds or rounds)):
                _say(f"{scenario.name}: round {number + 1}")
                for contender in turned(list(measures), number):
                    for figure, value in measures[contender]().items():
                        by_contender = results.setdefault(figure, {})
                        by_contender.setdefault(contender, []).append(value)
    return results


def attempt(names: Iterable[str], measure: Measure) -> Figures:
    """What a measure finds, or that these figures failed, if what it measures breaks under it."""
    try:
        return measure()
    except (OSError, Failed) as error:  # the program is gone, or does not carry, or not in time
        _say(f"failed: {error}")
        return dict.fromkeys(names)


def turned(names: list[str], number: int) -> list[str]:
    """The names in the order of a round: each comes first in turn."""
    first = number % len(names)
    return names[first:] + names[:first]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
