from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Iterator

import pytest

from ferryman.dataplane.contract import READ, WRITE
from ferryman.dataplane.loop import Loop


class Hand:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture(params=["native", "portable"])
def loop(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, clock: Hand
) -> Iterator[Loop]:
    if request.param == "portable":
        monkeypatch.setenv("FERRYMAN_PORTABLE", "1")
    one = Loop(clock)
    yield one
    one.close()


def test_timers_fire_in_order_of_time_and_not_before(loop: Loop, clock: Hand) -> None:
    fired: list[str] = []
    loop.call_later(2, lambda: fired.append("second"))
    loop.call_later(1, lambda: fired.append("first"))
    loop.call_later(1.5, lambda: fired.append("never")).cancel()
    loop.turn(0)
    assert fired == []
    clock.time += 2
    loop.turn(0)
    assert fired == ["first", "second"]


def test_cancelled_timers_do_not_pile_up(loop: Loop) -> None:
    keep = loop.call_later(1000, lambda: None)
    for _ in range(10_000):
        loop.call_later(10, lambda: None).cancel()
    assert len(loop._timers) < 200
    assert any(entry[2] is keep for entry in loop._timers)


def test_calls_made_soon_run_in_order_and_those_made_then_a_turn_later(loop: Loop) -> None:
    ran: list[int] = []

    def first() -> None:
        ran.append(1)
        loop.call_soon(lambda: ran.append(3))

    loop.call_soon(first)
    loop.call_soon(lambda: ran.append(2))
    loop.turn(0)
    assert ran == [1, 2]
    loop.turn(0)
    assert ran == [1, 2, 3]


def test_another_thread_wakes_the_loop(loop: Loop) -> None:
    ran = threading.Event()
    thread = threading.Thread(target=lambda: loop.call_threadsafe(ran.set))
    thread.start()
    while not ran.is_set():
        loop.turn(5)
    thread.join()


def test_readiness_is_level_triggered_and_follows_what_is_wanted(loop: Loop) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        masks: list[int] = []
        loop.add(ours.fileno(), READ, masks.append)
        theirs.send(b"x")
        loop.turn(1)
        loop.turn(1)
        assert masks == [READ, READ]
        loop.modify(ours.fileno(), 0)
        loop.turn(0)
        assert len(masks) == 2
        loop.modify(ours.fileno(), WRITE)
        loop.turn(1)
        assert masks[2:] == [WRITE]
        loop.remove(ours.fileno())
        loop.turn(0)
        assert len(masks) == 3


def test_a_handler_removed_in_the_same_turn_is_not_called(loop: Loop) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def ready(index: int, _: int) -> None:
        called.append(index)
        loop.remove(pairs[1 - index][0].fileno())

    for index, (ours, theirs) in enumerate(pairs):
        loop.add(ours.fileno(), READ, functools.partial(ready, index))
        theirs.send(b"x")
    loop.turn(1)
    assert len(called) == 1
    loop.remove(pairs[called[0]][0].fileno())
    for pair in pairs:
        for sock in pair:
            sock.close()
