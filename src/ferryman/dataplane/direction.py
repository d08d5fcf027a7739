"""What a flow knows of one of its two directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.dataplane.contract import Side
    from ferryman.dataplane.pipes import Pipe
    from ferryman.dataplane.valve import Valve
    from ferryman.dataplane.watching import Tap


class Meter:
    """Bytes carried in one direction of all of a listener's flows."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Direction:
    """Bytes from ``source`` to ``sink``: those read but not yet written are ``rest`` or piped."""

    __slots__ = (
        "count",
        "eof",
        "finished",
        "meter",
        "pipe",
        "piped",
        "rest",
        "sink",
        "source",
        "tap",
        "valve",
    )

    def __init__(self, source: Side, sink: Side, meter: Meter, tap: Tap | None) -> None:
        self.source = source
        self.sink = sink
        self.meter = meter
        self.tap = tap
        self.valve: Valve | None = None
        self.count = 0
        self.rest: memoryview | None = None
        self.pipe: Pipe | None = None
        self.piped = 0
        self.eof = False
        self.finished = False

    @property
    def blocked(self) -> bool:
        return self.rest is not None or self.piped > 0
