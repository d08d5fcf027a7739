"""One wire: an upgraded connection into a pod, and the streams on it.

It reads as much as there is into one buffer, gives it to the sans-IO machine (``protocols``) and
each stream what is its own; and it writes at the end of a turn what the streams queued in it, or of
the next, so that SYN, FIN, SYN and the first DATA leave together. With one live stream a slow
client stops the reading of the wire; with several never: a client that is too far behind is reset
instead. ``heartbeat`` says when to PING, ``pool`` counts what is told to the ``Keeper``.
"""

from __future__ import annotations

from collections import deque

from ferryman.dataplane.contract import READ, WRITE
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.wires import judgement
from ferryman.dataplane.wires.heartbeat import DEADLINE, Heartbeat, Pace
from ferryman.dataplane.wires.roles import Keeper
from ferryman.dataplane.wires.stream import StreamSide
from ferryman.dataplane.wires.transport import Transport
from ferryman.errors import PeerError
from ferryman.protocols import multiplex
from ferryman.protocols.multiplex import ClientWire

SCRATCH = 256 * 1024
"""Bytes read in one turn at most; then it is the turn of others."""
PAUSE_AT, RESUME_AT = 256 * 1024, 64 * 1024
"""Bytes waiting for the only client at which reading stops, and goes on."""
SHARED_LIMIT = 1 << 20
"""Bytes that may wait for one of several clients."""
UNSENT_LIMIT, UNSENT_LOW = 512 * 1024, 128 * 1024
"""Bytes unsent at which streams may send no more, and may again."""
_CROWD = 64  # of frames, which wait for no more
_RECORD = 16384  # of TLS: a full one means that there may be more


class Wire:
    """Give it a transport whose upgrade is done, and call ``begin``; then it lives by itself.

    ``scratch`` is a buffer that all wires of a loop share.
    """

    def __init__(
        self,
        number: int,
        pod: str,
        loop: Loop,
        transport: Transport,
        machine: ClientWire,
        scratch: memoryview,
        keeper: Keeper[Wire],
        pace: Pace | None = None,
    ) -> None:
        self.number = number
        self.pod = pod
        self.loop = loop
        self.half_closes = machine.half_closes
        self.trace = machine.trace
        self.writable = True
        self._transport = transport
        self._machine = machine
        self._scratch = scratch
        self._keeper = keeper
        self._streams: dict[int, StreamSide] = {}
        self._live = 0
        self._heartbeat = Heartbeat(loop.now(), pace)
        self._doubted = False
        self._timer: Timer | None = None
        self._out: deque[memoryview | bytes | bytearray] = deque()
        self._out_size = 0  # of _out
        self._queued = 0  # about: bytes still in the machine
        self._drained = 0  # all bytes that ever came out of the machine
        self._attempted = 0  # of those, how many may have reached the network
        self._flushing = False
        self._waits = 0  # how many have asked to be flushed after the next turn
        self._mask = READ
        self._paused = False
        self._hung = False  # reset, or broken: to be read to the end, whoever is slow
        self._broken = False  # nothing can be written any more
        self._closed = False

    def begin(self, events: list[multiplex.Event]) -> None:
        """Start to read; ``events`` came with the upgrade."""
        self.loop.add(self._transport.fd, self._mask, self._ready)
        self._arm()
        self._flush_soon()
        if events:
            self._take(events, "")
        if not self._closed:
            self._read()  # TLS may have more than the descriptor tells

    def open(self, port: int) -> StreamSide:
        """A new stream."""
        stream = StreamSide(self, self._machine.open(port), self._drained)
        self._streams[stream.pair] = stream
        self._live += 1
        self._queued += 1
        self._resume_if_shared()
        self._flush_later()
        return stream

    def suspect(self) -> None:
        """Ask for a sign of life now, with the usual deadline."""
        self._doubted = True
        self._keeper.doubts(self)
        self._heartbeat.suspect(self.loop.now())
        self._beat()

    def close(self, why: str = "the wire was closed") -> None:
        """Say goodbye as far as that does not block, and end it with all its streams."""
        if self._closed:
            return
        self._machine.close()
        self._queued += 1
        try:
            self._write()
        except OSError:
            pass  # it is gone already
        self._shut()
        self._tell_streams(why)

    # -- Carrier: what streams ask --

    def send(self, pair: int, data: memoryview) -> None:
        self._machine.send(pair, data)
        self._queued += len(data)
        self.writable = self._queued + self._out_size < UNSENT_LIMIT and not self._broken
        self._flush_soon()

    def finish(self, pair: int) -> None:
        self._machine.finish(pair)
        self._queued += 1
        self._flush_later()

    def reset(self, pair: int) -> None:
        self._machine.reset(pair)
        self._queued += 1
        self._flush_later()

    def eased(self, stream: StreamSide) -> None:
        if self._paused and stream.waiting <= RESUME_AT:
            self._resume()

    def lingers(self, stream: StreamSide) -> None:  # noqa: ARG002  they are only counted
        self._live -= 1
        self._keeper.lingers(self)

    def revives(self, stream: StreamSide) -> None:  # noqa: ARG002
        self._live += 1
        self._resume_if_shared()
        self._keeper.revives(self)

    def over(self, stream: StreamSide) -> None:
        self._streams.pop(stream.pair, None)
        if not stream.lingering:
            self._live -= 1
        self._keeper.ended(self, lingered=stream.lingering)

    def flushed(self, stream: StreamSide) -> bool:
        return self._attempted > stream.mark

    @property
    def unsent(self) -> bool:
        return bool(self._queued or self._out)

    # -- reading --

    def _ready(self, mask: int) -> None:
        transport = self._transport
        if mask & ~(READ | WRITE):  # reset: what is left has to be read to the end
            self._hung = True
            self._resume()
            mask |= transport.read_waits
        if self._out and mask & transport.write_waits:
            self._flush()
        if mask & transport.read_waits and not self._closed:
            self._read()

    def _read(self) -> None:
        if self._paused or self._closed:
            return
        scratch, recv_into = self._scratch, self._transport.recv_into
        count, lost = 0, ""
        try:
            while count < SCRATCH:
                got = recv_into(scratch[count:])
                if got is None:
                    break
                if got == 0:
                    lost = "the API server closed the wire"
                    break
                count += got
                if got < _RECORD and count < _RECORD:
                    break  # a message, not bulk: do not ask for more in vain
        except OSError as error:
            lost = f"the wire broke: {judgement.brief(error.strerror or str(error))}"
        if count:
            self._received(scratch[:count], lost)
        elif lost:
            self._lost(lost)
        if not self._closed and self._transport.pending():
            self.loop.call_soon(self._read)
        self._update_mask()

    def _received(self, data: memoryview, lost: str) -> None:
        self._heartbeat.heard(self.loop.now())
        try:
            events = self._machine.receive(data)
        except PeerError as error:
            self._flush_soon()
            self._lost(f"the node broke the protocol: {error.message}")
            return
        self._take(events, lost)
        if self._machine.unsent:  # an answer: a PONG
            self._queued += 1
            self._flush_soon()

    def _take(self, events: list[multiplex.Event], lost: str) -> None:
        """Give every stream its own, then let those that got something deliver."""
        streams = self._streams
        touched: dict[int, StreamSide] = {}
        gone: multiplex.GoneAway | None = None
        for event in events:
            if isinstance(event, multiplex.GoneAway):
                gone = event
                break
            if isinstance(event, multiplex.Pong):
                self._answered()
                continue
            stream = streams.get(event.pair)
            if stream is None:
                continue
            touched[event.pair] = stream
            if isinstance(event, multiplex.Data):
                stream.got_data(event.data)
            elif isinstance(event, multiplex.Finished):
                stream.got_finish()
            elif isinstance(event, multiplex.ErrorText):
                stream.got_error(event.text)
            elif isinstance(event, multiplex.ErrorEnded):
                stream.got_error_end()
            elif isinstance(event, multiplex.PairReset):
                stream.got_reset()
        for stream in touched.values():
            stream.deliver()
            if stream.waiting >= PAUSE_AT:
                self._overfull(stream)
        if gone is not None:
            why = f"the server closed the wire: {judgement.brief(gone.reason)}"
            self._lost(why, clean=gone.clean)
        elif lost:
            self._lost(lost)

    # -- back-pressure from clients --

    def _overfull(self, stream: StreamSide) -> None:
        if self._closed or stream.pair not in self._streams:
            return  # nothing more will come for it
        if self._live <= 1:
            self._pause()
        elif stream.waiting > SHARED_LIMIT:
            self._keeper.evicted(self)
            stream.evict(f"{stream.waiting} bytes waited for a client on a shared wire")

    def _pause(self) -> None:
        if not self._paused and not self._hung:
            self._paused = True
            self._heartbeat.pause()
            self._update_mask()
            self._keeper.stalls(self, stalled=True)

    def _resume(self) -> None:
        if self._paused and not self._closed:
            self._paused = False
            self._heartbeat.resume(self.loop.now())
            self._arm()
            self._update_mask()
            self._keeper.stalls(self, stalled=False)
            if self._transport.pending():
                self.loop.call_soon(self._read)

    def _resume_if_shared(self) -> None:
        if self._live > 1:
            self._resume()

    # -- writing --

    def _flush_later(self) -> None:
        """One turn later, so that SYNs leave with the first data, and the FIN of a client that
        connects anew with both: each message costs the node more than what is in it.
        """
        self._waits += 1
        self.loop.call_soon(self._waited)

    def _waited(self) -> None:
        self._waits -= 1
        if not self._waits or self._queued > _CROWD:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if self._queued and not self._flushing and not self._closed and not self._broken:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._closed or self._broken:
            return
        try:
            self._write()
        except OSError:
            # What the server said before it went may still be there: reading comes to the end.
            self._out.clear()
            self._out_size = 0
            self._broken = self._hung = True
            self.writable = False
            self._resume()
            self.loop.call_soon(self._read)
        self._update_mask()
        if not (self.writable or self._broken) and self._queued + self._out_size <= UNSENT_LOW:
            self.writable = True
            for stream in list(self._streams.values()):
                stream.writable()

    def _write(self) -> None:
        """Write what the network takes. A buffer that it did not take is tried again as it is:
        OpenSSL insists on that.
        """
        out, transport = self._out, self._transport
        if self._queued:
            for buffer in self._machine.data_to_send():
                out.append(buffer)
                self._out_size += len(buffer)
                self._drained += len(buffer)
            self._queued = 0
        while out:
            head = out[0]
            self._attempted = max(self._attempted, self._drained - self._out_size + len(head))
            sent = transport.send(head)
            if sent is None:
                return
            self._out_size -= sent
            self._heartbeat.sent(sent)
            if sent < len(head):
                out[0] = memoryview(head)[sent:]
            else:
                out.popleft()

    def _update_mask(self) -> None:
        if self._closed:
            return
        mask = 0 if self._paused else self._transport.read_waits
        if self._out:
            mask |= self._transport.write_waits
        if mask != self._mask:
            self._mask = mask
            self.loop.modify(self._transport.fd, mask)

    # -- signs of life --

    def _answered(self) -> None:
        self._heartbeat.answered()
        self._arm()
        if self._doubted:
            self._doubted = False
            self._keeper.trusts(self)

    def _beat(self) -> None:
        self._stop_timer()
        if self._closed:
            return
        match self._heartbeat.due(self.loop.now()):
            case "ping":
                self._machine.ping()
                self._queued += 1
                self._flush_soon()
            case "lost":
                self._lost(f"no answer to a PING within {DEADLINE:.0f} s", dead=True)
                return
            case "doubtful":
                if self._transport.stuck():
                    self._lost("the API server's host does not answer any more", dead=True)
                    return
        self._arm()

    def _arm(self) -> None:
        """Wake in time for the heartbeat; a timer that is too early only asks again."""
        when = self._heartbeat.wake()
        if when is None or self._closed:
            return
        if self._timer is not None:
            if self._timer.when <= when:
                return
            self._timer.cancel()
        self._timer = self.loop.call_at(when, self._beat)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the end --

    def _lost(self, why: str, *, clean: bool = False, dead: bool = False) -> None:
        if self._closed:
            return
        self._shut()
        used = any(stream.attached for stream in self._streams.values())
        silent = None if dead else self._heartbeat.silence(self.loop.now())
        self._keeper.lost(self, why, clean=clean and not used, silent=silent)
        self._tell_streams(why)

    def _shut(self) -> None:
        self._closed = True
        self._stop_timer()
        self.loop.remove(self._transport.fd)
        self._transport.close()

    def _tell_streams(self, why: str) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.wire_lost(why)
