"""``.har`` files, version 1.2: HTTP exchanges, as browsers and proxies keep them; pure.

Source of the format: http://www.softwareishard.com/blog/har-12-spec/; WebSocket messages are said
as Chrome says them (``_webSocketMessages``), what else is ours is in ``_ferry``. The file is whole
after each entry, because the ``tail`` is written behind it. ``har_reading`` is the way back.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field as member
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from ferryman.inspection.bodies import Content, content, field
from ferryman.inspection.events import Fields
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.feed import Closed, Record

_HELD_PER_CONNECTION = 4 << 20
_HELD = 64 << 20
"""Bytes of WebSocket messages that wait for their connection's end; what exceeds it is counted."""

_EXPANDED = 16 << 20
"""Bytes of a body without its content coding."""

_URL_SAFE = "/?#[]@!$&'()*+,;=%:~-._"
_OPCODES = {"text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}


@dataclass(slots=True)
class _Upgraded:
    """An entry that waits for the messages of its WebSocket."""

    entry: dict[str, Any]
    messages: list[dict[str, Any]] = member(default_factory=list)
    size: int = 0
    left_out: int = 0


class Har:
    """Writes such a file: an Exporter."""

    raw = False
    exchanges = True
    tail = b"\n]}}\n"

    def __init__(self, version: str) -> None:
        self._version = version
        self._first = True
        self._upgraded: dict[int, _Upgraded] = {}
        self._held = 0

    def begin(self) -> bytes:
        """All that goes before the entries."""
        log = {"version": "1.2", "creator": {"name": "ferryman", "version": self._version}}
        return b'{"log": ' + json.dumps(log)[:-1].encode() + b', "entries": ['

    def record(self, record: Record) -> bytes:
        """A connection that ended releases its entry, if that waited."""
        if isinstance(record, Closed):
            return self._released(record.connection)
        return b""

    def recognised(self, _connection: int, _protocol: str) -> bytes:
        """Nothing: exchanges know their protocol."""
        return b""

    def exchange(self, exchange: Exchange) -> bytes:
        """The exchange's entry; nothing if it is not HTTP's, or waits for its WebSocket."""
        if exchange.protocol == "websocket":
            self._message(exchange)
            return b""
        entry = to_entry(exchange)
        if entry is None:
            return b""
        if entry["response"]["status"] == 101 and exchange.connection not in self._upgraded:
            self._upgraded[exchange.connection] = _Upgraded(entry)
            return b""
        return self._entry(entry)

    def finish(self) -> bytes:
        """The entries that wait."""
        return b"".join(self._released(connection) for connection in list(self._upgraded))

    def _message(self, exchange: Exchange) -> None:
        upgraded = self._upgraded.get(exchange.connection)
        if upgraded is None:
            return
        for message, kind in ((exchange.request, "send"), (exchange.answer, "receive")):
            if message is None:
                continue
            size = len(message.body) + 200
            if upgraded.size + size > _HELD_PER_CONNECTION or self._held + size > _HELD:
                upgraded.left_out += 1
                continue
            upgraded.size += size
            self._held += size
            upgraded.messages.append(_websocket_message(message, kind))

    def _released(self, connection: int) -> bytes:
        upgraded = self._upgraded.pop(connection, None)
        if upgraded is None:
            return b""
        self._held -= upgraded.size
        entry = upgraded.entry
        if upgraded.messages or upgraded.left_out:
            entry["_resourceType"] = "websocket"
            entry["_webSocketMessages"] = upgraded.messages
        if upgraded.left_out:
            entry["comment"] = f"{upgraded.left_out} more WebSocket messages were not kept"
        return self._entry(entry)

    def _entry(self, entry: dict[str, Any]) -> bytes:
        separator = b"\n" if self._first else b",\n"
        self._first = False
        return separator + json.dumps(entry, separators=(",", ":")).encode()


def to_entry(exchange: Exchange) -> dict[str, Any] | None:
    """The exchange as one of HAR's entries; None if it is no HTTP request."""
    request, answer = exchange.request, exchange.answer
    if request is None or "method" not in request.facts:
        return None
    asked = content(request, _EXPANDED)
    answered = content(answer, _EXPANDED) if answer else Content(b"")
    send = _milliseconds(request.ended - request.began)
    wait = _milliseconds(answer.began - request.ended) if answer else 0.0
    receive = _milliseconds(answer.ended - answer.began) if answer else 0.0
    entry: dict[str, Any] = {
        "startedDateTime": _when(request.began),
        "time": round(send + wait + receive, 6),
        "request": _request(exchange, request, asked),
        "response": _response(exchange, answer, answered),
        "cache": {},
        "timings": {
            "blocked": -1,
            "dns": -1,
            "connect": -1,
            "ssl": -1,
            "send": send,
            "wait": wait,
            "receive": receive,
        },
        "connection": str(exchange.connection),
        "_ferry": {
            "connection": exchange.connection,
            "exchange": exchange.number,
            "protocol": exchange.protocol,
            "listener": _clean(exchange.listener),
            "client": _clean(exchange.client),
            "endpoint": _clean(exchange.endpoint),
            "request": _marks(request, asked),
        },
    }
    if answer is not None:
        entry["_ferry"]["response"] = _marks(answer, answered)
    host = exchange.endpoint.rpartition(":")[0].strip("[]")
    try:
        entry["serverIPAddress"] = str(ip_address(host))
    except ValueError:
        pass  # a name or a path
    return entry


def _request(exchange: Exchange, request: Message, body: Content) -> dict[str, Any]:
    url = _url(request)
    said: dict[str, Any] = {
        "method": str(request.facts["method"]),
        "url": url,
        "httpVersion": _version(exchange),
        "cookies": _cookies(request.fields, "cookie"),
        "headers": _headers(request.fields),
        "queryString": [
            {"name": name, "value": value}
            for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)
        ],
        "headersSize": -1,
        "bodySize": request.size,
    }
    if request.size:
        said["postData"] = {"mimeType": _type(request) or "", **_text(body, "_encoding")}
        if note := _shortened(request, body):
            said["postData"]["comment"] = note
    return said


def _response(exchange: Exchange, answer: Message | None, body: Content) -> dict[str, Any]:
    said: dict[str, Any] = {
        "status": 0,
        "statusText": "",
        "httpVersion": _version(exchange),
        "cookies": [],
        "headers": [],
        "content": {"size": 0, "mimeType": "x-unknown"},
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": -1,
    }
    if answer is None:
        return said | {"_error": "no answer was seen"}
    size = len(body.data) if answer.whole and body.whole else answer.size
    kept: dict[str, Any] = {"size": size, "mimeType": _type(answer) or "x-unknown"}
    if answer.body:
        kept |= _text(body, "encoding")
    if answer.whole and body.whole and body.expanded:
        kept["compression"] = size - answer.size
    if note := _shortened(answer, body):
        kept["comment"] = note
    said |= {
        "status": int(answer.facts.get("status", 0)),
        "statusText": _clean(str(answer.facts.get("reason", ""))),
        "cookies": _cookies(answer.fields, "set-cookie"),
        "headers": _headers(answer.fields),
        "content": kept,
        "redirectURL": _clean(field(answer.fields, "location")),
        "bodySize": answer.size,
    }
    if answer.error:
        said["_error"] = _clean(answer.error)
    return said


def _marks(message: Message, body: Content) -> dict[str, Any]:
    """What HAR has no place for."""
    marks: dict[str, Any] = {
        "title": _clean(message.title),
        "began": message.began,
        "ended": message.ended,
        "size": message.size,
    }
    if message.trailers:
        marks["trailers"] = _headers(message.trailers)
    if message.missed:
        marks["missed"] = message.missed
    if message.error:
        marks["error"] = _clean(message.error)
    if not (message.whole and body.whole):
        marks["whole"] = False
    if field(message.fields, "content-encoding") and not body.expanded:
        marks["coded"] = True
    return marks


def _websocket_message(message: Message, kind: str) -> dict[str, Any]:
    opcode = _OPCODES.get(str(message.facts.get("opcode", "text")), 1)
    data = _text(Content(message.body), "")
    opcode = 2 if opcode == 1 and "" in data else opcode
    text = data["text"] if opcode == 1 else base64.b64encode(message.body).decode()
    said: dict[str, Any] = {
        "type": kind,
        "time": message.began / 1e9,
        "opcode": opcode,
        "data": text,
    }
    if not message.whole:
        said["_size"] = message.size
    return said


def _text(body: Content, encoding: str) -> dict[str, str]:
    """The body as text if it is text, as base64 if not; ``encoding`` is the key that says so."""
    try:
        text = body.data.decode()
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body.data).decode(), encoding: "base64"}
    return {"text": text}


def _url(request: Message) -> str:
    path = target(request)
    if not path.startswith(("http://", "https://")):
        slash = "" if path.startswith("/") else "/"
        path = f"http://{request.facts.get('host') or 'localhost'}{slash}{path}"
    url = quote(_clean(path), safe=_URL_SAFE)
    try:
        urlsplit(url)
    except ValueError:  # a bracket that no IPv6 address is in
        return url.replace("[", "%5B").replace("]", "%5D")
    return url


def target(request: Message) -> str:
    """What was asked for, as it was written: facts have no more of it than fits into a line."""
    if whole := request.facts.get("target") or field(request.fields, ":path"):
        return str(whole)
    query = request.facts.get("query")
    return f"{request.facts.get('path', '/')}" + (f"?{query}" if query else "")


def _version(exchange: Exchange) -> str:
    return "HTTP/2" if exchange.protocol in ("h2", "grpc") else "HTTP/1.1"


def _headers(fields: Fields) -> list[dict[str, str]]:
    return [{"name": _clean(name), "value": _clean(value)} for name, value in fields]


def _cookies(fields: Fields, header: str) -> list[dict[str, str]]:
    """Names and values; none where they were redacted."""
    pairs: Iterable[str] = (value for name, value in fields if name.lower() == header)
    if header == "cookie":
        pairs = (pair for value in pairs for pair in value.split(";"))
    else:
        pairs = (value.partition(";")[0] for value in pairs)
    split = (pair.strip().partition("=") for pair in pairs)
    return [{"name": _clean(name), "value": _clean(value)} for name, sign, value in split if sign]


def _type(message: Message) -> str:
    return _clean(field(message.fields, "content-type"))


def _shortened(message: Message, body: Content) -> str:
    if body.problem:
        return body.problem
    if message.missed:
        return f"{message.missed} of {message.size} bytes could not be kept up with"
    if len(message.body) < message.size:
        return f"only the first {len(message.body)} of {message.size} bytes were kept"
    return "" if body.whole else f"only {len(body.data)} bytes of what it expands to were kept"


def _milliseconds(nanoseconds: int) -> float:
    return max(nanoseconds, 0) / 1e6


def _when(nanoseconds: int) -> str:
    seconds, rest = divmod(max(nanoseconds, 0), 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def _clean(text: str) -> str:
    """Text that is UTF-8 for sure."""
    return text.encode(errors="surrogateescape").decode(errors="replace")
