"""Everything under tests/soak is long: marked ``soak``, run by `make soak` only, with more time."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TIMEOUT = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.soak)
            item.add_marker(pytest.mark.timeout(TIMEOUT))
