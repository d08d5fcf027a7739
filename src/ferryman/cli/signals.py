"""Ctrl-C and SIGTERM for verbs that serve: the first asks to finish, the second insists.

For asyncio verbs (``forward``, ``demo``); the one-shot relay has the readiness loop's own way.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While entered, takes the signals that mean "stop".

    ``stopping`` is set by the first, ``now`` by the second. ``passed_on`` is asked first, on the
    event loop: if it took a signal (for a child process), that is all. Leaving restores what was.
    """

    def __init__(self, passed_on: Callable[[signal.Signals], bool] = lambda _: False) -> None:
        self.stopping = asyncio.Event()
        self.now = asyncio.Event()
        self._passed_on = passed_on
        self._taken: list[signal.Signals] = []

    def __enter__(self) -> Interrupts:
        loop = asyncio.get_running_loop()
        # Under nohup(1) SIGHUP is ignored, and is to stay so.
        nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._taken = [n for n in SIGNALS if not (nohup and n is signal.SIGHUP)]
        for number in self._taken:
            loop.add_signal_handler(number, self._signalled, number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in self._taken:
            loop.remove_signal_handler(number)

    def _signalled(self, number: signal.Signals) -> None:
        if self._passed_on(number):
            return
        if self.stopping.is_set():
            self.now.set()
        else:
            self.stopping.set()
