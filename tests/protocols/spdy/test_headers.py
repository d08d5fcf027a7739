"""Header blocks, held against zlib used as another implementation would use it."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import PeerError
from ferryman.protocols.spdy.headers import DICTIONARY, LIMIT, Compressor, Decompressor

names = st.text(
    st.characters(codec="ascii", min_codepoint=33, exclude_characters="\x7f"), min_size=1
)
values = st.text(st.characters(codec="latin-1"))
blocks = st.lists(st.dictionaries(names.map(str.lower), values, max_size=5), min_size=1, max_size=5)


def packed(*texts: bytes, count: int | None = None) -> bytes:
    count = len(texts) // 2 if count is None else count
    return struct.pack("!I", count) + b"".join(
        struct.pack("!I", len(text)) + text for text in texts
    )


def block(plain: bytes) -> bytes:
    """One block as Go's framer makes it: best compression, full window, sync flush."""
    deflate = zlib.compressobj(9, zdict=DICTIONARY)
    return deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)


def test_the_dictionary_is_that_of_the_draft() -> None:
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2  # as every SPDY/3 stream names it in its head


def test_a_plain_inflater_reads_our_blocks() -> None:
    compressor, inflate = Compressor(), zlib.decompressobj(zdict=DICTIONARY)
    first = inflate.decompress(compressor.compress({"streamType": "error", "port": "8000"}))
    second = inflate.decompress(compressor.compress({"streamType": "data", "port": "8000"}))
    assert first == packed(b"streamtype", b"error", b"port", b"8000")
    assert second == packed(b"streamtype", b"data", b"port", b"8000")


def test_the_second_block_leans_on_the_first() -> None:
    compressor = Compressor()
    headers = {"streamtype": "data", "port": "8000", "requestid": "1"}
    assert len(compressor.compress(headers)) > len(compressor.compress(headers))


def test_blocks_of_another_implementation_are_read() -> None:
    plain = packed(b"port", b"8000", b"many", b"a\0b")
    assert Decompressor().decompress(block(plain)) == {"port": "8000", "many": "a\0b"}


@given(blocks)
def test_what_is_compressed_comes_out_again(headers: list[dict[str, str]]) -> None:
    compressor, decompressor = Compressor(), Decompressor()
    for each in headers:
        assert decompressor.decompress(compressor.compress(each)) == each


def test_a_zip_bomb_is_not_inflated() -> None:
    bomb = block(packed(b"x", bytes(50_000_000)))
    assert len(bomb) < LIMIT
    with pytest.raises(PeerError, match="larger than 65536"):
        Decompressor().decompress(bomb)


def test_a_block_may_be_as_large_as_the_limit() -> None:
    largest = packed(b"x", b"y" * (LIMIT - 13))
    assert len(largest) == LIMIT
    assert Decompressor().decompress(block(largest)) == {"x": "y" * (LIMIT - 13)}
    with pytest.raises(PeerError, match="larger"):
        Decompressor().decompress(block(largest + b"!"))


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"not zlib", "not zlib"),
        (zlib.compress(b"no dictionary") + b"x", "ended|has|ends|fit"),
        (block(b""), "ends too early"),
        (block(packed(b"a", b"b", count=2)), "ends too early"),
        (block(packed(b"a", b"b", count=0xFFFFFFFF)), "ends too early"),
        (block(packed(b"a", b"b") + b"!"), "1 bytes too many"),
        (block(struct.pack("!II", 1, 0xFFFFFFFF)), "4294967295 bytes does not fit"),
        (block(packed(b"a", b"1", b"A", b"2")), "'a' twice"),
        (block(packed(b"", b"1")), "not at all"),
    ],
)
def test_a_broken_block_is_a_peer_error(wire: bytes, why: str) -> None:
    with pytest.raises(PeerError, match=why):
        Decompressor().decompress(wire)


@given(st.binary(max_size=200))
def test_garbage_is_a_peer_error(garbage: bytes) -> None:
    for wire in (garbage, block(garbage)):
        try:
            Decompressor().decompress(wire)
        except PeerError:
            continue
