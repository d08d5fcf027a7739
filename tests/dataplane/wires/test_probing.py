"""Whether a pod's port takes connections, asked over a wire that only tells of refusals."""

from __future__ import annotations

import pytest

from ferryman.dataplane.contract import DialFailure, PodAddress
from ferryman.dataplane.probing import Probe
from tests.support import portforward_server as pods
from tests.support.wires import Bench

PATIENCE = 0.4


def asked(bench: Bench, port: int) -> list[DialFailure | None]:
    """The answers, of which there is to be one."""
    answers: list[DialFailure | None] = []
    address = PodAddress("test", "default", "web-1", "uid-web-1", port)
    Probe(bench.loop, PATIENCE, answers.append).start(lambda done: bench.wires.dial(address, done))
    return answers


def test_a_refusal_comes_as_it_does_to_a_connection(bench: Bench) -> None:
    answers = asked(bench, pods.REFUSE)
    bench.until(lambda: answers)
    bench.advance(PATIENCE)
    [failure] = answers
    assert failure is not None
    assert failure.kind == "refused"


@pytest.mark.parametrize("port", [pods.ECHO, pods.SILENT])
def test_no_refusal_for_a_while_is_a_yes(bench: Bench, port: int) -> None:
    answers = asked(bench, port)
    bench.until(lambda: bench.counts["live"])
    bench.settle()
    assert not answers
    bench.advance(PATIENCE)
    assert answers == [None]
    bench.until(lambda: not bench.counts["live"])


def test_a_pod_that_speaks_has_accepted(bench: Bench) -> None:
    answers = asked(bench, pods.HELLO)
    bench.until(lambda: answers)
    bench.advance(PATIENCE)
    assert answers == [None]


def test_what_there_is_no_wire_to_cannot_be_reached(bench: Bench) -> None:
    answers: list[DialFailure | None] = []
    address = PodAddress("nowhere", "default", "web-1", "uid-web-1", pods.ECHO)
    Probe(bench.loop, PATIENCE, answers.append).start(lambda done: bench.wires.dial(address, done))
    [failure] = answers
    assert failure is not None
    assert failure.kind == "unavailable"
