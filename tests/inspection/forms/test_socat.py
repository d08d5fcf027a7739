"""socat's dumps, as socat.md describes them; tests/peers compares them with the real ones."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from ferryman.errors import UserError
from ferryman.inspection.feed import DOWN, UP, Chunk, Closed, Missed
from ferryman.inspection.forms import Options, make
from ferryman.inspection.forms.socat import Socat

AT = int(datetime(2026, 11, 23, 2, 31, 3).timestamp()) * 1_000_000_000 + 421_343  # socat's is local


def block(data: bytes, **how: bool) -> bytes:
    return Socat(**how).write(Chunk(1, AT, UP, data)).split(b"\n", 1)[1]


def test_the_header_is_socats() -> None:
    form = Socat()
    first = form.write(Chunk(1, AT, UP, b"x" * 28))
    assert first.startswith(b"> 2026/11/23 02:31:03.000000421  length=28 from=0 to=27\n")
    assert form.write(Chunk(1, AT, UP, b"xy")).startswith(
        b"> 2026/11/23 02:31:03.000000421  length=2 from=28 to=29\n"
    )
    assert (
        form.write(Chunk(1, AT, DOWN, b"x")).split(b"  ")[1].startswith(b"length=1 from=0 to=0\n")
    )


def test_six_digits_on_request_and_ids_if_they_are_wanted() -> None:
    assert b":03.000421  length" in Socat(digits=6).write(Chunk(1, AT, UP, b"x"))
    assert b".000000421  #7  length" in Socat(ids=True).write(Chunk(7, AT, UP, b"x"))


def test_text_is_escaped_as_socat_does() -> None:
    assert block(b"\a\b\v\f\r\\\t\nA\x00\x7f\xff") == b"\\a\\b\\v\\f\\r\\\\\t\nA..."


def test_hex_alone_and_hex_beside_text() -> None:
    assert block(b"A\n", text=False, hexed=True) == b" 41 0a\n"
    rows = block(b"0123456789abcdefg\nh", hexed=True)
    assert rows == (
        b" 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef\n"
        + b" 67 0a".ljust(48) + b"  g.\n"
        + b" 68".ljust(48) + b"  h\n--\n"
    )  # fmt: skip


def test_a_large_read_is_blocks_of_8192_and_offsets_count_what_was_missed() -> None:
    form = Socat()
    out = form.write(Chunk(1, AT, UP, b"x" * 10000))
    assert re.findall(rb"length=\d+ from=\d+ to=\d+", out) == [
        b"length=8192 from=0 to=8191",
        b"length=1808 from=8192 to=9999",
    ]
    form.write(Missed(1, AT, UP, 5))
    assert b"from=10005 to=10005" in form.write(Chunk(1, AT, UP, b"x"))
    form.write(Closed(1, AT, 0, 0, ""))
    assert b"from=0 to=0" in form.write(Chunk(1, AT, UP, b"x"))


def test_the_options_choose_the_dump() -> None:
    chunk = Chunk(1, AT, UP, b"A")
    text, hexed, both = (
        make("socat", Options(verbose=v, hexed=x, ids=False)).write(chunk).split(b"\n", 1)[1]
        for v, x in ((False, False), (False, True), (True, True))
    )
    assert (text, hexed, both) == (b"A", b" 41\n", b" 41".ljust(48) + b"  A\n--\n")


def test_a_form_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match="one of pretty, json, socat, raw"):
        make("xml", Options())
