"""What a course lets pass and when, told by a clock and a chance that the test holds."""

from __future__ import annotations

from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman import faults
from ferryman.dataplane.faults import (
    MOST,
    Abort,
    Chance,
    Course,
    Pass,
    WaitUntil,
    befall,
    course,
)
from ferryman.faults import Fault
from ferryman.inspection.feed import DOWN, UP, Direction


def middle() -> float:
    return 0.5


def up(*texts: str, chance: Chance = middle) -> Course:
    found = course(faults.parse_all(texts), UP, chance)
    assert found is not None
    return found


class Traveller:
    """Bytes on their way through a course: reads what may pass, at once and in full."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self.now = 0.0
        self.come = 0
        self.passed = 0
        self.log: list[tuple[float, int]] = []
        """When how many bytes had passed."""

    def comes(self, count: int) -> None:
        self.come += count
        self.go()

    def go(self, until: float | None = None) -> Abort | None:
        """Let pass what passes now, or up to a time."""
        while True:
            if self.passed == self.come:
                break
            step = self.course.step(self.passed, self.come, self.now)
            if isinstance(step, Abort):
                return step
            if isinstance(step, Pass):
                assert step.limit > 0
                self.passed += min(step.limit, self.come - self.passed)
                self.log.append((self.now, self.passed))
            elif until is None or step.when > until:
                break
            else:
                assert step.when > self.now
                self.now = step.when
        if until is not None:
            self.now = max(self.now, until)
        return None


def test_nothing_of_a_direction_without_faults_is_asked() -> None:
    only_down = faults.parse_all(["latency=1s,down", "drop=5%"])
    assert course(only_down, UP, middle) is None
    assert course(only_down, DOWN, middle) is not None


def test_latency_passes_each_byte_so_much_later_than_it_came() -> None:
    way = Traveller(up("latency=250ms"))
    way.comes(100)
    way.go(until=0.125)
    assert way.passed == 0
    way.comes(50)
    way.go(until=0.375)
    assert way.log == [(0.25, 100), (0.375, 150)]


def test_latency_does_not_make_a_stream_slower() -> None:
    way = Traveller(up("latency=200ms"))
    for hundredth in range(1, 101):
        way.comes(1000)
        way.go(until=hundredth / 100)
    assert way.passed == pytest.approx(80_000, abs=3000)
    way.go(until=1.25)
    assert way.passed == 100_000


def test_latency_looks_for_what_comes_while_something_waits() -> None:
    held = up("latency=1s")
    assert held.step(0, 10, 0.0) == WaitUntil(0.02)
    assert held.step(0, 20, 0.02) == WaitUntil(0.04)
    assert held.step(0, 20, 0.99) == WaitUntil(1.0)
    assert held.step(0, 20, 1.0) == Pass(10)
    assert held.step(10, 20, 1.02) == Pass(10)


def test_jitter_is_more_or_less_but_nothing_overtakes() -> None:
    numbers = iter([1.0, 0.0])
    held = up("latency=200ms±50", chance=lambda: next(numbers))
    held.step(0, 10, 0.0)
    held.step(0, 20, 0.01)
    assert held.step(0, 20, 0.24) == WaitUntil(0.25)
    assert held.step(0, 20, 0.25) == Pass(20)


def test_a_rate_is_kept_over_time() -> None:
    way = Traveller(up("rate=64k"))
    way.comes(1_000_000)
    way.go(until=5.0)
    assert way.passed == pytest.approx(320_000, rel=0.01)
    shares = [now - before for (before, _), (now, _) in zip(way.log, way.log[1:], strict=False)]
    assert max(shares) < 0.05


def test_a_slow_rate_passes_byte_by_byte() -> None:
    way = Traveller(up("rate=2"))
    way.comes(5)
    way.go(until=10.0)
    assert way.log == [(0.0, 1), (0.5, 2), (1.0, 3), (1.5, 4), (2.0, 5)]


def test_what_a_rate_did_not_use_is_not_saved_up() -> None:
    way = Traveller(up("rate=1000"))
    way.comes(1)
    way.go(until=100.0)
    way.comes(1000)
    way.go(until=100.5)
    assert way.passed == pytest.approx(500, abs=50)


def test_slices_are_of_their_size() -> None:
    way = Traveller(up("slice=3"))
    way.comes(10)
    assert [passed for _, passed in way.log] == [3, 6, 9, 10]


def test_a_reset_lets_exactly_its_bytes_pass() -> None:
    course = up("reset@1KB")
    assert course.ends
    assert course.step(0, 5000, 0.0) == Pass(1000)
    assert course.step(900, 5000, 0.0) == Pass(100)
    assert course.step(1000, 5000, 0.0) == Abort("a fault: reset@1000")


def test_a_stall_begins_at_its_byte_and_ends() -> None:
    way = Traveller(up("stall=5s@10"))
    way.comes(30)
    assert way.log == [(0.0, 10)]
    way.go(until=100.0)
    way.comes(5)
    assert way.log == [(0.0, 10), (5.0, 30), (100.0, 35)]


def test_a_black_hole_takes_its_bytes_and_then_nothing_ever() -> None:
    hole = up("blackhole@10")
    assert hole.step(0, 100, 0.0) == Pass(10)
    assert hole.step(10, 100, 0.0) == WaitUntil(inf)
    assert hole.step(10, 100, 1e9) == WaitUntil(inf)


def test_the_strictest_of_several_decides() -> None:
    way = Traveller(up("slice=4", "latency=1s", "reset@6"))
    way.comes(100)
    end = way.go(until=10.0)
    assert way.log == [(1.0, 4), (1.0, 6)]
    assert end == Abort("a fault: reset@6")


def test_a_share_of_the_connections_is_spared() -> None:
    numbers = iter([0.09, 0.1, 0.04])
    given = (Fault("slice", 1, share=0.1), Fault("reset", share=0.1), Fault("drop", share=0.05))
    assert befall(given, lambda: next(numbers)) == (given[0], given[2])
    assert befall([Fault("reset")], lambda: next(iter([]))) == (Fault("reset"),)


_texts = st.sampled_from(
    ["latency=30ms±20", "rate=1k", "slice=7", "stall=100ms@50", "latency=1ms", "rate=1MB"]
)


@given(
    st.lists(_texts, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(1, 500), st.floats(0, 0.5)), max_size=20),
    st.randoms(use_true_random=False),
    st.sampled_from([UP, DOWN]),
)
def test_every_byte_passes_in_the_end_and_none_before_it_came(
    texts: list[str], arrivals: list[tuple[int, float]], random: Random, direction: Direction
) -> None:
    found = course(faults.parse_all(texts), direction, random.random)
    assert found is not None
    way = Traveller(found)
    for count, pause in arrivals:
        way.comes(count)
        way.go(until=way.now + pause)
    way.go(until=way.now + 60)
    assert way.passed == way.come <= MOST
