"""SPDY/3 header blocks: names and values, compressed with one zlib context per direction.

``connection`` owns one ``Compressor`` and one ``Decompressor`` for its whole life: every block
that comes must go through the latter, even that of a stream that is refused.
Source: SPDY/3.1 draft, 2.6.10; the dictionary is its appendix.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from ferryman.errors import PeerError

DICTIONARY = Path(__file__).with_name("dictionary.bin").read_bytes()
LIMIT = 65536
"""Bytes that a block may have once decompressed; a portforward stream needs about 60."""

_UINT32 = struct.Struct("!I")
_NOTHING = bytes(4)
_WINDOW_BITS, _MEMORY_LEVEL = 11, 1  # 10 KiB a wire instead of 256: blocks are tiny


class Compressor:
    """Makes the header blocks of one direction."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(
            zlib.Z_DEFAULT_COMPRESSION,
            zlib.DEFLATED,
            _WINDOW_BITS,
            _MEMORY_LEVEL,
            zdict=DICTIONARY,
        )

    def compress(self, headers: Mapping[str, str]) -> bytes:
        """One block; names go out in lower case, several values are joined with NUL."""
        plain = [_UINT32.pack(len(headers))]
        for name, value in headers.items():
            encoded = value.encode("latin-1")
            plain += (_name(name), _UINT32.pack(len(encoded)), encoded)
        return self._zlib.compress(b"".join(plain)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


@functools.lru_cache(64)
def _name(name: str) -> bytes:
    encoded = name.lower().encode("latin-1")
    return _UINT32.pack(len(encoded)) + encoded


class Decompressor:
    """Reads the header blocks of one direction."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)
        self._limit = limit

    def decompress(self, block: bytes) -> dict[str, str]:
        """The headers of one block, names in lower case.

        Raises PeerError if it is broken, or larger than the limit: a zip bomb is not inflated.
        """
        try:
            plain = self._zlib.decompress(block, self._limit + 1)
        except zlib.error as cause:
            raise PeerError(f"a SPDY header block is not zlib: {cause}") from cause
        if len(plain) > self._limit or self._zlib.unconsumed_tail:
            raise PeerError(f"a SPDY header block is larger than {self._limit} bytes")
        if self._zlib.eof:
            raise PeerError("the zlib stream of SPDY header blocks ended")
        return _parse(plain)


def _parse(plain: bytes) -> dict[str, str]:
    if plain == _NOTHING:  # nearly every SYN_REPLY
        return {}
    count, position = _number(plain, 0), 4
    headers: dict[str, str] = {}
    for _ in range(count):
        name, position = _text(plain, position)
        value, position = _text(plain, position)
        name = name.lower()
        if not name or name in headers:
            raise PeerError(f"a SPDY header block names {name!r} twice or not at all")
        headers[name] = value
    if position != len(plain):
        raise PeerError(f"a SPDY header block has {len(plain) - position} bytes too many")
    return headers


def _text(plain: bytes, position: int) -> tuple[str, int]:
    length = _number(plain, position)
    end = position + 4 + length
    if end > len(plain):
        raise PeerError(f"a SPDY header of {length} bytes does not fit into its block")
    return plain[position + 4 : end].decode("latin-1"), end


def _number(plain: bytes, position: int) -> int:
    if position + 4 > len(plain):
        raise PeerError("a SPDY header block ends too early")
    number: int = _UINT32.unpack_from(plain, position)[0]
    return number
