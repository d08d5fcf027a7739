"""HPACK header blocks, and where in them secrets are; pure.

The ``hpack`` library has the Huffman code and the static table. Its decoder cannot say where a
value is, and logs what it reads; tests compare ours with it. Source: RFC 7541.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from ferryman.inspection import redaction
from ferryman.inspection.decoder import Undecodable

BLOCK_LIMIT = 65536
"""Bytes of a header block, and of the fields that it expands to."""
TABLE_LIMIT = 1 << 18
"""The most that a peer may let the other remember."""
_TABLE = 4096
_OVERHEAD = 32
_HUFFMAN = 0x80
STAR, HUFFMAN_STAR = 0x2A, 0xF9
"""What "*" is, and is in the Huffman code: whole octets of eight bits."""
_STATIC: tuple[tuple[bytes, bytes], ...] = tuple(HeaderTable.STATIC_TABLE)


@dataclass(frozen=True, slots=True)
class Field:
    """``secrets`` are parts of the block, to be hidden by so many ``filler``s."""

    name: str
    value: str
    secrets: tuple[tuple[int, int], ...] = ()
    filler: int = STAR


class HeaderBlocks:
    """The blocks of one direction, in their order: each may refer to those before."""

    def __init__(self, *, redact: bool = True) -> None:
        self._redact = redact
        self._table: deque[tuple[bytes, bytes]] = deque()
        self._used = 0
        self._most = _TABLE

    def decode(self, block: bytes) -> list[Field]:
        """The fields of a whole block."""
        try:
            return self._decode(block)
        except (IndexError, HPACKDecodingError) as error:
            raise Undecodable("a header block that cannot be read") from error

    def _decode(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        at = size = 0
        while at < len(block):
            first = block[at]
            if first & 0xE0 == 0x20:
                most, at = _integer(block, at, 5)
                if most > TABLE_LIMIT:
                    raise Undecodable(f"a table of more than {TABLE_LIMIT} bytes")
                self._most = most
                self._evict()
                continue
            place, filler = (0, 0), STAR
            if first & 0x80:
                index, at = _integer(block, at, 7)
                name, value = self._entry(index)
            else:
                index, at = _integer(block, at, 6 if first & 0x40 else 4)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, _, at = _string(block, at)
                filler = HUFFMAN_STAR if block[at] & _HUFFMAN else STAR
                value, place, at = _string(block, at)
                if first & 0x40:
                    self._add(name, value)
            size += len(name) + len(value) + _OVERHEAD
            if size > BLOCK_LIMIT:
                raise Undecodable(f"headers of more than {BLOCK_LIMIT} bytes")
            fields.append(self._field(name, value, place, filler))
        return fields

    def _field(self, name: bytes, value: bytes, place: tuple[int, int], filler: int) -> Field:
        key = name.decode(errors="replace")
        text = value.decode("latin-1")  # a character a byte, so that places are places
        found = redaction.secrets(key.lower(), text)
        if not found:
            return Field(key, value.decode(errors="replace"))
        shown = redaction.redacted(text, found) if self._redact else text
        start, end = place
        if start == end:  # an entry of the table, hidden when it came
            return Field(key, shown)
        if filler == HUFFMAN_STAR:  # its characters are no octets: hide it whole
            return Field(key, shown, (place,), filler)
        return Field(key, shown, tuple((start + a, start + b) for a, b in found))

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        if not index:
            raise IndexError("the index 0 is not used")
        if index <= len(_STATIC):
            return _STATIC[index - 1]
        return self._table[index - len(_STATIC) - 1]

    def _add(self, name: bytes, value: bytes) -> None:
        self._table.appendleft((name, value))
        self._used += len(name) + len(value) + _OVERHEAD
        self._evict()

    def _evict(self) -> None:
        while self._used > self._most:
            name, value = self._table.pop()
            self._used -= len(name) + len(value) + _OVERHEAD


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """A number, and the index after it."""
    most = (1 << bits) - 1
    number = block[at] & most
    at += 1
    if number < most:
        return number, at
    for shift in range(0, 28, 7):
        octet = block[at]
        at += 1
        number += (octet & 0x7F) << shift
        if not octet & 0x80:
            return number, at
    raise Undecodable("a number in a header block that is too large")


def _string(block: bytes, at: int) -> tuple[bytes, tuple[int, int], int]:
    """A string, where it is, and the index after it."""
    huffman = block[at] & _HUFFMAN
    size, start = _integer(block, at, 7)
    end = start + size
    if end > len(block):
        raise IndexError("a string beyond the block")
    data = block[start:end]
    return (decode_huffman(data) if huffman else data), (start, end), end
