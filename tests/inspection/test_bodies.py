"""Bodies as a person reads them, and bombs as nobody wants them."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ferryman.inspection.bodies import Content, content, expand, hex_head, indented, text
from ferryman.inspection.exchanges import Message


def _raw_deflate(data: bytes) -> bytes:
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(data) + machine.flush()


CODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", _raw_deflate),
    ("br", brotli.compress),
    ("zstd", zstandard.ZstdCompressor().compress),
]


@pytest.mark.parametrize(("coding", "compress"), CODINGS)
@given(st.binary(max_size=300))
def test_what_was_compressed_comes_out_again(
    coding: str, compress: Callable[[bytes], bytes], data: bytes
) -> None:
    assert expand(compress(data), coding) == Content(data, expanded=True)
    assert expand(compress(gzip.compress(data)), f"GZIP, {coding}") == Content(data, expanded=True)


@pytest.mark.parametrize(("coding", "compress"), CODINGS)
def test_a_bomb_gives_no_more_than_the_limit(
    coding: str, compress: Callable[[bytes], bytes]
) -> None:
    bomb = compress(bytes(64 << 20))
    result = expand(bomb, coding, 1000)
    assert result == Content(bytes(1000), expanded=True, whole=False)


@pytest.mark.parametrize(("coding", "compress"), CODINGS)
def test_what_was_cut_off_gives_its_beginning(
    coding: str, compress: Callable[[bytes], bytes]
) -> None:
    data = b"".join(b"%d " % number for number in range(50_000))
    cut = compress(data)
    result = expand(cut[: len(cut) * 3 // 4], coding)
    assert data.startswith(result.data)
    assert not result.whole
    assert not result.problem


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
@given(st.binary(min_size=1, max_size=100))
def test_what_is_not_compressed_after_all_never_raises(coding: str, data: bytes) -> None:
    result = expand(b"not it" + data, coding)
    assert result.data == b"not it" + data or not result.whole


def test_several_members_are_one_body() -> None:
    assert expand(gzip.compress(b"a") + gzip.compress(b"b"), "gzip").data == b"ab"
    compress = zstandard.ZstdCompressor().compress
    assert expand(compress(b"a") + compress(b"b"), "zstd").data == b"ab"


def test_a_coding_that_is_not_known_is_named() -> None:
    assert expand(b"x", "rot13") == Content(b"x", problem="content coding 'rot13' is not known")
    assert expand(b"x", ", ".join(["gzip"] * 9)).problem == "9 codings upon one another"
    assert expand(b"x", "identity") == Content(b"x")


@pytest.mark.parametrize(("coding", "library"), [("br", "brotli"), ("zstd", "zstandard")])
def test_a_library_that_is_not_here_is_named(
    coding: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert expand(b"x", coding) == Content(
        b"x", problem=f"to expand {coding}: pip install {library}"
    )


def test_a_message_says_its_own_coding() -> None:
    fields = (("CONTENT-encoding", "gzip"),)
    assert content(Message("200", 0, 0, fields=fields, body=gzip.compress(b"x"))).data == b"x"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('{"a":[1,2.10,{}],"b":[]}', '{\n  "a": [\n    1,\n    2.10,\n    {}\n  ],\n  "b": []\n}'),
        ('["\\"[{,:", null]', '[\n  "\\"[{,:",\n  null\n]'),
        ("1.10", "1.10"),
        ("{not json", "{not json"),
        ("", ""),
    ],
)
def test_json_is_indented_and_nothing_in_it_changed(source: str, expected: str) -> None:
    assert indented(source, "application/json") == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_indented_json_means_the_same(value: object) -> None:
    laid_out = indented(json.dumps(value), "application/problem+json; charset=utf-8")
    assert json.loads(laid_out) == value
    assert laid_out == json.dumps(value, indent=2)


def test_deep_and_large_json_stays_as_it_came() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert indented(deep, "application/json") == deep
    large = "[" + "1," * 200_000 + "1]"
    assert indented(large, "application/json") == large
    shallow = "[" * 900 + "]" * 900
    assert len(indented(shallow, "application/json")) < 900 * 2 * 70


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [
        (b"caf\xc3\xa9", "", "café"),
        (b"caf\xe9", "text/plain; charset=latin-1", "café"),
        (b"caf\xe9", "text/plain; charset=nonsense", "caf\ufffd"),
        (b"caf\xc3", "", "caf"),
        (b"\x89PNG\0", "", None),
        (b"\xff\xfe\xfd\xfc", "", None),
        (b"\xff", "application/json", "\ufffd"),
        (b"x", "application/octet-stream; charset=rot13", "x"),
    ],
)
def test_text_is_known_by_its_type_or_its_looks(
    data: bytes, kind: str, expected: str | None
) -> None:
    assert text(data, kind) == expected


def test_what_is_no_text_shows_its_first_bytes() -> None:
    assert hex_head(b"\x00\x01") == "00 01"
    assert hex_head(bytes(70)).endswith("00 … 6 more bytes")
