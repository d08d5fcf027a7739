"""WebSocket frames, either end, and the tunnel that SPDY goes through; sans-IO, after the upgrade.

``WebSocket`` gives messages in pieces as they arrive, so nothing has to be buffered; ``Tunnel``
forgets their boundaries; ``channels`` needs them. ``http.upgrade`` makes the handshake.

Own framing, because wsproto copies a payload several times: side by side, messages of 32 to 256
KiB came in three times, and went out masked 1.2 to 3.9 times as fast, small ones 1.7 to 3 times.
wsproto is the oracle of the tests; ``masking`` masks.
Source: RFC 6455.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from msgspec import Struct

from ferryman.errors import PeerError
from ferryman.protocols.buffers import coalesce
from ferryman.protocols.masking import mask
from ferryman.protocols.multiplex import Bytes

NORMAL = 1000
GOING_AWAY = 1001
BROKEN_PROTOCOL = 1002

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FIN = 0x80
_MASKED = 0x80
_CONTROL_LIMIT = 125
_PONGS_LIMIT = 256  # that wait to be sent
_NO_CODE = 1005  # a Close without a code


class Piece(Struct, frozen=True):
    """Some of a message's payload; ``starts`` and ``ends`` tell the message's boundaries."""

    data: memoryview
    starts: bool
    ends: bool
    text: bool


class PongReceived(Struct, frozen=True):
    payload: bytes


class Closed(Struct, frozen=True):
    """The peer sent Close; 1000 is a proper end, for a tunnel EOF."""

    code: int
    reason: str

    @property
    def clean(self) -> bool:
        return self.code == NORMAL

    def __str__(self) -> str:
        return f"Close {self.code} {self.reason}".rstrip()


Event = Piece | PongReceived | Closed


class WebSocket:
    """Frames of one WebSocket. Pings are answered, a Close is echoed; any PeerError ends it, and
    what is then to be sent is a Close with 1002.
    """

    def __init__(self, *, client: bool) -> None:
        self.closed: Closed | None = None
        self._client = client
        self._out: list[bytes | bytearray] = []
        self._pongs = 0
        self._said_close = False
        # The present frame
        self._head = bytearray()
        self._head_size = 2
        self._opcode = 0
        self._fin = False
        self._left = 0
        self._key = b""
        self._control = bytearray()
        # The present message
        self._in_message = False
        self._starts = False
        self._text = False

    def send(self, parts: Sequence[Bytes], *, text: bool = False) -> None:
        """Queue one message of all the parts, copied once."""
        self._frame(_TEXT if text else _BINARY, parts)

    def ping(self, payload: bytes) -> None:
        """Ask for a sign of life: PongReceived will have this payload, at most 125 bytes."""
        self._frame(_PING, (payload,))

    def close(self, code: int = NORMAL) -> None:
        """Queue a Close, once; nothing can be sent after it."""
        self._frame(_CLOSE, (code.to_bytes(2),))
        self._said_close = True

    @property
    def unsent(self) -> bool:
        """Whether ``data_to_send`` would give anything."""
        return bool(self._out)

    def data_to_send(self) -> list[bytes | bytearray]:
        """Take what is queued."""
        out, self._out, self._pongs = self._out, [], 0
        return coalesce(out)

    def receive(self, data: Bytes) -> list[Event]:
        """Take bytes; nothing after a Close is read. Raises PeerError."""
        events: list[Event] = []
        view = memoryview(data)
        position, end = 0, len(view)
        try:
            while position < end and self.closed is None:
                if self._left:
                    taken = min(self._left, end - position)
                    self._left -= taken
                    self._take(view[position : position + taken], events)
                else:
                    taken = min(self._head_size - len(self._head), end - position)
                    self._head += view[position : position + taken]
                    if len(self._head) == self._head_size and self._begin() and not self._left:
                        self._take(view[:0], events)
                position += taken
        except PeerError:
            self.close(BROKEN_PROTOCOL)
            raise
        return events

    def _begin(self) -> bool:
        """Read the head as far as it is here; True once it is whole."""
        head = self._head
        size = _head_size(head[1])
        if len(head) < size:
            self._check(head[0], head[1])
            self._head_size = size
            return False
        if size == 2:
            self._check(head[0], head[1])
        self._opcode, self._fin = head[0] & 0x0F, bool(head[0] & _FIN)
        self._left = _payload_length(head)
        self._key = bytes(head[-4:]) if head[1] & _MASKED else b""
        head.clear()
        self._head_size = 2
        if self._opcode in (_TEXT, _BINARY):
            self._in_message, self._starts = True, True
            self._text = self._opcode == _TEXT
        return True

    def _check(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if bool(second & _MASKED) == self._client:
            raise PeerError(f"a {'masked' if self._client else 'plain'} WebSocket frame")
        if first & 0x70:
            raise PeerError("a WebSocket frame of an extension, none was agreed on")
        if opcode >= _CLOSE:
            if opcode > _PONG or not first & _FIN or second & 0x7F > _CONTROL_LIMIT:
                raise PeerError(f"a broken WebSocket control frame, opcode {opcode}")
        elif opcode > _BINARY or (opcode == _CONTINUATION) != self._in_message:
            raise PeerError(f"a WebSocket frame of opcode {opcode} out of turn")

    def _take(self, piece: memoryview, events: list[Event]) -> None:
        """A piece of the present frame's payload, which is over when nothing is left."""
        if self._key:
            plain = bytearray(piece)
            mask(plain, self._key)
            turn = len(plain) % 4
            self._key = self._key[turn:] + self._key[:turn]
            piece = memoryview(plain)
        if self._opcode >= _CLOSE:
            self._control += piece
            if not self._left:
                payload = bytes(self._control)
                self._control.clear()
                self._take_control(payload, events)
            return
        ends = self._fin and not self._left
        if piece or ends:
            events.append(Piece(piece, self._starts, ends, self._text))
            self._starts = False
        if ends:
            self._in_message = False

    def _take_control(self, payload: bytes, events: list[Event]) -> None:
        if self._opcode == _PING:
            self._pongs += 1
            if self._pongs > _PONGS_LIMIT:
                raise PeerError(f"more than {_PONGS_LIMIT} pings at once")
            self._frame(_PONG, (payload,))
        elif self._opcode == _PONG:
            events.append(PongReceived(payload))
        else:
            self.closed = _closed(payload)
            events.append(self.closed)
            self.close(NORMAL if self.closed.code == _NO_CODE else self.closed.code)

    def _frame(self, opcode: int, parts: Sequence[Bytes]) -> None:
        """One frame in one buffer, header first, masked in place if we are the client."""
        if self._said_close:
            return
        length = sum(map(len, parts))
        masked = _MASKED if self._client else 0
        if length < 126:
            head = bytes((_FIN | opcode, masked | length))
        elif length < 65536:
            head = struct.pack("!BBH", _FIN | opcode, masked | 126, length)
        else:
            head = struct.pack("!BBQ", _FIN | opcode, masked | 127, length)
        if not masked:
            self._out.append(b"".join((head, *parts)))
            return
        key = os.urandom(4)
        buffer = bytearray().join((head, key, *parts))
        mask(buffer, key, len(head) + 4)
        self._out.append(buffer)


class Tunnel:
    """A byte stream inside a WebSocket, as Kubernetes tunnels SPDY: a transform beneath it."""

    def __init__(self, *, client: bool) -> None:
        self._websocket = WebSocket(client=client)
        self._closing = False

    @property
    def closed(self) -> Closed | None:
        """How the peer closed the tunnel, or None; what was in it before is valid."""
        return self._websocket.closed

    def close(self) -> None:
        """Close with 1000, EOF, behind what the next ``wrap`` is given."""
        self._closing = True

    @property
    def unsent(self) -> bool:
        """Whether ``wrap`` would give anything if it were given nothing."""
        return self._closing or self._websocket.unsent

    def wrap(self, buffers: Sequence[Bytes]) -> list[bytes | bytearray]:
        """What to write for these bytes: one message, and pongs that are due."""
        if buffers:
            self._websocket.send(buffers)
        if self._closing:
            self._websocket.close()
        return self._websocket.data_to_send()

    def unwrap(self, data: Bytes) -> list[memoryview]:
        """The bytes that were in there, as views; raises PeerError."""
        out = []
        for event in self._websocket.receive(data):
            if isinstance(event, Piece):
                if event.text:
                    raise PeerError("a text message in a tunnel of bytes")
                out.append(event.data)
        return out


def _head_size(second: int) -> int:
    length = second & 0x7F
    return 2 + (2 if length == 126 else 8 if length == 127 else 0) + (second & _MASKED and 4)


def _payload_length(head: bytearray) -> int:
    length = head[1] & 0x7F
    if length < 126:
        return length
    size, least, limit = (2, 126, 1 << 16) if length == 126 else (8, 1 << 16, 1 << 63)
    length = int.from_bytes(head[2 : 2 + size])
    if not least <= length < limit:
        raise PeerError(f"a WebSocket frame says its length, {length}, in {size} bytes")
    return length


def _closed(payload: bytes) -> Closed:
    if not payload:
        return Closed(_NO_CODE, "")
    code = int.from_bytes(payload[:2])
    valid = 1000 <= code < 5000 and code not in (1004, 1005, 1006) and not 1016 <= code < 3000
    if len(payload) < 2 or not valid:
        raise PeerError(f"a WebSocket Close with {payload[:2].hex()}, which is no code")
    try:
        return Closed(code, payload[2:].decode())
    except UnicodeDecodeError as cause:
        raise PeerError("a WebSocket Close whose reason is not UTF-8") from cause
