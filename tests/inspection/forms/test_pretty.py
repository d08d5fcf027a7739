"""What people read, line by line."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.inspection.events import (
    MessageBegan,
    MessageData,
    MessageEnded,
    Recognised,
    Undecoded,
)
from ferryman.inspection.feed import DOWN, UP, Chunk, Closed, Missed, Noted, Opened
from ferryman.inspection.forms import Options, make
from ferryman.inspection.session import Decoded, Seen
from tests.support.inspecting import MS, Said, records, shown
from tests.support.split import cut, cuts

TALK: Said = [
    (UP, b"GET /v1/users HTTP/1.1\r\nHost: h\r\n\r\n"),
    (
        DOWN,
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n[1,{}]\n",
    ),
    (UP, b"PUT /x HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"),
    (DOWN, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
]


def lines(said: Said, **options: bool | int) -> list[str]:
    form = make("pretty", Options(**options))  # type: ignore[arg-type]  # by name
    return shown(form, records(said)).decode().splitlines()


def test_a_summary_has_a_line_for_each_half_of_an_exchange() -> None:
    assert lines(TALK) == [
        "#1 127.0.0.1:5001 → localhost:8081",
        "#1 → GET /v1/users  0 B",
        "#1 ← 200 application/json  7 B  1.0 ms",
        "#1.2 → PUT /x  4 B",
        "#1.2 ← 404  0 B  1.0 ms",
        "#1 closed: 77 B up, 122 B down, 5.0 ms",
    ]


def test_without_lines_for_connections_exchanges_are_left() -> None:
    assert lines(TALK, connections=False)[0] == "#1 → GET /v1/users  0 B"
    assert len(lines(TALK, connections=False)) == 4


def test_verbose_shows_heads_and_bodies() -> None:
    assert lines(TALK, verbose=True)[1:-1] == [
        "#1 → GET /v1/users",
        "    Host: h",
        "#1 ← 200 application/json",
        "    Content-Type: application/json",
        "    Content-Length: 7",
        "    [",
        "      1,",
        "      {}",
        "    ]",
        "#1 ← 7 B  1.0 ms",
        "#1.2 → PUT /x",
        "    Content-Length: 4",
        "    body",
        "#1.2 → 4 B",
        "#1.2 ← 404",
        "    Content-Length: 0",
        "#1.2 ← 0 B  1.0 ms",
    ]


def stream(kind: bytes, *pieces: bytes) -> Said:
    """An answer in chunks that comes in pieces."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [(DOWN, b"%x\r\n%s\r\n" % (len(piece), piece)) for piece in pieces]
    return [TALK[0], (DOWN, head), *chunks]


@pytest.mark.parametrize("kind", [b"text/event-stream", b"text/plain", b"application/json"])
def test_a_stream_shows_while_it_comes(kind: bytes) -> None:
    form = make("pretty", Options(verbose=True))
    said = stream(kind, b'{"a":1}\n', b'{"b":2}\n')
    whole = records(said, closed=False)
    before, after = shown(form, whole[:-1]), shown(make("pretty", Options(verbose=True)), whole)
    assert b'"a"' in before
    assert b'"b"' not in before
    assert after.startswith(before)
    assert b'"b"' in after


def test_a_stream_has_a_line_in_the_summary_before_its_end() -> None:
    said = stream(b"text/event-stream", b"data: x\n\n")
    form = make("pretty", Options())
    assert "#1 ← 200 text/event-stream  …\n" in shown(form, records(said, closed=False)).decode()


def test_what_was_compressed_is_expanded() -> None:
    packed = gzip.compress(b'{"a": "\xc3\xa9"}')
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
    said = [TALK[0], (DOWN, head + b"Content-Length: %d\r\n\r\n" % len(packed) + packed)]
    assert '      "a": "é"' in lines(said, verbose=True)


def test_a_body_is_shown_up_to_max_body() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100
    shown_ = lines([TALK[0], (DOWN, answer)], verbose=True, max_body=10)
    assert "    xxxxxxxxxx" in shown_
    assert "    … 90 more bytes" in shown_


def test_what_is_no_text_shows_its_first_bytes() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + bytes(100)
    shown_ = lines([TALK[0], (DOWN, answer)], verbose=True)
    assert sum("|................|" in line for line in shown_) == 4
    assert "    …" in shown_


def test_bytes_of_an_unknown_protocol_show_with_v_only() -> None:
    said: Said = [(UP, b"hello\n"), (DOWN, b"\x00\x01")]
    assert lines(said)[1:-1] == []
    assert lines(said, verbose=True)[1:-1] == [
        "#1 → 6 B",
        "    hello",
        "#1 ← 2 B",
        "    00000000  00 01                                             |..|",
    ]


def test_those_who_speak_in_between_are_told_apart() -> None:
    form = make("pretty", Options(verbose=True))
    began = MessageBegan(1, DOWN, "200", (("Content-Type", "text/plain"),))
    out = b""
    for connection in (1, 2):
        out += form.write(Decoded(connection, 0, began))
    for connection in (1, 1, 2):
        out += form.write(Decoded(connection, 0, MessageData(1, DOWN, b"x")))
    assert out.decode().splitlines()[4:] == ["#1 ← …", "    x", "    x", "#2 ← …", "    x"]


def test_notes_gaps_resets_and_failures_have_lines() -> None:
    form = make("pretty", Options())
    given_: list[Seen] = [
        Opened(3, 0, "l", "c", "e"),
        Missed(3, 0, UP, 1200),
        Noted(3, 0, "no route\nto host"),
        Noted(0, 0, "busy"),
        Decoded(3, 0, Undecoded("not HTTP")),
        Decoded(3, 0, Recognised("tls", {"sni": "h"})),
        Decoded(3, 0, MessageEnded(1, DOWN, 0, error="no answer")),
        Decoded(3, 0, MessageEnded(2, DOWN, 9, facts={"grpc": "OK"}, missed=4)),
        Closed(3, 20_000 * MS, 1, 2_000_000, "boom"),
    ]
    assert b"".join(map(form.write, given_)).decode().splitlines() == [
        "#3 c → e",
        "#3 → 1.2 kB could not be kept up with",
        "#3 no route\ufffdto host",
        "busy",
        "#3 goes on as bytes: not HTTP",
        "#3 tls sni=h",
        "#3 ← no answer",
        "#3.2 ← 9 B  grpc=OK  4 B not seen",
        "#3 reset: boom: 1 B up, 2.0 MB down, 20.0 s",
    ]


def test_colours_are_all_that_colour_adds() -> None:
    form = make("pretty", Options(verbose=True, colour=True))
    coloured = shown(form, records(TALK)).decode()
    assert "\x1b[32m200\x1b[0m" in coloured
    bare = coloured
    for code in ("0", "1", "2", "31", "32", "33", "34", "36"):
        bare = bare.replace(f"\x1b[{code}m", "")
    assert bare.splitlines() == lines(TALK, verbose=True)


HOSTILE = st.binary(max_size=30).map(
    lambda data: data + b"\x1b]0;owned\x07\x9b31m\xc2\x9b\xe2\x80\xae"
)


@given(HOSTILE, st.sampled_from(("pretty", "json", "hexdump")), st.booleans(), cuts)
def test_nothing_reaches_a_terminal_that_it_would_act_on(
    hostile: bytes, name: str, verbose: bool, places: list[int]
) -> None:
    line = hostile.replace(b"\r", b"").replace(b"\n", b"").replace(b" ", b"")
    said: Said = [
        (UP, b"GET /" + line + b" HTTP/1.1\r\nX-" + line + b": " + line + b"\r\n\r\n"),
        (DOWN, b"HTTP/1.1 200 " + line + b"\r\nContent-Type: " + line + b"\r\n\r\n" + hostile),
    ]
    given_ = [*records(said, places), *records([(UP, hostile)], places, connection=2)]
    given_ += [
        Noted(0, 0, hostile.decode("latin-1")),
        Opened(9, 0, "", hostile.decode("latin-1"), ""),
    ]
    out = shown(make(name, Options(verbose=verbose)), given_)
    assert b"\x1b" not in out
    text = out.decode()
    assert all(letter.isprintable() or letter in "\n\t" for letter in text), text


def test_json_lines_are_objects_with_the_documented_fields() -> None:
    form = make("json", Options(verbose=True))
    objects = [json.loads(line) for line in shown(form, records(TALK)).splitlines()]
    assert [it["type"] for it in objects] == ["open", "protocol", "exchange", "exchange", "close"]
    first = objects[2]
    assert (first["id"], first["ms"], first["protocol"]) == ("1.1", 1.0, "http/1.1")
    assert first["request"]["method"] == "GET"
    assert first["request"]["fields"] == [["Host", "h"]]
    assert (first["answer"]["status"], first["answer"]["body"]) == (200, "[1,{}]\n")
    assert first["answer"]["body_whole"] is True
    assert objects[-1]["up"] == 77


def test_json_without_v_has_no_bodies() -> None:
    objects = [json.loads(it) for it in shown(make("json", Options()), records(TALK)).splitlines()]
    assert "body" not in objects[2]["answer"]
    assert objects[2]["answer"]["size"] == 7


def test_json_shows_bytes_of_unknown_protocols_only() -> None:
    form = make("json", Options(verbose=True))
    passed: list[Seen] = [Decoded(1, 0, Recognised("http/1.1")), Chunk(1, 0, UP, b"x"),
              Decoded(2, 0, Recognised("opaque")), Chunk(2, 0, UP, b"\xff")]  # fmt: skip
    objects = [json.loads(it) for it in b"".join(map(form.write, passed)).splitlines()]
    assert [it.get("data_base64") for it in objects if it["type"] == "bytes"] == ["/w=="]


def test_a_hexdump_has_ids_and_offsets() -> None:
    form = make("pretty", Options(hexed=True))
    out = shown(form, records([(UP, b"0123456789abcdefXY"), (UP, b"Z"), (DOWN, b"\n")])).decode()
    assert out.splitlines()[1:-1] == [
        "#1 → 00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "#1 → 00000010  58 59                                             |XY|",
        "#1 → 00000012  5a                                                |Z|",
        "#1 ← 00000000  0a                                                |.|",
    ]


@given(st.binary(max_size=200), cuts)
def test_the_raw_form_is_the_bytes(data: bytes, places: list[int]) -> None:
    data = b"\x01" + data
    out = b"".join(
        make("raw", Options()).write(Chunk(1, 0, UP, piece)) for piece in cut(data, places)
    )
    assert out == data
