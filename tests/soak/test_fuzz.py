"""An hour's search for inputs that break what reads them; every run begins somewhere else.

FERRYMAN_FUZZ_SECONDS is how long it takes altogether, FERRYMAN_SEED repeats a run; with
FERRYMAN_FUZZ_KEEP=1 small inputs that told news are added to the corpus beside this file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from tests.support.fuzz_targets import TARGETS
from tests.support.fuzzing import Target, fuzz

SECONDS = float(os.environ.get("FERRYMAN_FUZZ_SECONDS", "3600"))
KEEP = bool(os.environ.get("FERRYMAN_FUZZ_KEEP"))


@pytest.mark.timeout(60 + 2 * SECONDS / len(TARGETS))
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_but_the_errors_that_are_meant_comes_out(
    target: Target, record_property: Callable[[str, object], None]
) -> None:
    seed = os.environ.get("FERRYMAN_SEED") or str(time.time_ns())
    print(f"FERRYMAN_SEED={seed}")
    found = fuzz(target, seed=seed, seconds=SECONDS / len(TARGETS), keep=KEEP)
    text = f"{found.inputs} inputs, {len(found.signatures)} different outcomes"
    record_property("fuzz", text)
    print(f"{target.name}: {text}")
