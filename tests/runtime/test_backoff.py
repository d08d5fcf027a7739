from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ferryman.runtime.backoff import Backoff


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(rand=lambda: 0.0)
    waits = [backoff.next() for _ in range(9)]
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    backoff.reset()
    assert backoff.next() == 0.05


@given(st.lists(st.floats(0, 1), max_size=30))
def test_jitter_adds_at_most_a_tenth_and_never_exceeds_the_cap(numbers: list[float]) -> None:
    given_numbers = iter(numbers)
    plain = Backoff(rand=lambda: 0.0)
    jittered = Backoff(rand=lambda: next(given_numbers))
    for _ in numbers:
        least, wait = plain.next(), jittered.next()
        assert least <= wait <= min(least * 1.1 + 1e-9, 5.0)
