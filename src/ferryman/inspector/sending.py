"""Exchanges on their way from the inspector to the program that asked for them.

Each is a length (4 bytes, big-endian) and msgpack. The reader bounds what it takes: it trusts the
process that it started, not what strangers made that process say.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from ferryman.errors import PeerError
from ferryman.inspection.exchanges import Exchange

LIMIT = 256 << 20
_LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Exchange)


def encode(exchange: Exchange) -> bytes:
    """The exchange as a frame."""
    data = _encoder.encode(exchange)
    return _LENGTH.pack(len(data)) + data


class Exchanges:
    """Cuts bytes, as they come, into exchanges."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> Iterator[Exchange]:
        """Those that are whole now; raises PeerError if these are none."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > LIMIT:
                raise PeerError("not exchanges")
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            try:
                yield _decoder.decode(frame)
            except msgspec.MsgspecError as error:
                raise PeerError("not an exchange") from error
