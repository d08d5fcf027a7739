"""One SPDY/3.1 connection, either end: streams, their states, pings; sans-IO.

``frames`` cuts the bytes, ``headers`` reads the blocks, this decides what they mean. Windows are
accounted for but gate nothing, because moby/spdystream on the other end neither sends WINDOW_UPDATE
nor respects one. A frame for a stream that is over is dropped: it crossed our RST on the way.
``portforward`` makes pairs of the streams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct

from ferryman.errors import PeerError
from ferryman.protocols.buffers import coalesce
from ferryman.protocols.spdy import frames
from ferryman.protocols.spdy.headers import Compressor, Decompressor

State = Literal["open", "local ended", "remote ended", "closed"]
Cause = Literal["send data", "send fin", "receive data", "receive fin"]

# Whatever is not in the table is ignored if we asked for it, and a broken protocol if the peer did.
# An RST, from either side, closes at once.
TRANSITIONS: Mapping[tuple[State, Cause], State] = {
    ("open", "send data"): "open",
    ("open", "receive data"): "open",
    ("open", "send fin"): "local ended",
    ("open", "receive fin"): "remote ended",
    ("local ended", "receive data"): "local ended",
    ("local ended", "receive fin"): "closed",
    ("remote ended", "send data"): "remote ended",
    ("remote ended", "send fin"): "closed",
}

_DEFAULT_WINDOW = 65536
_LARGEST_WINDOW = (1 << 31) - 1
_ANSWERS_LIMIT = 1024  # pongs and refusals that wait to be sent


class StreamOpened(Struct, frozen=True):
    stream: int
    headers: dict[str, str]


class Replied(Struct, frozen=True):
    stream: int
    headers: dict[str, str]


class HeadersReceived(Struct, frozen=True):
    stream: int
    headers: dict[str, str]


class DataReceived(Struct, frozen=True):
    """A piece of a stream's data; ``ends_frame`` if it is the last of its DATA frame."""

    stream: int
    data: memoryview
    ends_frame: bool


class StreamEnded(Struct, frozen=True):
    """The peer's direction ended with a FIN."""

    stream: int


class StreamReset(Struct, frozen=True):
    stream: int
    status: int


class PongReceived(Struct, frozen=True):
    id: int


class WentAway(Struct, frozen=True):
    """GOAWAY: nothing that follows is read, as spdystream does."""

    last_stream: int
    status: int


Event = (
    StreamOpened
    | Replied
    | HeadersReceived
    | DataReceived
    | StreamEnded
    | StreamReset
    | PongReceived
    | WentAway
)


class _Stream(Struct):
    state: State
    credit: int  # of its window, over the initial one: a change of that costs nothing a stream
    replied: bool


class Connection:
    """Calls queue frames, ``receive`` tells events; any PeerError is the end of the connection."""

    def __init__(self, *, client: bool, max_streams: int = 1024) -> None:
        self._streams: dict[int, _Stream] = {}
        self._parity = 1 if client else 0  # of our ids: a client's are odd
        self._next_stream = 1 if client else 2
        self._next_ping = 1 if client else 2
        self._last_peer_stream = 0
        self._max_streams = max_streams
        self._pings: set[int] = set()
        self._initial_window = _DEFAULT_WINDOW
        self._window = _DEFAULT_WINDOW
        self._reader = frames.FrameReader()
        self._compressor, self._decompressor = Compressor(), Decompressor()
        self._out: list[bytes | bytearray] = []
        self._answers = 0
        self._gone = False
        self.trace: Callable[[str], None] | None = None
        """Called with a line for every frame, both ways; data shows by its length only."""

    def state(self, stream: int) -> State:
        """What may still be said on a stream; one that was forgotten is closed."""
        known = self._streams.get(stream)
        return known.state if known else "closed"

    def window(self, stream: int = 0) -> int:
        """What a peer with flow control would still take; below 0 once we sent more."""
        if stream == 0:
            return self._window
        return self._initial_window + self._streams[stream].credit

    def open_stream(self, headers: Mapping[str, str], *, fin: bool = False) -> int:
        """Open a stream, with ``fin`` half-closed already; its id."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        self._streams[stream] = _Stream("local ended" if fin else "open", credit=0, replied=False)
        block = self._compressor.compress(headers)
        self._queue(frames.SynStream(stream, block, frames.FIN if fin else 0), headers)
        return stream

    def reply(self, stream: int, headers: Mapping[str, str] | None = None) -> None:
        """Accept a stream of the peer's."""
        if stream in self._streams:
            block = self._compressor.compress(headers or {})
            self._queue(frames.SynReply(stream, block), headers)

    def send_headers(self, stream: int, headers: Mapping[str, str]) -> None:
        """Send more headers on a stream."""
        if self._step(stream, "send data"):
            self._queue(frames.Headers(stream, self._compressor.compress(headers)), headers)

    def send(self, stream: int, data: bytes | bytearray | memoryview) -> None:
        """Queue data, copied once, behind its header in one buffer."""
        if not self._step(stream, "send data"):
            return
        view = memoryview(data)
        self._window -= len(view)
        self._streams[stream].credit -= len(view)
        for start in range(0, len(view), frames.DATA_LIMIT):
            piece = view[start : start + frames.DATA_LIMIT]
            self._out.append(b"".join((frames.data_head(stream, len(piece)), piece)))
            if self.trace is not None:
                self.trace(f"> DATA {stream}: {len(piece)} bytes")

    def finish(self, stream: int) -> None:
        """Half-close."""
        if self._step(stream, "send fin"):
            self._out.append(frames.data_head(stream, 0, fin=True))
            if self.trace is not None:
                self.trace(f"> DATA {stream}: FIN")

    def reset(self, stream: int, status: int = frames.CANCEL) -> None:
        """End both directions at once."""
        if self._streams.pop(stream, None):
            self._queue(frames.RstStream(stream, status))

    def forget(self, stream: int) -> None:
        """Drop what is known of a stream without a word; what still comes for it is ignored."""
        self._streams.pop(stream, None)

    def ping(self) -> int:
        """Ask for a sign of life; the id that the answer will have."""
        ping, self._next_ping = self._next_ping, self._next_ping + 2
        self._pings.add(ping)
        self._queue(frames.Ping(ping))
        return ping

    def go_away(self, status: int = 0) -> None:
        """Say that the connection ends."""
        self._queue(frames.GoAway(self._last_peer_stream, status))

    @property
    def unsent(self) -> bool:
        """Whether ``data_to_send`` would give anything."""
        return bool(self._out)

    def data_to_send(self) -> list[bytes | bytearray]:
        """Take what is queued, small frames joined."""
        out, self._out, self._answers = self._out, [], 0
        return coalesce(out)

    def receive(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take bytes. Raises PeerError, after which nothing more can be said or heard."""
        events: list[Event] = []
        if self._gone:
            return events
        for frame in self._reader.receive(data):
            if self.trace is not None:
                self.trace(f"< {frames.describe(frame)}")
            self._take(frame, events)
            if isinstance(frame, frames.GoAway):
                break
        return events

    def _take(self, frame: frames.Frame, events: list[Event]) -> None:
        match frame:
            case frames.DataChunk():
                self._take_data(frame, events)
            case frames.SynStream():
                self._take_syn(frame, events)
            case frames.SynReply():
                self._take_reply(frame, events)
            case frames.Headers():
                headers = self._decompressor.decompress(frame.block)
                if self._known(frame.stream):
                    events.append(HeadersReceived(frame.stream, headers))
                    self._take_fin(frame.stream, frame.flags, events)
            case frames.RstStream():
                if self._known(frame.stream):
                    del self._streams[frame.stream]
                    events.append(StreamReset(frame.stream, frame.status))
            case frames.Ping():
                self._take_ping(frame.id, events)
            case frames.GoAway():
                self._gone = True
                events.append(WentAway(frame.last_stream, frame.status))
            case frames.WindowUpdate():
                self._take_window_update(frame)
            case frames.Settings():
                self._take_settings(frame)

    def _take_data(self, frame: frames.DataChunk, events: list[Event]) -> None:
        stream = self._known(frame.stream)
        if stream is None:
            return
        if (stream.state, "receive data") not in TRANSITIONS:
            raise PeerError(f"DATA on stream {frame.stream} after its FIN")
        if frame.data:
            events.append(DataReceived(frame.stream, frame.data, frame.ends_frame))
        if frame.fin:
            self._take_fin(frame.stream, frames.FIN, events)

    def _take_syn(self, frame: frames.SynStream, events: list[Event]) -> None:
        headers = self._decompressor.decompress(frame.block)
        stream = frame.stream
        if stream % 2 == self._parity or stream <= self._last_peer_stream:
            raise PeerError(
                f"SYN_STREAM {stream} after {self._last_peer_stream}: not the next of its kind"
            )
        self._last_peer_stream = stream
        if len(self._streams) >= self._max_streams:
            self._answer(frames.RstStream(stream, frames.REFUSED_STREAM))
            return
        state: State = "local ended" if frame.flags & frames.UNIDIRECTIONAL else "open"
        self._streams[stream] = _Stream(state, credit=0, replied=True)
        events.append(StreamOpened(stream, headers))
        self._take_fin(stream, frame.flags, events)

    def _take_reply(self, frame: frames.SynReply, events: list[Event]) -> None:
        headers = self._decompressor.decompress(frame.block)
        stream = self._known(frame.stream)
        if stream is None:
            return
        if stream.replied:
            raise PeerError(f"a SYN_REPLY for stream {frame.stream}, which needs none")
        stream.replied = True
        events.append(Replied(frame.stream, headers))
        self._take_fin(frame.stream, frame.flags, events)

    def _take_fin(self, stream: int, flags: int, events: list[Event]) -> None:
        if flags & frames.FIN:
            if not self._step(stream, "receive fin"):
                raise PeerError(f"a second FIN on stream {stream}")
            events.append(StreamEnded(stream))

    def _take_ping(self, ping: int, events: list[Event]) -> None:
        if ping % 2 != self._parity:
            self._answer(frames.Ping(ping))
        elif ping in self._pings:  # one that we never sent is ignored: 2.6.5
            self._pings.remove(ping)
            events.append(PongReceived(ping))

    def _take_window_update(self, frame: frames.WindowUpdate) -> None:
        if frame.stream == 0:
            self._window += frame.delta
            _check_window(self._window)
        elif stream := self._known(frame.stream):
            stream.credit += frame.delta
            _check_window(self._initial_window + stream.credit)

    def _take_settings(self, frame: frames.Settings) -> None:
        for _, key, value in frame.entries:
            if key == frames.INITIAL_WINDOW_SIZE:
                _check_window(value)
                self._initial_window = value

    def _known(self, stream: int) -> _Stream | None:
        """A stream that lives, None if it is over; raises PeerError if it never was."""
        known = self._streams.get(stream)
        if known is None:
            ours = stream % 2 == self._parity
            newest = self._next_stream - 2 if ours else self._last_peer_stream
            if stream == 0 or stream > newest:
                raise PeerError(f"a frame for stream {stream}, which was never opened")
        return known

    def _step(self, stream: int, cause: Cause) -> bool:
        """Whether the cause is allowed in the stream's state; if so the stream moves on."""
        known = self._streams.get(stream)
        state = TRANSITIONS.get((known.state, cause)) if known else None
        if known is None or state is None:
            return False
        known.state = state
        if state == "closed":
            del self._streams[stream]
        return True

    def _answer(self, frame: frames.Control) -> None:
        """Queue what the peer provoked; one that provokes and never reads must not fill us."""
        self._answers += 1
        if self._answers > _ANSWERS_LIMIT:
            raise PeerError(f"more than {_ANSWERS_LIMIT} frames at once that want an answer")
        self._queue(frame)

    def _queue(self, frame: frames.Control, headers: Mapping[str, str] | None = None) -> None:
        self._out.append(frame.encode())
        if self.trace is not None:
            said = " ".join(f"{name}={value}" for name, value in (headers or {}).items())
            self.trace(f"> {frames.describe(frame)} {said}".rstrip())


def _check_window(window: int) -> None:
    if window > _LARGEST_WINDOW:
        raise PeerError(f"a flow-control window of more than {_LARGEST_WINDOW} bytes")
