"""The ``v4.channel.k8s.io`` port-forward protocol, both ends; sans-IO, on ``websocket.WebSocket``.

One WebSocket carries port *i* of the request on two channels: data on 2i, errors on 2i + 1.
Every message starts with its channel's number. The first message on each channel is the port
itself, uint16 little-endian, and carries nothing else. There is no half-close and no end of
stream: the end of the WebSocket is the end of all ports, so ``finish`` cannot be said here.

The events and calls are those of ``multiplex``. Source: Kubernetes, kubelet
``pkg/kubelet/server/portforward`` and apimachinery ``wsstream`` (1.36), and messages seen on a
node of that version.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence

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
    PairOpened,
    Pong,
    ServerEvent,
    Trace,
)
from ferryman.protocols.websocket import Piece, PongReceived, WebSocket

MESSAGE_LIMIT = 1 << 20
"""Bytes of a message that has to be whole before it can be read, as those in base64."""
ERROR_TEXT_LIMIT = 65536
"""Bytes of error text that a pair may bring."""
SEND_LIMIT = 1 << 20
"""Bytes of data in one message of ours; Kubernetes takes up to 32 MiB."""

_PORT = struct.Struct("<H")


class _Inbox(Struct):
    """The message that is coming in."""

    channel: int = -1  # until its first byte is here
    body: bytearray = field(default_factory=bytearray)

    def keep(self, data: memoryview) -> None:
        if len(self.body) + len(data) > MESSAGE_LIMIT:
            raise PeerError(f"a message of more than {MESSAGE_LIMIT} bytes")
        self.body += data

    def take(self) -> tuple[int, bytes]:
        channel, body = self.channel, bytes(self.body)
        self.channel = -1
        self.body.clear()
        return channel, body


class _Ends:
    """What both ends do alike: pings, and the end."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._inbox = _Inbox()
        self._next_ping = 1
        self._pings: set[int] = set()

    def ping(self) -> int:
        """A WebSocket ping: it is answered by the API server, not by the node."""
        number, self._next_ping = self._next_ping, self._next_ping + 1
        self._pings.add(number)
        self._websocket.ping(number.to_bytes(8))
        return number

    def close(self) -> None:
        """Say Close 1000: the end of every pair."""
        self._websocket.close()

    @property
    def unsent(self) -> bool:
        """Whether ``data_to_send`` would give anything."""
        return self._websocket.unsent

    def data_to_send(self) -> list[bytes | bytearray]:
        """Take what is to be written to the network."""
        return self._websocket.data_to_send()

    def _pong(self, event: PongReceived) -> list[Pong]:
        number = int.from_bytes(event.payload) if len(event.payload) == 8 else 0
        if number not in self._pings:
            return []  # pongs may come unasked: RFC 6455, 5.5.3
        self._pings.remove(number)
        return [Pong(number)]


class ChannelsClient(_Ends):
    """Our end of a wire for one port: ``multiplex.ClientWire`` with a single pair, number 1.

    The upgrade has dialled it already, so its events may come before ``open``.
    """

    half_closes = False

    def __init__(self, port: int) -> None:
        super().__init__(WebSocket(client=True))
        self._port = port
        self._announced: set[int] = set()
        self._text_left = ERROR_TEXT_LIMIT
        self._open = False
        self._over = False
        self.trace: Trace | None = None

    def open(self, port: int) -> int:
        """The one pair of this wire. ValueError for another port or a second time."""
        if self._open or port != self._port:
            raise ValueError(f"a v4 wire is for one connection to port {self._port}")
        self._open = True
        return 1

    def send(self, pair: int, data: Bytes) -> None:
        """Queue bytes for the pod."""
        view = memoryview(data if pair == 1 and not self._over else b"")
        for start in range(0, len(view), SEND_LIMIT):
            piece = view[start : start + SEND_LIMIT]
            self._websocket.send((b"\0", piece))
            if self.trace is not None:
                self.trace(f"> channel 0: {len(piece)} bytes")

    def finish(self, pair: int) -> None:
        """Nothing: v4 has no half-close, and Close would cut off the pod's answer."""

    def reset(self, pair: int) -> None:
        """Close the wire; there is no milder word for it."""
        if pair == 1:
            self._over = True
            self.close()

    def receive(self, data: Bytes) -> list[Event]:
        """Take bytes from the network. Raises PeerError.

        A Close ends the pair: Finished, ErrorEnded, GoneAway.
        """
        events: list[Event] = []
        for event in self._websocket.receive(data):
            if isinstance(event, Piece):
                if self.trace is not None:
                    self.trace(f"< a piece of a message: {len(event.data)} bytes")
                self._take(event, events)
            elif isinstance(event, PongReceived):
                events += self._pong(event)
            else:
                if self.trace is not None:
                    self.trace(f"< {event}")
                if not self._over:
                    events.append(Finished(1))
                events += (ErrorEnded(1), GoneAway(str(event), clean=event.clean))
                self._over = True
        return events

    def _take(self, piece: Piece, events: list[Event]) -> None:
        data, inbox = piece.data, self._inbox
        if inbox.channel < 0:
            if not data or data[0] > 1:
                raise PeerError("a message that is empty or for a channel of no port")
            inbox.channel, data = data[0], data[1:]
        if inbox.channel == 0 and 0 in self._announced:
            if data and not self._over:
                events.append(Data(1, data))
        else:
            inbox.keep(data)
        if piece.ends:
            self._end_message(events)

    def _end_message(self, events: list[Event]) -> None:
        channel, body = self._inbox.take()
        if channel not in self._announced:
            if body != _PORT.pack(self._port):
                raise PeerError(
                    f"channel {channel} announces {body[:8].hex()}, expected port {self._port}"
                )
            self._announced.add(channel)
            if len(self._announced) == 2:
                events.append(Accepted(1))
        elif text := body[: self._text_left]:
            self._text_left -= len(text)
            events.append(ErrorText(1, text.decode(errors="replace")))


class ChannelsServer(_Ends):
    """The node's end, for the ports of the request in their order: ``multiplex.ServerWire``.

    Pair *n* is the *n*-th port, counted from 1; PairOpened for each comes with ``begin``. With
    ``base64`` messages are text: a digit for the channel, then base64.
    """

    def __init__(self, ports: Sequence[int], *, base64: bool = False) -> None:
        super().__init__(WebSocket(client=False))
        self._ports = tuple(ports)
        self._base64 = base64
        self._live = set(range(1, len(ports) + 1))
        self._told = False
        for channel in range(2 * len(ports)):
            self._message(channel, _PORT.pack(ports[channel // 2]))

    def send(self, pair: int, data: Bytes) -> None:
        """Queue bytes for the client."""
        view = memoryview(data)
        if pair in self._live:
            for start in range(0, len(view), SEND_LIMIT):
                self._message(2 * pair - 2, view[start : start + SEND_LIMIT])

    def finish(self, pair: int) -> None:
        """Nothing: v4 has no half-close; ``succeed`` is what a client can see."""

    def succeed(self, pair: int) -> None:
        """The pair is done; Close 1000 when all are, as Kubernetes does."""
        self._live.discard(pair)
        if not self._live:
            self.close()

    def fail(self, pair: int, text: str, *, gone: bool = False) -> None:  # noqa: ARG002 - v4 says both alike
        """The text on the error channel, then as ``succeed``."""
        if pair in self._live:
            self._message(2 * pair - 1, text.encode())
        self.succeed(pair)

    def reset(self, pair: int) -> None:
        """As ``succeed``: v4 has no RST."""
        self.succeed(pair)

    def time_out(self, pair: int) -> None:
        """Nothing: both channels are there from the beginning."""

    def receive(self, data: Bytes) -> list[ServerEvent]:
        """Take bytes from the network, or ``b""`` to learn of the pairs. Raises PeerError."""
        events: list[ServerEvent] = []
        if not self._told:
            self._told = True
            events += [PairOpened(number, port) for number, port in enumerate(self._ports, 1)]
        for event in self._websocket.receive(data):
            if isinstance(event, Piece):
                self._take(event, events)
            elif isinstance(event, PongReceived):
                events += self._pong(event)
            else:
                events += [Finished(pair) for pair in sorted(self._live)]
                events.append(GoneAway(str(event), clean=event.clean))
        return events

    def _take(self, piece: Piece, events: list[ServerEvent]) -> None:
        data, inbox = piece.data, self._inbox
        if piece.text != self._base64:
            raise PeerError("a message of the wrong kind: v4 is binary, its base64 form text")
        if inbox.channel < 0 and (data or piece.ends):
            inbox.channel = self._channel(data)
            data = data[1:]
        if self._base64:
            inbox.keep(data)
        else:
            self._data(inbox.channel, data, events)
        if piece.ends:
            channel, body = inbox.take()
            if self._base64:
                self._data(channel, memoryview(_decoded(body)), events)

    def _channel(self, data: memoryview) -> int:
        channel = data[0] - (ord("0") if self._base64 else 0) if data else -1
        if not 0 <= channel < 2 * len(self._ports):
            raise PeerError("a message that is empty or for a channel of no port")
        return channel

    def _data(self, channel: int, data: memoryview, events: list[ServerEvent]) -> None:
        pair = channel // 2 + 1
        if data and channel % 2 == 0 and pair in self._live:  # errors of a client: no meaning
            events.append(Data(pair, data))

    def _message(self, channel: int, body: Bytes) -> None:
        if self._base64:
            digit = bytes((ord("0") + channel,))
            self._websocket.send((digit, base64.b64encode(body)), text=True)
        else:
            self._websocket.send((bytes((channel,)), body))


def _decoded(body: bytes) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as cause:
        raise PeerError(f"a message that is not base64: {cause}") from cause
