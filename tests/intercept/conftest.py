"""Every test has a state folder of its own, and keeps its working directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.unixservers import Echo, echo


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("FERRY_HOME", str(folder))
    monkeypatch.chdir(tmp_path)  # ``swap`` changes it
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Echo]:
    with echo(tmp_path / "x.sock") as running:
        yield running
