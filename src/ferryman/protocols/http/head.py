"""Reads as much of an HTTP/1.x head as tells where its body ends; made to be quick.

``framing`` counts with it. Where two readers might disagree, that is where requests are smuggled,
a head is ``Unclear``. Source: RFC 9112, 2.2, 6, 9.3.
"""

from __future__ import annotations

import re
from typing import NamedTuple

CHUNKED = -1
UNTIL_CLOSE = -2

REQUEST = re.compile(rb"([A-Z][A-Z-]{0,31}) [^ \r\n]+ HTTP/1\.([01])\r\n")
ANSWER = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?\r\n")
_TELLING = re.compile(rb"\r\n(content-length|transfer-encoding|connection)[ \t]*:([^\r\n]*)")


class Unclear(Exception):
    """Not HTTP/1.x, or not in a way that all readers agree on."""


class RequestHead(NamedTuple):
    """``length`` is that of the body in bytes, or CHUNKED."""

    method: bytes
    length: int
    persistent: bool


class AnswerHead(NamedTuple):
    """``length`` is what the headers say: CHUNKED, UNTIL_CLOSE or bytes; the request and the
    status may say otherwise.
    """

    status: int
    length: int
    persistent: bool


def read_request(head: bytes) -> RequestHead:
    """Read a whole head, with its empty line; raises Unclear."""
    line = REQUEST.match(head)
    if line is None:
        raise Unclear
    length, persistent = _told(head, line[2] == b"1", otherwise=0)
    if length == UNTIL_CLOSE:
        raise Unclear
    return RequestHead(line[1], length, persistent)


def read_answer(head: bytes) -> AnswerHead:
    """Read a whole head, with its empty line; raises Unclear."""
    line = ANSWER.match(head)
    if line is None:
        raise Unclear
    return AnswerHead(int(line[2]), *_told(head, line[1] == b"1", otherwise=UNTIL_CLOSE))


def is_clear(head: bytes) -> bool:
    """Whether lines end with CRLF only, and none is folded; ``head`` may break off anywhere."""
    ends = head.count(b"\r\n")
    return (
        head.count(b"\n") == ends
        and head.count(b"\r") == ends + head.endswith(b"\r")
        and b"\r\n " not in head
        and b"\r\n\t" not in head
    )


def _told(head: bytes, persistent: bool, otherwise: int) -> tuple[int, bool]:
    """Length of the body and whether the connection goes on, as the headers tell."""
    if not is_clear(head):
        raise Unclear
    length: int | None = None
    for name, value in _TELLING.findall(head.lower()):
        if name == b"connection":
            options = [option.strip(b" \t") for option in value.split(b",")]
            persistent = b"close" not in options and (persistent or b"keep-alive" in options)
        elif length is not None:
            raise Unclear
        else:
            length = _body_length(name, value.strip(b" \t"))
    return otherwise if length is None else length, persistent


def _body_length(name: bytes, value: bytes) -> int:
    if name == b"content-length":
        if not value.isdigit() or len(value) > 18:
            raise Unclear
        return int(value)
    return CHUNKED if value.split(b",")[-1].strip(b" \t") == b"chunked" else UNTIL_CLOSE
