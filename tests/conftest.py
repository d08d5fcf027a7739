"""What holds for every test: hypothesis' profiles, and that nothing is left behind.

Profiles, by HYPOTHESIS_PROFILE or chosen here: ``dev`` (quick), ``ci`` (with CI set) and ``soak``
(`make soak`). None has a deadline: two shared cores are late now and then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support import leaks

SLOW_IS_NO_FAILURE = [HealthCheck.too_slow]
settings.register_profile(
    "dev", deadline=None, max_examples=50, suppress_health_check=SLOW_IS_NO_FAILURE
)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=150,
    print_blob=True,
    suppress_health_check=SLOW_IS_NO_FAILURE,
)
settings.register_profile(
    "soak", deadline=None, max_examples=2000, suppress_health_check=SLOW_IS_NO_FAILURE
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a child process, a thread or an open socket behind.

    A fixture of a wider scope may own such things for longer: it is set up before this one.
    """
    before = leaks.Census.take()
    yield
    left = leaks.left_since(before)
    if left:
        pytest.fail(f"left behind by {request.node.name}: {'; '.join(left)}", pytrace=False)
