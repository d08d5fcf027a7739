"""What a shell is offered: kinds, then names and ports as a real demo cluster has them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.demo import Demo, running_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def offered(line: str, kubeconfig: str) -> set[str]:
    """What argcomplete answers to a shell that asks at the end of a line."""
    answer_on_stdout = "import os; os.dup2(1, 8); from ferryman.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", answer_on_stdout],
        env={**os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
             "_ARGCOMPLETE_IFS": "\n", "KUBECONFIG": kubeconfig},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return {word.strip() for word in done.stdout.split("\n")}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ferry forward dep", {"deployment/"}),
        ("ferry forward deploy/ex", {"deploy/example-go"}),
        ("ferry why svc/", {"svc/cache", "svc/example-go", "svc/web"}),
        ("ferry forward deploy/web ht", {"http"}),
        ("ferry forward -n def", {"default"}),
        ("ferry forward --context fe", {"ferryman-demo"}),
    ],
)
def test_what_there_is_is_offered(demo: Demo, line: str, words: set[str]) -> None:
    assert offered(line, demo.kubeconfig) >= words


def test_without_a_cluster_nothing_is_offered_and_nothing_is_said(tmp_path: Path) -> None:
    assert offered("ferry forward deploy/ex", str(tmp_path / "none")) == {""}
