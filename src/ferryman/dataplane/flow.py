"""Two sides and the bytes between them: copy while small, splice while bulk.

Each direction reads into the loop's buffer and writes at once; only the unsent rest is kept, and
while there is a rest nothing is read: back-pressure without growth. A read that fills the buffer
means bulk: then the bytes go through a pooled pipe and never enter the process, until little
moves. EOF becomes a half-close and the other direction goes on as long as it likes; an RST comes
out as an RST. What an end *means* (replay, reset) is decided by the owner, ``connection``; a
direction's tap (``observing``) is shown all that it carries.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Literal, Protocol

from ferryman.dataplane.contract import HANGUP, READ, WRITE, DialFailure, Side
from ferryman.dataplane.direction import Direction, Meter
from ferryman.dataplane.loop import Loop
from ferryman.dataplane.pipes import SIZE, SPLICE, Pipe, Pipes
from ferryman.dataplane.sockets import SocketSide

if TYPE_CHECKING:
    from ferryman.dataplane.valve import Valve, Valves
    from ferryman.dataplane.watching import Tap

COPY_SIZE = 128 * 1024
_LITTLE = 32 * 1024


class Owner(Protocol):
    """Who decides what the ends of a flow mean."""

    def sent(self, data: memoryview) -> None:
        """The client said this; only called for flows that are ``watched``."""
        ...

    def received(self, data: memoryview) -> None:
        """The target said this; only called for flows that are ``watched``."""
        ...

    def target_ended(self) -> bool:
        """The target half-closed; True if that is to be passed on as such."""
        ...

    def target_failed(self, error: OSError | DialFailure) -> None:
        """The target was lost; the owner stops the flow, with a reset or for a replay."""
        ...

    def client_failed(self, error: OSError) -> None:
        """The client was lost; the owner stops the flow."""
        ...

    def broke(self, error: Exception) -> None:
        """Something is wrong with Ferryman itself; the owner stops the flow."""
        ...

    def disturbed(self, why: str) -> None:
        """A fault ends the connection; the owner stops the flow, with a reset."""
        ...

    def ended(self) -> None:
        """Both directions came to their proper end."""
        ...


class Flow:
    """Carries bytes between a client and a target until both directions have ended.

    ``first`` is what the client said earlier and this target has not heard (a replay);
    ``client_ended`` says that the client half-closed after it. ``watched`` flows show their bytes
    to the owner and are never spliced; ``taps`` (up, down) are shown them, too, but for a replay.
    """

    __slots__ = ("_loop", "_owner", "_pipes", "_watched", "client", "down", "target", "up")

    def __init__(
        self,
        loop: Loop,
        pipes: Pipes,
        owner: Owner,
        client: Side,
        target: Side,
        meters: tuple[Meter, Meter],
        *,
        watched: bool = False,
        taps: tuple[Tap | None, Tap | None] = (None, None),
    ) -> None:
        self._loop = loop
        self._pipes = pipes
        self._owner = owner
        self._watched = watched
        self.client = client
        self.target = target
        self.up = Direction(client, target, meters[0], taps[0])
        self.down = Direction(target, client, meters[1], taps[1])

    def start(self, first: bytes = b"", *, client_ended: bool = False) -> None:
        """Begin to carry; may end the flow before it returns."""
        self.client.attach(self._client_ready)
        self.target.attach(self._target_ready)
        self.up.eof = client_ended
        if first:
            self.up.rest = memoryview(first)
        if first or client_ended:
            self._flush(self.up)
        if self._running:
            self._update(self.client, self.up, self.down)
            self._update(self.target, self.down, self.up)

    def carry_only(self, direction: Literal["up", "down"]) -> None:
        """Before the start: the other direction is over before it begins."""
        (self.down if direction == "up" else self.up).finished = True

    def disturb(self, valves: Valves) -> None:
        """What may be read is now up to these valves."""
        for way, valve in zip((self.up, self.down), valves, strict=True):
            if way.valve is not None:
                way.valve.close()
            way.valve = valve
            if valve is not None:
                valve.attach(functools.partial(self._valve_opens, way))
        if self._running:
            self._update_both()

    def stop(self) -> None:
        """Move no more; the sides stay open, and their owner's to end."""
        for direction in (self.up, self.down):
            if direction.valve is not None:
                direction.valve.close()
            if direction.pipe is not None:
                self._pipes.give_back(direction.pipe, direction.piped)
                direction.pipe = None
                direction.piped = 0
            direction.rest = None
            direction.finished = True

    @property
    def _running(self) -> bool:
        return not (self.up.finished and self.down.finished)

    def _client_ready(self, mask: int) -> None:
        self._ready(mask, self.up, self.down)

    def _target_ready(self, mask: int) -> None:
        self._ready(mask, self.down, self.up)

    def _ready(self, mask: int, reads: Direction, writes: Direction) -> None:
        """One side is ready: it is the source of ``reads`` and the sink of ``writes``."""
        try:
            self._carry(mask, reads, writes)
        except Exception as error:  # noqa: BLE001  a defect of ours ends one flow, not the loop
            self._owner.broke(error)

    def _carry(self, mask: int, reads: Direction, writes: Direction) -> None:
        if mask & WRITE and writes.blocked:
            self._flush(writes)
        if mask & (READ | HANGUP) and not (reads.eof or reads.blocked or reads.finished):
            if reads.valve is not None:
                self._regulate(reads, reads.valve, mask)
            elif reads.pipe is not None:
                self._splice(reads, reads.pipe)
            else:
                self._copy(reads)
        elif mask & HANGUP and reads.finished and not writes.finished:
            self._abandon(writes)

    def _regulate(self, way: Direction, valve: Valve, mask: int) -> None:
        """Read as much as the faults allow."""
        was_shut = valve.shut
        allowed = valve.ask(way.source)
        if isinstance(allowed, str):
            self._owner.disturbed(allowed)
        elif allowed:
            before = way.count
            if way.pipe is not None:
                self._splice(way, way.pipe, allowed)
            else:
                self._copy(way, min(allowed, COPY_SIZE))
            valve.passed(way.count - before)
            self._check(way, valve)
        elif valve.forever and mask & HANGUP:
            self._source_failed(way, ConnectionResetError("it is gone, after a fault"))
        elif not was_shut:  # else wanting nothing again would have a hang-up told again, forever
            self._update_both()

    def _check(self, way: Direction, valve: Valve) -> None:
        """End it if a fault says so, once all that it let pass has gone."""
        why = "" if way.finished else valve.over()
        if why and way.blocked:
            valve.retry()
        elif why:
            self._owner.disturbed(why)

    def _valve_opens(self, way: Direction) -> None:
        if way.valve is not None:
            self._check(way, way.valve)
        if not way.finished:
            self._update_both()

    def _copy(self, way: Direction, most: int = COPY_SIZE) -> None:
        buffer = self._loop.buffer[:most]
        try:
            count = way.source.recv_into(buffer)
        except BlockingIOError:
            return
        except (OSError, DialFailure) as error:
            self._source_failed(way, error)
            return
        if count == 0:
            self._ended(way)
            return
        data = buffer[:count]
        way.count += count
        way.meter.count += count
        if self._watched:
            if way is self.up:
                self._owner.sent(data)
            else:
                self._owner.received(data)
        if way.tap is not None:
            way.tap.saw(data)
        try:
            sent = way.sink.send(data)
        except BlockingIOError:
            sent = 0
        except (OSError, DialFailure) as error:
            self._sink_failed(way, error)
            return
        if sent < count:
            way.rest = memoryview(bytes(data[sent:]))
            self._update_both()
        elif count == COPY_SIZE and self._may_splice(way):
            way.pipe = self._pipes.take()

    def _splice(self, way: Direction, pipe: Pipe, most: int = SIZE) -> None:
        source, sink, tap = way.source.fd, way.sink.fd, way.tap
        if source is None or sink is None:
            return
        size = min(pipe.size, most)
        if tap is not None:
            if not tap.allows_splice:
                self._stop_splicing(way, pipe)
                self._copy(way)
                return
            size = min(size, tap.stretch)
        try:
            # The pipe is known to be empty, so EAGAIN can only mean: nothing has come.
            count = os.splice(source, pipe.write, size, flags=SPLICE)
        except BlockingIOError:
            return
        except OSError as error:
            self._source_failed(way, error)
            return
        if count == 0:
            self._ended(way)
            return
        way.count += count
        way.meter.count += count
        way.piped = count
        if tap is not None:
            tap.teed(pipe, count)
        self._drain_pipe(way, pipe, sink)
        if count < _LITTLE and not way.piped and way.pipe is not None:
            self._stop_splicing(way, pipe)
        elif way.piped:
            self._update_both()

    def _stop_splicing(self, way: Direction, pipe: Pipe) -> None:
        self._pipes.give_back(pipe, way.piped)
        way.pipe = None

    def _drain_pipe(self, way: Direction, pipe: Pipe, sink: int) -> None:
        try:
            way.piped -= os.splice(pipe.read, sink, way.piped, flags=SPLICE)
        except BlockingIOError:
            pass
        except OSError as error:
            self._sink_failed(way, error)

    def _flush(self, way: Direction) -> None:
        """The sink can take more: go on with what is left over."""
        if way.pipe is not None and way.piped:
            if way.sink.fd is not None:
                self._drain_pipe(way, way.pipe, way.sink.fd)
        elif way.rest is not None:
            try:
                sent = way.sink.send(way.rest)
            except BlockingIOError:
                sent = 0
            except (OSError, DialFailure) as error:
                self._sink_failed(way, error)
                return
            way.rest = way.rest[sent:] if sent < len(way.rest) else None
        if not way.blocked and not way.finished:
            if way.eof:
                self._finish(way)
            if self._running:
                self._update_both()

    def _ended(self, way: Direction) -> None:
        """The source half-closed."""
        way.eof = True
        if way is self.down and not self._owner.target_ended():
            return
        if way.tap is not None:
            way.tap.ended()
        if way.blocked:
            self._update_both()
        else:
            self._finish(way)
            if self._running:
                self._update_both()

    def _finish(self, way: Direction) -> None:
        """All that came has been passed on: pass on the end."""
        way.finished = True
        if way.pipe is not None:
            self._pipes.give_back(way.pipe, way.piped)
            way.pipe = None
        if not self._running:
            self._owner.ended()
            return
        try:
            way.sink.shutdown()
        except (OSError, DialFailure) as error:
            self._sink_failed(way, error)

    def _source_failed(self, way: Direction, error: OSError | DialFailure) -> None:
        if way is self.down:
            self._owner.target_failed(error)
        elif isinstance(error, OSError):
            self._owner.client_failed(error)

    def _sink_failed(self, way: Direction, error: OSError | DialFailure) -> None:
        """The sink takes no more. What it said before it went is still carried: a server may
        answer and close without reading all. Its own end or error then ends the flow.
        """
        back = self.down if way is self.up else self.up
        if way.pipe is not None:
            self._pipes.give_back(way.pipe, way.piped)
            way.pipe = None
            way.piped = 0
        way.rest = None
        way.eof = way.finished = True
        if back.finished or back.eof:
            self._source_failed(back, error)
        else:
            self._update_both()

    def _abandon(self, way: Direction) -> None:
        """The sink has said all it had to say and is gone altogether. No reset: what it said may
        still be on its way. Closing the other side refuses whatever that still sends.
        """
        way.finished = True
        if way.pipe is not None:
            self._pipes.give_back(way.pipe, way.piped)
            way.pipe = None
        self._owner.ended()

    def _may_splice(self, way: Direction) -> bool:
        source, sink = way.source, way.sink
        return (
            self._pipes.splices
            and not self._watched
            and (way.tap is None or way.tap.allows_splice)
            and isinstance(source, SocketSide)
            and isinstance(sink, SocketSide)
            # Measured: splicing from UNIX to TCP is slower than copying.
            and (sink.is_unix or not source.is_unix)
        )

    def _update_both(self) -> None:
        self._update(self.client, self.up, self.down)
        self._update(self.target, self.down, self.up)

    @staticmethod
    def _update(side: Side, reads: Direction, writes: Direction) -> None:
        closed = reads.eof or reads.finished or reads.blocked
        if reads.valve is not None and reads.valve.shut:
            closed = True
        side.want((0 if closed else READ) | (WRITE if writes.blocked else 0))
