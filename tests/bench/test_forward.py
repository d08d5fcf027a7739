"""What becomes of a contender that breaks; the contenders themselves run in `make bench`."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from bench import backend
from bench.forward import Forward, Route
from bench.load import Clients, clients
from bench.programs import Failed, free_port, running


@pytest.fixture(scope="module")
def pool() -> Iterator[Clients]:
    with clients() as started:
        yield started


def echoing(stack: ExitStack) -> Route:
    address = ("127.0.0.1", free_port())
    command = [sys.executable, backend.__file__, f"{address[0]}:{address[1]}"]
    program = stack.enter_context(running(command))
    program.wait_listening(address)
    return Route(address, program)


def test_a_contender_that_breaks_has_failed_and_starts_anew(pool: Clients) -> None:
    pids: list[int] = []

    def measure(route: Route) -> dict[str, float | None]:
        assert route.program
        pids.append(route.program.pid)
        if len(pids) == 2:
            route.program.stop()
        return {"rate": pool.rate(route.address, 2, 0.1)}

    warmed: list[Route] = []
    with closing(Forward(echoing, warmed.append)) as forward:
        figures = [forward.attempt(["rate"], measure)["rate"] for _ in range(4)]
    assert [figure is None for figure in figures] == [False, True, False, False]
    assert pids[0] == pids[1] != pids[2] == pids[3]
    assert len(warmed) == 2


def test_a_contender_that_does_not_start_has_failed() -> None:
    def never(stack: ExitStack) -> Route:
        raise Failed("it did not say that it forwards")

    with closing(Forward(never)) as forward:
        assert forward.attempt(["p50", "p99"], lambda _: {}) == {"p50": None, "p99": None}


def test_a_mistake_of_the_bench_is_no_failure_of_the_contender() -> None:
    def mistaken(route: Route) -> dict[str, float | None]:
        raise AssertionError(route)

    with closing(Forward(echoing)) as forward:
        with pytest.raises(AssertionError):
            forward.attempt(["rate"], mistaken)
