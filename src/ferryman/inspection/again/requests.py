"""An HTTP request as it can be said again, to another server, on another connection; pure.

Headers stay, but for those that belong to the old connection, and Host. What was redacted when it
was kept can only be given anew; what was cut cannot be said at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from ferryman.errors import UserError
from ferryman.inspection.events import Fields
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.exports.har import target
from ferryman.inspection.redaction import REDACTED

# RFC 9110, 7.6.1 and 10.1.1; RFC 9113, 3.1 (HTTP2-Settings). Content-Length is counted anew.
_OF_CONNECTION_TEXT = """
    connection content-length expect host http2-settings keep-alive proxy-connection te trailer
    transfer-encoding upgrade
"""
_OF_CONNECTION = frozenset(_OF_CONNECTION_TEXT.split())
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_TARGET_SAFE = "/?#[]@!$&'()*+,;=%:~-._\"<>\\^`{|}"
_WITH_BODY = ("POST", "PUT", "PATCH")


class Unsayable(UserError):
    """It cannot be said again; the message says why."""


@dataclass(frozen=True, slots=True)
class Saying:
    """A request's bytes; ``lacking`` names what was redacted and was not given anew."""

    data: bytes
    lacking: tuple[str, ...] = ()


def saying(exchange: Exchange, host: str, given: Fields = ()) -> Saying:
    """The request of an exchange, for a server that is called ``host`` ("": as it was called).

    ``given`` headers replace those of the same name. Raises Unsayable.
    """
    request = _request(exchange)
    method = str(request.facts["method"])
    path = _target(request)
    lacking = ["the query"] if REDACTED in path else []
    replaced = {name.lower() for name, _ in given}
    fields: list[tuple[str, str]] = []
    if "host" not in replaced:
        fields.append(("Host", host or str(request.facts.get("host", "localhost"))))
    gone = _OF_CONNECTION | replaced | _named_by_connection(request.fields)
    for name, value in request.fields:
        if name.lower() in gone or name.startswith(":"):
            continue
        if REDACTED in value:
            lacking.append(name)
        else:
            fields.append((name, value))
    fields += given
    if request.body or method in _WITH_BODY:
        fields.append(("Content-Length", str(len(request.body))))
    if not _TOKEN.fullmatch(method):
        raise Unsayable("its method is none")
    head = _head(f"{method} {path} HTTP/1.1", fields)
    return Saying(head + request.body, tuple(dict.fromkeys(lacking)))


def is_http(exchange: Exchange) -> bool:
    """Whether it is a request, to be said by ``saying``."""
    return exchange.request is not None and "method" in exchange.request.facts


def _request(exchange: Exchange) -> Message:
    """The request, if it can be said."""
    request, answer = exchange.request, exchange.answer
    if request is None or "method" not in request.facts:
        raise Unsayable("it is no HTTP request")
    if exchange.protocol == "grpc":
        raise Unsayable("it is gRPC, which needs HTTP/2")
    if request.facts["method"] == "CONNECT" or (answer and answer.facts.get("status") == 101):
        raise Unsayable("the connection became something else than HTTP")
    if not request.whole:
        kept = f"{len(request.body)} of {request.size} bytes"
        raise Unsayable(request.error or f"its body was cut when it was kept ({kept})")
    return request


def _target(request: Message) -> str:
    """Path and query, as the old client wrote them."""
    written = target(request)
    if written.startswith(("http://", "https://")):
        try:
            split = urlsplit(written)
        except ValueError as error:
            raise Unsayable("its URL is none") from error
        written = (split.path or "/") + (f"?{split.query}" if split.query else "")
    return quote(written.encode(errors="surrogateescape"), safe=_TARGET_SAFE)


def _named_by_connection(fields: Fields) -> set[str]:
    values = (value for name, value in fields if name.lower() == "connection")
    return {option.strip().lower() for value in values for option in value.split(",")}


def _head(first: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """A file from a stranger must not be able to add lines of its own."""
    lines = [first]
    for name, value in fields:
        if not _TOKEN.fullmatch(name) or any(letter in value for letter in "\r\n\0"):
            raise Unsayable(f"its header {name[:40]!r} is none")
        lines.append(f"{name}: {value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode(errors="surrogateescape")
