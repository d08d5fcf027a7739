"""An inspector for tests: takes the feed in a thread of its own, or leaves it for a while."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ferryman.dataplane.contract import Policy
from ferryman.inspection import feed
from ferryman.inspection.feed import Direction
from tests.support.plane import PATIENCE, Plane

T = TypeVar("T")
FULL = Policy(hold=0, observe="Full")


class Listener:
    """What it heard is in ``records``; ``reads`` is cleared to let the feed wait."""

    def __init__(self) -> None:
        self.records: list[feed.Record] = []
        self.starts = 0
        self.reads = threading.Event()
        self.reads.set()
        self._feed, self._records_to = os.pipe()
        self._commands_from, self._commands = os.pipe()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="inspector under test")

    def start(self) -> tuple[int, int]:
        """What the engine calls."""
        self.starts += 1
        self._thread.start()
        return self._records_to, self._commands_from

    def skip(self, connection: int, direction: Direction, until: int | None) -> None:
        os.write(self._commands, feed.encode_command(feed.Skip(connection, direction, until)))

    def say(self, data: bytes) -> None:
        """Say something that need not be a whole command."""
        os.write(self._commands, data)

    def die(self) -> None:
        """End the commands, as the death of a process would."""
        os.close(self._commands)
        self._commands = -1

    def wait(self, condition: Callable[[list[feed.Record]], T | None]) -> T:
        """What the condition returns, once that is true."""
        with self._changed:
            found = self._changed.wait_for(lambda: condition(self.records), PATIENCE)
            assert found, [type(record).__name__ for record in self.records[-20:]]
            return found

    def wait_for(self, kind: type[T], number: int = 1) -> T:
        """The n-th record of a kind."""

        def find(records: list[feed.Record]) -> T | None:
            found = [r for r in records if isinstance(r, kind)]
            return found[number - 1] if len(found) >= number else None

        return self.wait(find)

    def said(self, direction: Direction, connection: int | None = None) -> list[bytes | int]:
        """A direction's bytes, joined, and the holes between them."""
        found: list[bytes | int] = []
        for record in list(self.records):
            if not isinstance(record, feed.Chunk | feed.Skipped | feed.Missed):
                continue
            if record.direction != direction or connection not in (None, record.connection):
                continue
            new = record.data if isinstance(record, feed.Chunk) else record.count
            if found and type(found[-1]) is type(new):
                found[-1] += new  # type: ignore[operator]  # both are of one type
            else:
                found.append(new)
        return found

    def close(self) -> None:
        """After the engine has stopped."""
        self.reads.set()
        if self.starts:
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive()
        elif self._commands >= 0:
            os.close(self._records_to)
            os.close(self._commands_from)
            os.close(self._feed)
        if self._commands >= 0:
            self.die()

    def _read(self) -> None:
        frames = feed.Frames()
        with os.fdopen(self._feed, "rb", buffering=0) as source:
            while self.reads.wait() and (data := source.read(1 << 20)):
                with self._changed:
                    self.records.extend(frames.receive(data))
                    self._changed.notify_all()


@contextmanager
def listening(plane: Plane) -> Iterator[Listener]:
    """An inspector of a plane, which is closed with it."""
    listener = Listener()
    plane.call(lambda: plane.engine.observe(listener.start))
    try:
        yield listener
    finally:
        plane.close()
        listener.close()
