"""Which protocol a connection speaks, by its first bytes, and which module decodes it; pure.

``detect`` says as soon as it is sure; what it says does not depend on how the bytes were cut.
``load`` imports a decoder when it is needed for the first time, so that a relay that nobody speaks
HTTP through never pays for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import cast

from ferryman.inspection.decoder import Decoder, Start

MODULES = {
    "http/1.1": "ferryman.inspection.http1",
    "h2": "ferryman.inspection.http2",
    "websocket": "ferryman.inspection.websocket",
    "redis": "ferryman.inspection.redis",
    "postgresql": "ferryman.inspection.postgres",
    "tls": "ferryman.inspection.tls",
}
"""Each has a function ``decoder(start: Start) -> Decoder``."""

LINE_LIMIT = 8192
"""Bytes of a first line, after which it need not be whole."""

OPAQUE = "opaque"

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_REQUEST = re.compile(rb"[A-Z][A-Z_-]{0,31} [^ \r\n]+ HTTP/1\.[01]\r?\n")
_REQUEST_BEGUN = re.compile(rb"[A-Z][A-Z_-]{0,31}(?: [^ \r\n]*(?: [HTP/1.0]{0,8}\r?)?)?\Z")
_RESP_BEGUN = re.compile(rb"\*(?:[1-9][0-9]{0,6}(?:\r(?:\n(?:\$(?:[0-9]{1,9}\r?)?)?)?)?)?\Z")
_RESP = re.compile(rb"\*[1-9][0-9]{0,6}\r\n\$[0-9]{1,9}\r\n")
_INLINE = re.compile(rb"([A-Za-z]{1,10})(?: [^\r\n]*)?\r\n")
_INLINE_BEGUN = re.compile(rb"([A-Za-z]{1,10})(?: [^\r\n]*)?\r?\Z")
_HELLO = re.compile(rb"[A-Za-z]+ [23]\b")  # others say hello, too
_COMMANDS = frozenset(
    b"AUTH CLIENT COMMAND CONFIG DBSIZE DEL EXISTS GET HELLO INCR INFO KEYS MONITOR PING PSUBSCRIBE"
    b" QUIT SELECT SET SUBSCRIBE".split()
)
_STARTUP_CODES = (80877102, 80877103, 80877104)  # cancel, TLS, GSSAPI: PostgreSQL's protocol.h


def load(protocol: str, start: Start) -> Decoder | None:
    """A decoder, or None if there is none for that protocol."""
    name = MODULES.get(protocol)
    if name is None:
        return None
    make = cast(Callable[[Start], Decoder], import_module(name).decoder)
    return make(start)


def detect(up: bytes, down: bytes) -> str | None:
    """The protocol that begins with these bytes, "opaque" if none does, None: too early to say."""
    if not up:
        return _by_answer(down) if down else None
    undecided = False
    for protocol, verdict in _RULES:
        said = verdict(up.lstrip(b"\r\n") if protocol == "http/1.1" else up)
        if said:
            return protocol
        undecided |= said is None
    return None if undecided and len(up) < LINE_LIMIT else OPAQUE


def _by_answer(down: bytes) -> str | None:
    """A server that speaks first; of those that we know, only HTTP's second version may."""
    start = b"HTTP/1."
    if down.startswith(start):
        return "http/1.1"  # to a request that nobody saw
    settings = down[3:4] in (b"", b"\x04") and down[:1] == b"\0" and len(down) < 1024
    return None if start.startswith(down) or settings else OPAQUE


def _http2(up: bytes) -> bool | None:
    return up.startswith(_PREFACE) or (None if _PREFACE.startswith(up) else False)


def _http1(up: bytes) -> bool | None:
    if _REQUEST.match(up):
        return True
    if len(up) >= LINE_LIMIT:
        return bool(_REQUEST_BEGUN.match(up[:LINE_LIMIT]))
    return None if not up or _REQUEST_BEGUN.match(up) else False


def _tls(up: bytes) -> bool | None:
    """A handshake record with a ClientHello: RFC 8446, 4 and 5.1."""
    if len(up) >= 6:
        return up[0] == 0x16 and up[1] == 3 and up[2] <= 4 and up[5] == 1
    return None if b"\x16\x03".startswith(up[:2]) else False


def _postgresql(up: bytes) -> bool | None:
    """A start-up packet: its length, then a version or a code."""
    if up[0] != 0:
        return False
    if len(up) < 8:
        return None
    length, code = int.from_bytes(up[:4], "big"), int.from_bytes(up[4:8], "big")
    return 8 <= length <= 10000 and (code >> 16 == 3 or code in _STARTUP_CODES)


def _redis(up: bytes) -> bool | None:
    if _RESP.match(up):
        return True
    if up[:1] == b"*":
        return None if _RESP_BEGUN.match(up) else False
    if line := _INLINE.match(up):
        word = line[1].upper()
        people = b" HTTP/" in line[0] or (word == b"HELLO" and not _HELLO.match(up))
        return word in _COMMANDS and not people
    return None if _INLINE_BEGUN.match(up) else False


_RULES: tuple[tuple[str, Callable[[bytes], bool | None]], ...] = (
    ("h2", _http2),
    ("http/1.1", _http1),
    ("tls", _tls),
    ("redis", _redis),
    ("postgresql", _postgresql),
)
