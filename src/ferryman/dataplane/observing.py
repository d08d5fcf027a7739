"""What is told of observed connections, and to whom: ``feed`` records for the inspector process.

A Watch tells of one connection, its two Taps of the bytes either way: a flow shows a tap every
byte that it carries, in order. The inspector answers which stretches nobody needs; these are
counted, and spliced as if nobody watched. What it cannot keep up with is counted, too, and told
once there is room. Nothing here can hold up or harm the stream: ``feedpipe`` never waits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from ferryman.dataplane.contract import READ, InspectorLost
from ferryman.dataplane.feedpipe import FeedPipe
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.pipes import Pipe
from ferryman.inspection import feed
from ferryman.inspection.feed import DOWN, UP, Direction

Inspector = Callable[[], tuple[int, int] | None]
"""Starts the inspector: where to write records, and where to read commands. Called on the loop,
once there is something to tell; the descriptors are the engine's from then on. None: it failed.
"""

PATIENCE = 1.0
"""Seconds that the inspector has in the end to take what is left."""
_ALWAYS = 1 << 62
_OPENED_SIZE = 1024


class Observer:
    """All that is told to one inspector. Loop thread only; ``clock`` gives nanoseconds."""

    def __init__(
        self,
        loop: Loop,
        inspector: Inspector,
        emit: Callable[[InspectorLost], None],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.clock = clock
        self.pipe = FeedPipe(loop, self._start, self._lost)
        self._loop = loop
        self._inspector = inspector
        self._emit = emit
        self._commands: int | None = None
        self._rest = b""
        self._watches: dict[int, Watch] = {}
        self._unseen = 0
        self._over = False

    def watch(self, connection: int, listener: str, client: str) -> Watch | None:
        """Begin to tell of a connection; None if the inspector is gone or far behind."""
        if self._over:
            return None
        if not self.pipe.fits(_OPENED_SIZE):
            self._unseen += 1
            self.pipe.when_empty(self._caught_up)
            return None
        watch = self._watches[connection] = Watch(self, connection, listener, client)
        return watch

    def forget(self, watch: Watch) -> None:
        """It has told its last."""
        self._watches.pop(watch.connection, None)

    def behind(self) -> None:
        """Somebody has a hole to tell of, once there is room."""
        self.pipe.when_empty(self._caught_up)

    def close(self, done: Callable[[], None]) -> None:
        """Give the inspector a moment to take what is left, then end the feed."""

        def over() -> None:
            deadline.cancel()
            self.pipe.when_empty(None)
            self._end()
            done()

        deadline: Timer = self._loop.call_later(PATIENCE, over)
        self.pipe.when_empty(over)
        if self.pipe.empty:
            over()

    def _start(self) -> int | None:
        try:
            descriptors = self._inspector()
        except OSError as error:
            self._fail(error.strerror or str(error))
            return None
        if descriptors is None:
            return None
        records, self._commands = descriptors
        os.set_blocking(self._commands, False)
        self._loop.add(self._commands, READ, self._commanded)
        return records

    def _commanded(self, _: int) -> None:
        if self._commands is None:
            return
        try:
            data = os.read(self._commands, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._fail("it has ended")
            return
        data = self._rest + data
        whole = len(data) // feed.COMMAND_SIZE * feed.COMMAND_SIZE
        self._rest = data[whole:]
        for command in feed.decode_commands(memoryview(data)[:whole]):
            watch = self._watches.get(command.connection)
            if watch is not None:
                tap = watch.up if command.direction == UP else watch.down
                tap.skip(_ALWAYS if command.until is None else command.until)

    def _caught_up(self) -> None:
        self.pipe.when_empty(None)
        if self._unseen:
            text = f"{self._unseen} connections were not watched: the inspector was behind"
            self._unseen = 0
            self.pipe.add(feed.encode(feed.Noted(0, self.clock(), text)))
        for watch in self._watches.values():
            watch.up.tell_holes()
            watch.down.tell_holes()

    def _lost(self, why: str) -> None:
        self._fail(why)

    def _fail(self, why: str) -> None:
        if not self._over:
            self._end()
            self._emit(InspectorLost(f"the inspector is lost: {why}"))

    def _end(self) -> None:
        self._over = True
        for watch in self._watches.values():
            watch.up.skip(_ALWAYS)
            watch.down.skip(_ALWAYS)
        self._watches.clear()
        self.pipe.close()
        if self._commands is not None:
            self._loop.remove(self._commands)
            os.close(self._commands)
            self._commands = None


class Watch:
    """Tells of one connection, until ``closed``."""

    __slots__ = ("_client", "_listener", "_observer", "_told", "connection", "down", "up")

    def __init__(self, observer: Observer, connection: int, listener: str, client: str) -> None:
        self._observer = observer
        self._listener = listener
        self._client = client
        self._told = False
        self.connection = connection
        self.up = Tap(observer, connection, UP)
        self.down = Tap(observer, connection, DOWN)

    def opened(self, endpoint: str) -> None:
        """It is connected to a target; again, after the loss of another."""
        at = self._observer.clock()
        self._tell(feed.Opened(self.connection, at, self._listener, self._client, endpoint))

    def noted(self, text: str) -> None:
        """Something for a person."""
        self._tell(feed.Noted(self.connection, self._observer.clock(), text))

    def closed(self, reset: str) -> None:
        """It is over; ``reset`` as in ``feed.Closed``."""
        self.up.tell_holes()
        self.down.tell_holes()
        if self._told:
            at = self._observer.clock()
            self._tell(feed.Closed(self.connection, at, self.up.offset, self.down.offset, reset))
        self._observer.forget(self)

    def _tell(self, record: feed.Record) -> None:
        self._told = True
        self._observer.pipe.add(feed.encode(record))


class Tap:
    """Sees one direction's bytes; ``offset`` is how many it has seen."""

    __slots__ = (
        "_connection",
        "_direction",
        "_missed",
        "_observer",
        "_skipped",
        "_until",
        "offset",
    )

    def __init__(self, observer: Observer, connection: int, direction: Direction) -> None:
        self._observer = observer
        self._connection = connection
        self._direction = direction
        self._until = 0
        self._skipped = 0
        self._missed = 0
        self.offset = 0

    def skip(self, until: int) -> None:
        """Nothing before this offset is needed any more."""
        self._until = max(self._until, until)

    @property
    def stretch(self) -> int:
        """How many bytes at most may be spliced at a time, so that a skip ends where it should."""
        return self._until - self.offset if self._until > self.offset else feed.FRAME_LIMIT

    @property
    def allows_splice(self) -> bool:
        """Whether bytes may pass outside of the process: nobody needs them, or tee copies them."""
        return self._until > self.offset or self._observer.pipe.tees()

    def saw(self, data: memoryview) -> None:
        """These bytes were read, to be carried."""
        count = len(data)
        if self._until > self.offset:
            needless = min(count, self._until - self.offset)
            self._skip(needless)
            if needless == count:
                return
            data = data[needless:]
            count -= needless
        self.offset += count
        pipe = self._observer.pipe
        if pipe.fits(count):
            if self._missed:
                self.tell_holes()
            pipe.add_chunk(self._header(count), data)
        else:
            self._miss(count)

    def teed(self, pipe: Pipe, count: int) -> None:
        """So many bytes, at most ``stretch``, are in this pipe, to be carried."""
        if self._until > self.offset:
            self._skip(count)
            return
        self.offset += count
        teed = self._observer.pipe.tee(pipe, count)
        if teed is not None:
            if self._missed:
                self.tell_holes()
            self._observer.pipe.add_teed(self._header(teed.size), teed)
            count -= teed.size
        if count:
            self._miss(count)

    def ended(self) -> None:
        """The direction came to its end."""
        self.tell_holes()
        at = self._observer.clock()
        self._observer.pipe.add(feed.encode(feed.Ended(self._connection, at, self._direction)))

    def tell_holes(self) -> None:
        """Say what was missed or skipped since."""
        at, pipe = self._observer.clock(), self._observer.pipe
        if self._missed:
            missed, self._missed = self._missed, 0
            pipe.add(feed.encode(feed.Missed(self._connection, at, self._direction, missed)))
        if self._skipped:
            skipped, self._skipped = self._skipped, 0
            pipe.add(feed.encode(feed.Skipped(self._connection, at, self._direction, skipped)))

    def _skip(self, count: int) -> None:
        if self._missed:
            self.tell_holes()
        self.offset += count
        self._skipped += count
        if self.offset == self._until:
            self.tell_holes()

    def _miss(self, count: int) -> None:
        if not self._missed:
            self._observer.behind()
        self._missed += count

    def _header(self, size: int) -> bytes:
        at = self._observer.clock()
        return feed.chunk_header(self._connection, at, self._direction, size)
