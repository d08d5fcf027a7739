from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ferryman.dataplane.pipes import Pipes

pytestmark = pytest.mark.skipif(not hasattr(os, "splice"), reason="no splice here")


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    pool = Pipes(budget=2)
    yield pool
    pool.close()


def test_a_pipe_is_lent_again(pipes: Pipes) -> None:
    first = pipes.take()
    assert first is not None
    pipes.give_back(first, 0)
    assert pipes.take() is first
    pipes.give_back(first, 0)


def test_a_pipe_with_bytes_left_in_it_is_not(pipes: Pipes) -> None:
    first = pipes.take()
    assert first is not None
    os.write(first.write, b"somebody's secret")
    pipes.give_back(first, 17)
    second = pipes.take()
    assert second is not None
    assert second is not first
    with pytest.raises(BlockingIOError):
        os.read(second.read, 1)
    pipes.give_back(second, 0)


def test_past_the_budget_there_is_none_and_the_flow_copies(pipes: Pipes) -> None:
    lent = [pipes.take(), pipes.take()]
    assert pipes.take() is None
    for pipe in lent:
        assert pipe is not None
        pipes.give_back(pipe, 0)
    again = pipes.take()
    assert again is not None
    pipes.give_back(again, 0)


def test_a_pipe_that_cannot_grow_is_not_worth_having(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unprivileged user past pipe-user-pages-soft gets pipes of 8 KiB."""
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr("ferryman.dataplane.pipes.SET_PIPE_SIZE", -1)
    assert pipes.take() is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_where_there_is_no_splice_nothing_is_lent() -> None:
    assert Pipes(splices=False).take() is None
