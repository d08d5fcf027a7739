"""One forwarded connection on a wire, as a ``Side`` of a flow.

``wire`` tells it what came (``got_…``) and lets it ``deliver``; the flow reads and writes it. How
it ends: the pod's FIN counts only once the error stream has ended without a text, because a dying
pod's connection ends with a clean FIN too, and the text comes behind it. What an early end means
for the dial is ``judgement``'s.
"""

from __future__ import annotations

from collections import deque

from ferryman.dataplane.contract import HANGUP, READ, WRITE, DialFailure, ReadyCallback
from ferryman.dataplane.loop import Call, Timer
from ferryman.dataplane.wires import judgement
from ferryman.dataplane.wires.roles import Carrier

GRACE = 2.0
"""Seconds after one of a pair's two streams ended for the other to do so."""
LINGER = 5.0
"""Seconds that a pair may outlive its client; a node takes one."""
SILENCE = 1.0
"""v4 knows no half-close: seconds of silence after the client's FIN until the wire is closed. As
long as containerd gives the other direction."""
NOISE = 64 * 1024
"""Bytes that a pair may bring after its client's FIN and still leave its wire free for another."""
DISCARDED = 256 * 1024
"""Bytes for a client that is gone, after which the pair is reset."""
_PASSES = 4


class StreamSide:
    """``pair`` is its number on the wire; ``waiting`` counts bytes its client has not taken."""

    __slots__ = (
        "_borrowed",
        "_data_over",
        "_eof",
        "_eof_told",
        "_error_over",
        "_extra",
        "_failure",
        "_fin_sent",
        "_hangup",
        "_on_ready",
        "_over",
        "_queue",
        "_reset",
        "_scheduled",
        "_timer",
        "_wants",
        "_wire",
        "attached",
        "error",
        "fd",
        "lingering",
        "mark",
        "pair",
        "received",
        "waiting",
    )

    def __init__(self, wire: Carrier[StreamSide], pair: int, mark: int) -> None:
        self.fd: int | None = None
        self.pair = pair
        self.mark = mark
        """How much the wire had to send before this stream."""
        self.waiting = 0
        self.received = False
        """Whether the pod has said anything."""
        self.error = ""
        """What the node said about this connection's end."""
        self.attached = True
        """Whether there is a client."""
        self.lingering = False
        self._wire = wire
        self._queue: deque[memoryview] = deque()
        self._borrowed = 0  # how many of the queue's last are views of the wire's buffer
        self._on_ready: ReadyCallback | None = None
        self._wants = 0
        self._scheduled = False
        self._hangup = False
        self._fin_sent = False
        self._data_over = False
        self._error_over = False
        self._reset = False
        self._over = False
        self._eof = False
        self._eof_told = False
        self._failure: OSError | DialFailure | None = None
        self._extra = 0  # bytes since the client's FIN, or since it is gone
        self._timer: Timer | None = None

    # -- Side --

    def attach(self, on_ready: ReadyCallback) -> None:
        self._on_ready = on_ready

    def want(self, mask: int) -> None:
        self._wants = mask
        if mask & self._possible() or self._hangup:
            self._schedule()

    def recv_into(self, buffer: memoryview) -> int:
        queue = self._queue
        if queue:
            return self._take(queue, buffer)
        if self._failure is not None:
            raise self._failure
        if self._eof:
            self._eof_told = True
            self._hang_up()
            return 0
        raise BlockingIOError

    def send(self, data: memoryview) -> int:
        """As in ``Side``. On a stream that has failed it blocks: ``recv_into`` tells the failure,
        so that what is sent meanwhile is not taken for lost.
        """
        if self._failure is not None or not self._wire.writable:
            raise BlockingIOError
        if self._over or self._fin_sent or not self.attached:
            raise BrokenPipeError("the connection has ended")
        self._wire.send(self.pair, data)
        return len(data)

    def shutdown(self) -> None:
        if self._fin_sent or self._over or not self.attached:
            return
        self._fin_sent = True
        if self._wire.half_closes:
            self._wire.finish(self.pair)
            self._linger()
        else:
            self._extra = 0
            self._start_timer(SILENCE, self._silent)

    def close(self) -> None:
        if not self.attached:
            return
        self._detach()
        if self._over:
            return
        if not self._wire.half_closes:
            self.drop()
            return
        if not self._fin_sent:
            self._fin_sent = True
            self._wire.finish(self.pair)
        self._linger()
        self._start_timer(LINGER, self.drop)

    def abort(self, why: str) -> None:  # noqa: ARG002  an RST_STREAM carries no message
        if not self.attached:
            return
        self._detach()
        if self._over:
            return
        self._send_reset()
        self._linger()
        self._start_timer(LINGER, self.drop)

    # -- what the wire tells --

    def got_data(self, data: memoryview) -> None:
        """Bytes of the pod's, in the wire's buffer: ``deliver`` must follow before it is reused."""
        self.received = True
        if self._fin_sent or not self.attached:
            self._extra += len(data)
            if not self.attached:
                if self._extra > DISCARDED and not self._reset:
                    self._send_reset()
                return
            if self.lingering and self._extra > NOISE:
                self.lingering = False
                self._wire.revives(self)
        self._queue.append(data)
        self._borrowed += 1
        self.waiting += len(data)

    def got_finish(self) -> None:
        self._data_over = True
        self._weigh_end()

    def got_reset(self) -> None:
        self._data_over = self._reset = True
        self._weigh_end()

    def got_error(self, text: str) -> None:
        self.error += text
        self._weigh_end()

    def got_error_end(self) -> None:
        self._error_over = True
        self._weigh_end()

    def wire_lost(self, why: str) -> None:
        """The wire is gone, and this with it."""
        self._over = True
        if self._eof or self._failure is not None or not self.attached:
            self._stop_timer()
            self._hang_up()
        elif self.error or self.received:
            self._fail(self.error or why)
        else:
            self._fail_with(judgement.wire_lost(why, flushed=self._wire.flushed(self)))

    def evict(self, why: str) -> None:
        """Its client is too slow for a wire that others share."""
        self._send_reset()
        self._fail(why)

    def drop(self) -> None:
        """Do not wait for the node any longer."""
        if not self._over:
            self._send_reset()
            self._end()

    def deliver(self) -> None:
        """Hand over what came; what the client does not take is copied."""
        on_ready = self._on_ready
        for _ in range(_PASSES):
            if on_ready is None:
                break
            before = self.waiting
            if not self._tell(on_ready) or not self.waiting < before or not self.waiting:
                break
            on_ready = self._on_ready
        if self._borrowed:
            self._own()
        if self._wants & self._possible():
            self._schedule()

    def writable(self) -> None:
        """The wire takes bytes again."""
        if self._wants & WRITE:
            self._schedule()

    # -- readiness --

    def _possible(self) -> int:
        mask = 0
        if self._queue or self._eof or self._failure is not None:
            mask = READ
        if self._failure is None and self._wire.writable:
            mask |= WRITE
        return mask

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._wire.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        on_ready = self._on_ready
        if on_ready is not None and self._tell(on_ready) and self._wants & self._possible():
            self._schedule()

    def _tell(self, on_ready: ReadyCallback) -> bool:
        mask = self._wants & self._possible()
        if self._hangup:
            self._hangup = False
            mask |= HANGUP
        if mask:
            on_ready(mask)
        return bool(mask)

    # -- bytes --

    def _take(self, queue: deque[memoryview], buffer: memoryview) -> int:
        room, count = len(buffer), 0
        while queue and count < room:
            view = queue[0]
            size = len(view)
            if size > room - count:
                size = room - count
                buffer[count:room] = view[:size]
                queue[0] = view[size:]
            else:
                buffer[count : count + size] = view
                queue.popleft()
            count += size
        self._borrowed = min(self._borrowed, len(queue))
        self.waiting -= count
        self._wire.eased(self)
        return count

    def _own(self) -> None:
        """Copy what is still in the wire's buffer, which will be used again."""
        queue = self._queue
        borrowed = [queue.pop() for _ in range(self._borrowed)]
        self._borrowed = 0
        queue.append(memoryview(b"".join(reversed(borrowed))))

    # -- the end --

    def _weigh_end(self) -> None:
        if self._over:
            return
        if self.attached and self._failure is None and not self._eof:
            if self.error and (self._error_over or self._reset):
                self._fail(self.error)
            elif self._reset:
                self._fail("the node reset the connection")
            elif self._data_over and self._error_over:
                self._eof = True
            else:
                self._start_timer(GRACE, self._grace_over)
        if self._error_over and (self._data_over or self._reset):
            self._end()

    def _grace_over(self) -> None:
        self._timer = None
        if self._failure is None and not self._eof:
            if self._data_over and not self.error:
                self._eof = True
            else:
                self._fail(self.error or "the node ended the connection without the pod's end")
            self._schedule()

    def _silent(self) -> None:
        """v4: the client has said its last word, and the pod has nothing to add."""
        self._timer = None
        if self._extra or self._wire.unsent:
            self._extra = 0
            self._start_timer(SILENCE, self._silent)
            return
        self._eof = True
        self.drop()
        self._schedule()

    def _fail(self, text: str) -> None:
        text = judgement.brief(text)
        if self.received:
            self._fail_with(ConnectionResetError(text))
        else:
            self._fail_with(judgement.refused_in_pod(text))

    def _fail_with(self, failure: OSError | DialFailure) -> None:
        self._stop_timer()
        self._failure = failure
        self._hangup = True
        self._schedule()

    def _end(self) -> None:
        self._over = True
        self._stop_timer()
        self._hang_up()
        self._wire.over(self)

    def _hang_up(self) -> None:
        """Tell that both directions are over, as a socket does, once the end has been read."""
        if self._over and self._eof_told and self.attached:
            self._hangup = True
            self._schedule()

    def _send_reset(self) -> None:
        self._reset = True
        self._wire.reset(self.pair)

    def _linger(self) -> None:
        if not self.lingering:
            self.lingering = True
            self._extra = 0
            self._wire.lingers(self)

    def _detach(self) -> None:
        self.attached = False
        self._on_ready = None
        self._stop_timer()
        self._queue.clear()
        self._borrowed = 0
        self._extra = 0
        if self.waiting:
            self.waiting = 0
            self._wire.eased(self)

    def _start_timer(self, seconds: float, call: Call) -> None:
        if self._timer is None:
            self._timer = self._wire.loop.call_later(seconds, call)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
