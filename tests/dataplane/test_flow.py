"""A flow by itself, on socket pairs: what the tests through an engine cannot provoke."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from random import random

import pytest

from ferryman import faults
from ferryman.dataplane.contract import DialFailure
from ferryman.dataplane.direction import Meter
from ferryman.dataplane.flow import Flow
from ferryman.dataplane.loop import Loop
from ferryman.dataplane.pipes import Pipes
from ferryman.dataplane.sockets import SocketSide
from ferryman.dataplane.valve import valves


class Owner:
    """Notes what it is told, and may be told to break."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.defect: Exception | None = None

    def sent(self, data: memoryview) -> None:
        if self.defect is not None:
            raise self.defect
        self.told.append(f"sent {bytes(data)!r}")

    def received(self, data: memoryview) -> None:
        self.told.append(f"received {bytes(data)!r}")

    def target_ended(self) -> bool:
        self.told.append("target ended")
        return True

    def target_failed(self, error: OSError | DialFailure) -> None:
        self.told.append("target failed")

    def client_failed(self, error: OSError) -> None:
        self.told.append("client failed")

    def broke(self, error: Exception) -> None:
        self.told.append(f"broke: {error}")

    def disturbed(self, why: str) -> None:
        self.told.append(f"disturbed: {why}")

    def ended(self) -> None:
        self.told.append("ended")


class Bench:
    """A flow and the outer ends of its two socket pairs."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.owner = Owner()
        self.client, ours = socket.socketpair()
        theirs, self.server = socket.socketpair()
        self.sides = SocketSide(self.loop, ours), SocketSide(self.loop, theirs)
        for sock in (ours, theirs):
            sock.setblocking(False)
        self.meters = (Meter(), Meter())
        client, target = self.sides
        self.flow = Flow(self.loop, Pipes(), self.owner, client, target, self.meters, watched=True)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.turn(1)

    def close(self) -> None:
        for side in self.sides:
            side.close()
        self.client.close()
        self.server.close()
        self.loop.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    one = Bench()
    yield one
    one.close()


def test_a_watched_flow_shows_its_bytes_in_order(bench: Bench) -> None:
    bench.flow.start()
    bench.client.send(b"question")
    bench.turn()
    bench.server.send(b"answer")
    bench.turn()
    assert bench.server.recv(100) == b"question"
    assert bench.client.recv(100) == b"answer"
    assert bench.owner.told == ["sent b'question'", "received b'answer'"]
    assert [m.count for m in bench.meters] == [8, 6]


def test_a_replay_comes_before_what_the_client_says_next(bench: Bench) -> None:
    bench.client.send(b"new")
    bench.flow.start(b"old ")
    bench.turn()
    assert bench.server.recv(100) == b"old new"
    assert bench.owner.told == ["sent b'new'"]


def test_a_replay_of_a_client_that_had_ended_ends_too(bench: Bench) -> None:
    bench.flow.start(b"all", client_ended=True)
    assert bench.server.recv(100) == b"all"
    assert bench.server.recv(100) == b""
    bench.server.send(b"answer")
    bench.turn()
    assert bench.client.recv(100) == b"answer"


def test_a_defect_of_ours_is_told_to_the_owner_and_does_not_end_the_loop(bench: Bench) -> None:
    bench.owner.defect = RuntimeError("oops")
    bench.flow.start()
    bench.client.send(b"x")
    bench.turn()
    assert bench.owner.told == ["broke: oops"]


def test_a_stopped_flow_leaves_its_sides_alone(bench: Bench) -> None:
    bench.flow.start()
    bench.flow.stop()
    bench.client.send(b"x")
    bench.turn()
    bench.server.setblocking(False)
    with pytest.raises(BlockingIOError):
        bench.server.recv(1)
    assert bench.sides[0].sock.recv(1) == b"x"
    assert bench.owner.told == []


def test_slices_leave_one_by_one(bench: Bench) -> None:
    bench.flow.disturb(valves(bench.loop, [faults.parse("slice=1")], random))
    bench.flow.start()
    bench.client.send(b"abc")
    for byte in (b"a", b"b", b"c"):
        bench.turn()
        assert bench.server.recv(100) == byte


def test_a_held_flow_does_not_spin_when_both_ends_hang_up(bench: Bench) -> None:
    bench.flow.disturb(valves(bench.loop, [faults.parse("stall=1m")], random))
    bench.flow.start()
    bench.client.send(b"x")
    bench.turn()
    bench.client.close()
    bench.server.close()
    bench.turn(3)  # until the hang-up has been told
    idle = threading.Timer(0.2, lambda: bench.loop.call_threadsafe(lambda: None))
    idle.start()
    before = time.process_time()
    bench.turn()
    assert time.process_time() - before < 0.1
    idle.join()
