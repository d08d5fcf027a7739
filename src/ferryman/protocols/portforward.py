"""Stream pairs: Kubernetes' port-forward on SPDY, the client's end and the node's; sans-IO.

A forwarded connection is two streams with the same ``requestID``: *error*, which the client
half-closes at once, and *data*. Everything is pipelined; SYN_REPLYs may come in any order. The
error stream's text and end belong to that pair alone, whatever client-go makes of them
(kubernetes#111825). ``spdy.connection`` speaks SPDY; given a ``websocket.Tunnel``, all bytes go
through it. Source: ``portforward-wire`` as observed on Kubernetes 1.36, and client-go.
"""

from __future__ import annotations

from msgspec import Struct, field

from ferryman.errors import PeerError
from ferryman.protocols.multiplex import (
    Accepted,
    Bytes,
    Data,
    ErrorEnded,
    ErrorText,
    Event,
    Finished,
    GoneAway,
    PairAwaited,
    PairOpened,
    PairReset,
    Pong,
    ServerEvent,
    Trace,
)
from ferryman.protocols.spdy import connection as spdy
from ferryman.protocols.websocket import Tunnel

ERROR_TEXT_LIMIT = 65536
"""Bytes of error text that a pair may bring; a node's message has about 400."""
EARLY_DATA_LIMIT = 1 << 20
"""Bytes that may come on a data stream before its error stream is there."""
PAIR_LIMIT = 4096
"""Pairs that one client may have on a wire; more streams are refused. moby/spdystream knows no
limit, and kubectl opens some 900 a second on one wire, each of which lingers for a second."""


class _SpdyWire:
    """What both ends do alike: SPDY, with or without a tunnel around it."""

    def __init__(self, connection: spdy.Connection, tunnel: Tunnel | None) -> None:
        self._connection = connection
        self._tunnel = tunnel
        self._gone = False

    @property
    def unsent(self) -> bool:
        """Whether ``data_to_send`` would give anything."""
        return self._connection.unsent or (self._tunnel is not None and self._tunnel.unsent)

    def ping(self) -> int:
        """Ask for a sign of life: Pong will have this number."""
        return self._connection.ping()

    def close(self) -> None:
        """Say GOAWAY, and in a tunnel Close 1000 behind it."""
        self._connection.go_away()
        if self._tunnel is not None:
            self._tunnel.close()

    def data_to_send(self) -> list[bytes | bytearray]:
        """Take what is to be written to the network."""
        out = self._connection.data_to_send()
        return out if self._tunnel is None else self._tunnel.wrap(out)

    def _unwrapped(self, data: Bytes) -> list[spdy.Event]:
        if self._tunnel is None:
            return self._connection.receive(data)
        return [
            event
            for piece in self._tunnel.unwrap(data)
            for event in self._connection.receive(piece)
        ]

    def _common(self, event: spdy.Event) -> Pong | GoneAway | None:
        if isinstance(event, spdy.PongReceived):
            return Pong(event.id)
        if isinstance(event, spdy.WentAway):
            self._gone = True
            return GoneAway(f"GOAWAY with status {event.status}", clean=event.status == 0)
        return None

    def _tunnel_end(self) -> list[GoneAway]:
        """The end of the tunnel, unless that of the wire was told already."""
        closed = self._tunnel.closed if self._tunnel is not None else None
        if closed is None or self._gone:
            return []
        self._gone = True
        return [GoneAway(str(closed), clean=closed.clean)]


class _ClientPair(Struct):
    number: int
    error: int
    data: int
    awaited: set[int]  # streams whose SYN_REPLY is still to come
    data_over: bool = False
    error_over: bool = False
    text: bytearray = field(default_factory=bytearray)
    text_left: int = ERROR_TEXT_LIMIT


class PortForwardClient(_SpdyWire):
    """Our end of a wire: ``multiplex.ClientWire``."""

    half_closes = True

    def __init__(self, tunnel: Tunnel | None = None) -> None:
        super().__init__(spdy.Connection(client=True), tunnel)
        self._next = 1
        self._pairs: dict[int, _ClientPair] = {}
        self._by_stream: dict[int, _ClientPair] = {}

    @property
    def trace(self) -> Trace | None:
        return self._connection.trace

    @trace.setter
    def trace(self, trace: Trace | None) -> None:
        self._connection.trace = trace

    def open(self, port: int) -> int:
        """SYN error, FIN error, SYN data, all queued at once; the pair's number."""
        number, self._next = self._next, self._next + 1
        headers = {"port": str(port), "requestid": str(number)}
        error = self._connection.open_stream({"streamtype": "error", **headers})
        self._connection.finish(error)
        data = self._connection.open_stream({"streamtype": "data", **headers})
        pair = _ClientPair(number, error, data, {error, data})
        self._pairs[number] = self._by_stream[error] = self._by_stream[data] = pair
        return number

    def send(self, pair: int, data: Bytes) -> None:
        """Queue bytes for the pod."""
        if known := self._pairs.get(pair):
            self._connection.send(known.data, data)

    def finish(self, pair: int) -> None:
        """Half-close the data stream. Through containerd the other direction then has 1 s."""
        if known := self._pairs.get(pair):
            self._connection.finish(known.data)

    def reset(self, pair: int) -> None:
        """RST the data stream; the pair lingers until the node ends its error stream."""
        if known := self._pairs.get(pair):
            self._connection.reset(known.data)
            known.data_over = True
            self._drop_if_over(known)

    def receive(self, data: Bytes) -> list[Event]:
        """Take bytes from the network. Raises PeerError."""
        events: list[Event] = []
        for event in self._unwrapped(data):
            if isinstance(event, spdy.DataReceived):
                self._take_data(event, events)
            elif common := self._common(event):
                events.append(common)
            else:
                self._take_change(event, events)
        events += self._tunnel_end()
        return events

    def _take_data(self, event: spdy.DataReceived, events: list[Event]) -> None:
        pair = self._by_stream.get(event.stream)
        if pair is None:
            return
        if event.stream == pair.data:
            events.append(Data(pair.number, event.data))
            return
        kept = event.data[: pair.text_left]
        pair.text += kept
        pair.text_left -= len(kept)
        if event.ends_frame and pair.text:
            events.append(ErrorText(pair.number, pair.text.decode(errors="replace")))
            pair.text.clear()

    def _take_change(self, event: spdy.Event, events: list[Event]) -> None:
        if isinstance(event, spdy.StreamOpened):
            raise PeerError("the node opened a stream, which port-forward has no use for")
        if isinstance(event, spdy.Replied):
            self._take_reply(event.stream, events)
        elif isinstance(event, spdy.StreamEnded | spdy.StreamReset):
            self._take_end(event, events)

    def _take_reply(self, stream: int, events: list[Event]) -> None:
        pair = self._by_stream.get(stream)
        if pair is not None:
            pair.awaited.remove(stream)
            if not pair.awaited:
                events.append(Accepted(pair.number))

    def _take_end(self, event: spdy.StreamEnded | spdy.StreamReset, events: list[Event]) -> None:
        pair = self._by_stream.get(event.stream)
        if pair is None:
            return
        if event.stream == pair.error:
            pair.error_over = True
            events.append(ErrorEnded(pair.number))
        else:
            pair.data_over = True
            reset = isinstance(event, spdy.StreamReset)
            events.append(PairReset(pair.number) if reset else Finished(pair.number))
        self._drop_if_over(pair)

    def _drop_if_over(self, pair: _ClientPair) -> None:
        """Forget a pair that the node has ended both streams of; ours are ended with it."""
        if pair.data_over and pair.error_over:
            self._connection.reset(pair.data)
            del self._pairs[pair.number]
            self._by_stream.pop(pair.data)
            self._by_stream.pop(pair.error)


class _ServerPair(Struct):
    number: int
    request: str
    port: int
    error: int = 0
    data: int = 0
    early: bytearray = field(default_factory=bytearray)  # data that came before the error stream
    early_end: Finished | PairReset | None = None

    @property
    def complete(self) -> bool:
        return bool(self.error and self.data)


class PortForwardServer(_SpdyWire):
    """The node's end of a wire: ``multiplex.ServerWire``.

    Streams are accepted as they come, before anything is dialled, as Kubernetes does.
    """

    def __init__(self, tunnel: Tunnel | None = None) -> None:
        super().__init__(spdy.Connection(client=False, max_streams=2 * PAIR_LIMIT), tunnel)
        self._next = 1
        self._pairs: dict[int, _ServerPair] = {}
        self._by_request: dict[str, _ServerPair] = {}
        self._by_stream: dict[int, _ServerPair] = {}

    def send(self, pair: int, data: Bytes) -> None:
        """Queue bytes for the client."""
        if known := self._pairs.get(pair):
            self._connection.send(known.data, data)

    def finish(self, pair: int) -> None:
        """The pod's bytes are over: FIN on the data stream only."""
        if known := self._pairs.get(pair):
            self._connection.finish(known.data)

    def succeed(self, pair: int) -> None:
        """FIN on the data stream, unless it is there, then on error."""
        if known := self._pairs.get(pair):
            self._connection.finish(known.data)
            self._connection.finish(known.error)
            self._drop(known)

    def fail(self, pair: int, text: str, *, gone: bool = False) -> None:
        """FIN on data, the text, RST on error; ``gone``: the text, then RST on both."""
        if known := self._pairs.get(pair):
            if not gone:
                self._connection.finish(known.data)
            self._connection.send(known.error, text.encode())
            if gone:
                self._connection.reset(known.data)
            self._connection.reset(known.error)
            self._drop(known)

    def reset(self, pair: int) -> None:
        """RST on the data stream, then on error."""
        if known := self._pairs.get(pair):
            self._connection.reset(known.data)
            self._connection.reset(known.error)
            self._drop(known)

    def time_out(self, pair: int) -> None:
        """Say that the pair's other stream did not come, and forget it, if that is so."""
        known = self._pairs.get(pair)
        if known is not None and not known.complete:
            self._connection.send(known.error, b"timed out waiting for streams")
            self._drop(known)

    def receive(self, data: Bytes) -> list[ServerEvent]:
        """Take bytes from the network. Raises PeerError."""
        events: list[ServerEvent] = []
        for event in self._unwrapped(data):
            if isinstance(event, spdy.DataReceived):
                self._take_data(event, events)
            elif isinstance(event, spdy.StreamOpened):
                self._take_stream(event, events)
            elif isinstance(event, spdy.StreamEnded | spdy.StreamReset):
                self._take_end(event, events)
            elif common := self._common(event):
                events.append(common)
        events += self._tunnel_end()
        return events

    def _take_stream(self, event: spdy.StreamOpened, events: list[ServerEvent]) -> None:
        kind, port = event.headers.get("streamtype"), _port(event.headers.get("port", ""))
        if kind not in ("error", "data") or port is None or len(self._pairs) >= PAIR_LIMIT:
            self._connection.reset(event.stream)  # as Kubernetes does: this stream, no other
            return
        self._connection.reply(event.stream)
        request = event.headers.get("requestid") or _guess(kind, event.stream)
        pair = self._by_request.get(request)
        if pair is None:
            pair = _ServerPair(self._next, request, port)
            self._next += 1
            self._pairs[pair.number] = self._by_request[request] = pair
            events.append(PairAwaited(pair.number))
        elif pair.error if kind == "error" else pair.data:
            why = f"error processing stream for request {request}: {kind} stream already assigned"
            self._connection.send(pair.error, why.encode())
            self._connection.reset(event.stream)
            return
        if kind == "error":
            pair.error = event.stream
        else:
            pair.data, pair.port = event.stream, port
        self._by_stream[event.stream] = pair
        if pair.complete:
            self._complete(pair, events)

    def _complete(self, pair: _ServerPair, events: list[ServerEvent]) -> None:
        events.append(PairOpened(pair.number, pair.port))
        if pair.early:
            events.append(Data(pair.number, memoryview(pair.early)))
            pair.early = bytearray()  # a new one: the view holds the old
        if pair.early_end is not None:
            events.append(pair.early_end)

    def _take_data(self, event: spdy.DataReceived, events: list[ServerEvent]) -> None:
        pair = self._by_stream.get(event.stream)
        if pair is None or event.stream == pair.error:
            return  # a client has nothing to say on the error stream
        if pair.complete:
            events.append(Data(pair.number, event.data))
            return
        pair.early += event.data
        if len(pair.early) > EARLY_DATA_LIMIT:
            raise PeerError(f"more than {EARLY_DATA_LIMIT} bytes before the error stream came")

    def _take_end(
        self, event: spdy.StreamEnded | spdy.StreamReset, events: list[ServerEvent]
    ) -> None:
        pair = self._by_stream.get(event.stream)
        if pair is None or event.stream == pair.error:
            return  # the error stream's FIN comes at once and says nothing
        reset = isinstance(event, spdy.StreamReset)
        end = PairReset(pair.number) if reset else Finished(pair.number)
        if pair.complete:
            events.append(end)
        else:
            pair.early_end = end

    def _drop(self, pair: _ServerPair) -> None:
        """As RemoveStreams does: what still comes for the pair is ignored."""
        del self._pairs[pair.number]
        del self._by_request[pair.request]
        for stream in (pair.error, pair.data):
            self._by_stream.pop(stream, None)
            self._connection.forget(stream)


def _port(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal()) or len(text) > 5:
        return None
    return port if 0 < (port := int(text)) < 65536 else None


def _guess(kind: str, stream: int) -> str:
    """The requestID of old clients that send none: their error stream's id."""
    return str(stream if kind == "error" else stream - 2)
