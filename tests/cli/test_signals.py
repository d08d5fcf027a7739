import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from ferryman.cli.signals import SIGNALS, Interrupts


@pytest.fixture(autouse=True)
def not_under_nohup() -> Iterator[None]:
    """These tests may run under nohup themselves."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
async def test_the_first_signal_asks_and_the_second_insists(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(interrupts.stopping.wait(), 5)
        assert not interrupts.now.is_set()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(interrupts.now.wait(), 5)


async def test_a_signal_that_is_passed_on_stops_nothing() -> None:
    passed: list[signal.Signals] = []
    arrived = asyncio.Event()

    def pass_on(number: signal.Signals) -> bool:
        passed.append(number)
        arrived.set()
        return len(passed) == 1

    with Interrupts(pass_on) as interrupts:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(arrived.wait(), 5)
        assert not interrupts.stopping.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(interrupts.stopping.wait(), 5)
    assert passed == [signal.SIGTERM, signal.SIGTERM]


async def test_afterwards_ctrl_c_is_what_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


async def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert not interrupts.stopping.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
