"""The readiness loop that carries all bytes: descriptors, timers, calls from other threads.

Level-triggered epoll where there is one, ``selectors`` elsewhere (or with FERRYMAN_PORTABLE=1, so
that the fall-back is tested on Linux). Edge-triggered would save little and has hung on
half-close: a short read can swallow the edge of a FIN. No asyncio: ``ferry relay`` starts without
it. One turn: wait, handlers of ready descriptors, due timers, then calls made ``soon``.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ferryman.dataplane.contract import HANGUP, READ, WRITE

Handler = Callable[[int], None]
Call = Callable[[], object]

BUFFER_SIZE = 256 * 1024
_IDLE = 3600.0


def portable() -> bool:
    """Whether to do without epoll and splice, as on macOS."""
    return bool(os.environ.get("FERRYMAN_PORTABLE")) or not hasattr(select, "epoll")


class _Poller(Protocol):
    def register(self, fd: int, mask: int) -> None: ...
    def modify(self, fd: int, mask: int) -> None: ...
    def unregister(self, fd: int) -> None: ...
    def poll(self, timeout: float) -> list[tuple[int, int]]: ...
    def close(self) -> None: ...


def _portable_selector() -> selectors.BaseSelector:
    """What there is besides epoll: kqueue or poll."""
    for name in ("KqueueSelector", "PollSelector"):
        if hasattr(selectors, name):
            selector: selectors.BaseSelector = getattr(selectors, name)()
            return selector
    return selectors.SelectSelector()


class _Selector:
    """``selectors`` with epoll's masks; it knows no HANGUP without READ or WRITE."""

    def __init__(self) -> None:
        self._selector = _portable_selector()
        self._idle: set[int] = set()

    def register(self, fd: int, mask: int) -> None:
        if mask & (READ | WRITE):
            self._selector.register(fd, self._events(mask))
        else:
            self._idle.add(fd)

    def modify(self, fd: int, mask: int) -> None:
        events = self._events(mask)
        if fd in self._idle:
            if events:
                self._idle.discard(fd)
                self._selector.register(fd, events)
        elif events:
            self._selector.modify(fd, events)
        else:
            self._selector.unregister(fd)
            self._idle.add(fd)

    def unregister(self, fd: int) -> None:
        if fd in self._idle:
            self._idle.discard(fd)
        else:
            self._selector.unregister(fd)

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        return [
            (
                key.fd,
                (READ if e & selectors.EVENT_READ else 0) | (e & selectors.EVENT_WRITE and WRITE),
            )
            for key, e in self._selector.select(timeout)
        ]

    def close(self) -> None:
        self._selector.close()

    @staticmethod
    def _events(mask: int) -> int:
        return (selectors.EVENT_READ if mask & READ else 0) | (
            selectors.EVENT_WRITE if mask & WRITE else 0
        )


class Timer:
    """A call at a time; ``cancel`` is cheap and idempotent."""

    __slots__ = ("_loop", "call", "when")

    def __init__(self, loop: Loop, when: float, call: Call) -> None:
        self._loop = loop
        self.when = when
        self.call: Call | None = call

    def cancel(self) -> None:
        if self.call is not None:
            self.call = None
            self._loop.timer_cancelled()


class Loop:
    """Owns readiness, not descriptors: who opened one closes it, after ``remove``.

    ``clock`` gives monotonic seconds. A handler that raises ends the loop: handlers deal with the
    errors of their own connection. Only ``call_threadsafe`` and ``stop`` may be called from
    another thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._forgets = portable()
        self._poller: _Poller = _Selector() if portable() else select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._cancelled = 0
        self._order = itertools.count()
        self._soon: deque[Call] = deque()
        self._from_threads: deque[Call] = deque()
        self._running = False
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._time = clock()
        self.buffer = memoryview(bytearray(BUFFER_SIZE))
        """Scratch for whoever runs now; nothing in it outlives the call."""
        self.add(self._wake_in.fileno(), READ, self._woken)

    def now(self) -> float:
        """The time at which this turn began, in monotonic seconds."""
        return self._time

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        """Call ``handler`` with the bits of READ, WRITE (as wanted) and HANGUP that hold."""
        self._handlers[fd] = handler
        self._poller.register(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        """Want other bits."""
        self._poller.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Forget a descriptor; call it before the descriptor is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def forget(self, fd: int) -> None:
        """As ``remove``, for a descriptor that is closed at once: closing takes it out of epoll."""
        if self._handlers.pop(fd, None) is not None and self._forgets:
            self._poller.unregister(fd)

    def call_soon(self, call: Call) -> None:
        """At the end of this turn, in order; calls made there run in the next turn."""
        self._soon.append(call)

    def call_at(self, when: float, call: Call) -> Timer:
        timer = Timer(self, when, call)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def call_later(self, seconds: float, call: Call) -> Timer:
        return self.call_at(self._clock() + seconds, call)

    def timer_cancelled(self) -> None:
        """For Timer. Most timers never fire: they are swept out once they are the majority."""
        self._cancelled += 1
        if self._cancelled > 64 and 2 * self._cancelled > len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2].call is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def call_threadsafe(self, call: Call) -> None:
        """As ``call_soon``, from any thread, or from a signal handler."""
        self._from_threads.append(call)
        try:
            self._wake_out.send(b"\0")
        except (BlockingIOError, OSError):
            pass  # it has been woken enough, or it is closed

    def stop(self) -> None:
        """End ``run`` after the present turn."""
        self.call_threadsafe(self._stop)

    def run(self) -> None:
        """Turn until stopped."""
        self._running = True
        while self._running:
            self.turn()

    def turn(self, longest: float = _IDLE) -> None:
        """One turn, which waits at most ``longest`` seconds for something to do."""
        timeout = longest
        if self._soon or self._from_threads:
            timeout = 0.0
        elif self._timers:
            timeout = min(longest, max(0.0, self._timers[0][0] - self._clock()))
        ready = self._poller.poll(timeout)
        self._time = self._clock()
        handlers = self._handlers
        for fd, mask in ready:
            handler = handlers.get(fd)
            if handler is not None:  # else an earlier handler of this turn removed it
                handler(mask)
        if self._timers:
            self._run_timers()
        for _ in range(len(self._soon)):
            self._soon.popleft()()

    def close(self) -> None:
        """Release the loop's own descriptors."""
        self.remove(self._wake_in.fileno())
        self._wake_in.close()
        self._wake_out.close()
        self._poller.close()

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self._time:
            timer = heapq.heappop(self._timers)[2]
            call, timer.call = timer.call, None
            if call is None:
                self._cancelled -= 1
            else:
                call()

    def _woken(self, _: int) -> None:
        try:
            while self._wake_in.recv(4096):
                pass
        except BlockingIOError:
            pass
        while self._from_threads:
            self._soon.append(self._from_threads.popleft())

    def _stop(self) -> None:
        self._running = False


assert (READ, WRITE, HANGUP) == (1, 4, 16)  # epoll's own, so that no mask is translated
