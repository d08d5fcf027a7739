"""Wires on a loop that the test turns, with a clock that it holds, and what a flow would see."""

from __future__ import annotations

from collections.abc import Callable

from ferryman.dataplane.contract import (
    HANGUP,
    READ,
    DialFailure,
    Event,
    PodAddress,
    Side,
)
from ferryman.dataplane.loop import Loop
from ferryman.dataplane.wires import Wires

TURNS = 1500
"""A bound for waiting, not a wait: a turn lasts at most 10 ms, and only while nothing happens."""


class Client:
    """A dial, and what a flow would see of its side; it reads while ``reading``."""

    def __init__(self) -> None:
        self.side: Side | None = None
        self.failure: DialFailure | OSError | None = None
        self.data = bytearray()
        self.ended = False
        self.hung_up = False
        self.reading = True
        self.limit = 128 * 1024
        self.unsent = b""
        self.calls = 0

    def dialled(self, result: Side | DialFailure) -> None:
        self.calls += 1
        if isinstance(result, DialFailure):
            self.failure = result
            return
        self.side = result
        result.attach(self._ready)
        result.want(READ if self.reading else 0)
        if self.unsent:
            self.send(self.unsent)

    @property
    def over(self) -> bool:
        return self.ended or self.failure is not None

    def send(self, data: bytes) -> None:
        assert self.side is not None
        assert self.side.send(memoryview(data)) == len(data)

    def read(self) -> None:
        """Begin to read."""
        self.reading = True
        assert self.side is not None
        self.side.want(READ)

    def _ready(self, mask: int) -> None:
        assert self.side is not None
        self.hung_up |= bool(mask & HANGUP)
        if not mask & (READ | HANGUP) or not self.reading or self.over:
            return
        buffer = memoryview(bytearray(self.limit))
        try:
            count = self.side.recv_into(buffer)
        except BlockingIOError:
            return
        except (OSError, DialFailure) as error:
            self.failure = error
            self.side.want(0)
            return
        self.data += buffer[:count]
        if not count:
            self.ended = True
            self.side.want(0)


class Bench:
    """A loop, wires and a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.wall = 1_800_000_000.0
        self.events: list[Event] = []
        self.loop = Loop(clock=lambda: self.time)
        self.wires = Wires(self.loop, self.events.append, wall=lambda: self.wall)

    def until(self, condition: Callable[[], object]) -> None:
        """Turn the loop until it is so."""
        for _ in range(TURNS):
            if condition():
                return
            self.loop.turn(0.01)
        raise AssertionError(f"still not so: {condition}")

    def settle(self, turns: int = 20) -> None:
        """Turn the loop for long enough that what could happen has happened."""
        for _ in range(turns):
            self.loop.turn(0.002)

    def advance(self, seconds: float) -> None:
        """Move the clock; timers that became due run."""
        self.time += seconds
        self.wall += seconds
        self.loop.turn(0)
        self.loop.turn(0)

    def dial(
        self,
        port: int,
        pod: str = "web-1",
        *,
        cluster: str = "test",
        say: bytes = b"",
        reading: bool = True,
    ) -> Client:
        """Dial a pod's port; ``say`` is sent as soon as there is a side."""
        client = Client()
        client.unsent = say
        client.reading = reading
        address = PodAddress(cluster, "default", pod, f"uid-{pod}", port)
        self.wires.dial(address, client.dialled)
        return client

    def connect(self, port: int, pod: str = "web-1", *, reading: bool = True) -> Client:
        """Dial and wait for the side."""
        client = self.dial(port, pod, reading=reading)
        self.until(lambda: client.side or client.failure)
        assert client.side is not None, client.failure
        return client

    def ask(self, port: int, say: bytes, pod: str = "web-1") -> Client:
        """Connect, say something, and wait for the end."""
        client = self.dial(port, pod, say=say)
        self.until(lambda: client.over)
        return client

    def fill(self, side: Side) -> int:
        """Send until not even the kernel's buffers take more; how many bytes that was."""
        data, full, sent = memoryview(bytes(128 * 1024)), 0, 0
        while full < 5:
            try:
                sent += side.send(data)
                full = 0
            except BlockingIOError:
                full += 1
                self.settle(5)
        return sent

    @property
    def counts(self) -> dict[str, int]:
        """Of the one cluster."""
        (counts,) = self.wires.counts().values()
        return {name: getattr(counts, name) for name in counts.__slots__}
