"""A short look for inputs that break what reads them; `make soak` looks for an hour.

The inputs that were kept, those among them that once failed, are tried first.
"""

from __future__ import annotations

import pytest

from tests.support.fuzz_targets import TARGETS
from tests.support.fuzzing import Target, fuzz

INPUTS = 1500


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_but_the_errors_that_are_meant_comes_out(target: Target) -> None:
    found = fuzz(target, seed="short", inputs=INPUTS)
    assert found.inputs >= INPUTS
    assert len(found.signatures) > 3, "the inputs do not get anywhere"
