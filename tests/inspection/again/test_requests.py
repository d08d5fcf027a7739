"""Requests that are said again: what stays of them, what does not, and which cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.inspection.again.requests import Unsayable, saying
from ferryman.inspection.events import Facts, Fields
from ferryman.inspection.exchanges import Exchange, Message


def exchange(
    fields: Fields = (), body: bytes = b"", method: str = "GET", more: Facts | None = None
) -> Exchange:
    known: dict[str, str | int] = {"method": method, "path": "/v1/users", "query": "a=b"}
    known |= {"host": "old:80", **(more or {})}
    request = Message("", 0, 0, fields, known, body, len(body))
    return Exchange(1, 1, "http/1.1", "l", "c", "e", request)


def test_headers_stay_but_for_the_connections_own() -> None:
    fields = (
        ("Host", "old:80"),
        ("Accept", "*/*"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Transfer-Encoding", "chunked"),
        (":path", "/v1/users?a=b"),
        ("Content-Encoding", "gzip"),
    )
    said = saying(exchange(fields, b"hello", "POST"), "new:81")
    assert said.lacking == ()
    assert said.data == (
        b"POST /v1/users?a=b HTTP/1.1\r\nHost: new:81\r\nAccept: */*\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
    )


def test_a_server_without_a_name_is_called_as_before() -> None:
    assert b"\r\nHost: old:80\r\n" in saying(exchange(), "").data


def test_what_was_redacted_is_left_out_and_named_unless_it_is_given_anew() -> None:
    fields = (("Authorization", "Bearer [redacted]"), ("Cookie", "[redacted]"))
    said = saying(exchange(fields), "new", (("authorization", "Bearer x"),))
    assert said.lacking == ("Cookie",)
    assert said.data.endswith(b"\r\nHost: new\r\nauthorization: Bearer x\r\n\r\n")
    assert saying(exchange(more={"query": "token=[redacted]"}), "new").lacking == ("the query",)


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"target": "/" + "x" * 300}, "GET /" + "x" * 300),
        ({"target": "http://old/z?q"}, "GET /z?q"),
        ({"path": "/ü /x", "query": ""}, "GET /%C3%BC%20/x"),
        ({"path": "/a\r\nX: y", "query": ""}, "GET /a%0D%0AX:%20y"),
    ],
)
def test_targets_are_whole_and_on_one_line(facts: Facts, line: str) -> None:
    assert saying(exchange(more=facts), "new").data.startswith(f"{line} HTTP/1.1\r\n".encode())


CUT = exchange(body=b"beginning")
assert CUT.request is not None


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (replace(CUT, request=replace(CUT.request, size=99)), r"cut .*\(9 of 99 bytes\)"),
        (replace(CUT, request=replace(CUT.request, error="cut off")), "cut off"),
        (replace(CUT, protocol="grpc"), "HTTP/2"),
        (exchange(method="CONNECT"), "something else than HTTP"),
        (replace(CUT, answer=Message("101", 0, 0, (), {"status": 101})), "something else"),
        (replace(CUT, request=None), "no HTTP request"),
        (exchange((("X", "a\r\nY: b"),)), "header 'X' is none"),
        (exchange((("X Y", "a"),)), "header 'X Y' is none"),
        (exchange(method="GET / HTTP/1.1\r\nX:"), "method is none"),
        (exchange(more={"target": "http://[x"}), "URL is none"),
    ],
)
def test_what_cannot_be_said_says_why(one: Exchange, why: str) -> None:
    with pytest.raises(Unsayable, match=why):
        saying(one, "new")


words = st.text(max_size=10)


@given(st.lists(st.tuples(words, words), max_size=3), words, words, st.binary(max_size=5))
def test_no_file_can_add_a_header_of_its_own(
    fields: list[tuple[str, str]], method: str, path: str, body: bytes
) -> None:
    try:
        said = saying(
            exchange(tuple(fields), body, method, {"path": path, "query": ""}), "new"
        ).data
    except Unsayable:
        return
    head = said[: len(said) - len(body)]
    assert head.count(b"\r\n\r\n") == 1
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\n") <= len(fields) + 4
