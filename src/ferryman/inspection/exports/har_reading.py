"""Exchanges out of a ``.har`` file, ours or anybody's; pure. ``har`` writes them.

Bodies in a HAR are without content coding, so the header that names one is left out. What is
missing or of another type is taken for empty, and a file that is no HAR is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from ferryman.errors import UserError
from ferryman.inspection import redaction
from ferryman.inspection.bodies import field
from ferryman.inspection.events import Facts, Fields
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.titles import title as one_line

_PROTOCOLS = {"http/2": "h2", "http/2.0": "h2", "h2": "h2"}
_KINDS = {1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}


def from_har(data: bytes, *, redact: bool = True) -> list[Exchange]:
    """The file's exchanges, in order; raises UserError if it is no HAR.

    Browsers write secrets into theirs: with ``redact`` they do not come out.
    """
    try:
        entries = json.loads(data)["log"]["entries"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError("this is no HAR", "a HAR is JSON with log.entries") from error
    if not isinstance(entries, list):
        raise UserError("this is no HAR", "log.entries is no list")
    exchanges: list[Exchange] = []
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, dict):
            exchanges += _exchanges(_without_secrets(entry) if redact else entry, number)
    return exchanges


def _without_secrets(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry with its URL's and its headers' secrets redacted."""
    said = dict(_object(entry, "request"))
    said["url"] = redaction.value(":path", _text(said, "url"))
    redacted = {**entry, "request": said, "response": dict(_object(entry, "response"))}
    for side in (redacted["request"], redacted["response"]):
        side["headers"] = [
            {"name": name, "value": redaction.value(name, value)}
            for name, value in _fields(side, "headers")
        ]
    return redacted


def _exchanges(entry: Mapping[str, Any], number: int) -> Iterator[Exchange]:
    ours = _object(entry, "_ferry")
    said, answered = _object(entry, "request"), _object(entry, "response")
    timings = _object(entry, "timings")
    began = _began(entry)
    sent = began + _nanoseconds(timings, "send")
    waited = sent + _nanoseconds(timings, "wait")
    protocol = _text(ours, "protocol") or _protocol(_text(said, "httpVersion"))
    exchange = Exchange(
        connection=_number(ours, "connection") or _connection(entry, number),
        number=_number(ours, "exchange") or number,
        protocol=protocol,
        listener=_text(ours, "listener"),
        client=_text(ours, "client"),
        endpoint=_text(ours, "endpoint") or _text(entry, "serverIPAddress"),
        request=_request(said, _object(ours, "request"), began, sent),
        answer=_answer(
            answered,
            _object(ours, "response"),
            waited,
            waited + _nanoseconds(timings, "receive"),
        ),
    )
    yield exchange
    messages = entry.get("_webSocketMessages")
    for at, message in enumerate(messages if isinstance(messages, list) else (), 1):
        if isinstance(message, dict):
            yield _websocket(exchange, message, exchange.number + at)


def _request(said: Mapping[str, Any], marks: Mapping[str, Any], began: int, ended: int) -> Message:
    split = _split(_text(said, "url"))
    path = split.path or "/"
    target = f"{path}?{split.query}" if split.query else path
    fields = _uncoded(_fields(said, "headers"), marks)
    method = _text(said, "method") or "GET"
    posted = _object(said, "postData")
    body = _body(posted, "_encoding")
    facts: dict[str, str | int] = {"method": method, "path": path, "host": split.netloc}
    facts |= {"query": split.query} if split.query else {}
    if kind := _media_type(field(fields, "content-type") or _text(posted, "mimeType")):
        facts["type"] = kind
    title = _text(marks, "title") or f"{method} {target}"
    return _message(title, fields, facts, body, marks, began, ended)


def _answer(
    said: Mapping[str, Any], marks: Mapping[str, Any], began: int, ended: int
) -> Message | None:
    status = _number(said, "status")
    if not status:
        return None
    kept = _object(said, "content")
    fields = _uncoded(_fields(said, "headers"), marks)
    facts: dict[str, str | int] = {"status": status}
    if kind := _media_type(_text(kept, "mimeType")):
        facts["type"] = kind
    if reason := _text(said, "statusText"):
        facts["reason"] = reason
    title = _text(marks, "title") or str(status)
    body = _body(kept, "encoding")
    return _message(title, fields, facts, body, marks, began, ended)


def _message(
    title: str,
    fields: Fields,
    facts: Facts,
    body: bytes,
    marks: Mapping[str, Any],
    began: int,
    ended: int,
) -> Message:
    size = len(body)
    if marks.get("whole") is False:  # a beginning may expand to more than the whole was, coded
        size = max(_number(marks, "size"), size + 1)
    return Message(
        title=one_line(title),
        began=_number(marks, "began") or began,
        ended=_number(marks, "ended") or ended,
        fields=fields,
        facts=facts,
        body=body,
        size=size,
        trailers=_fields(marks, "trailers"),
        missed=_number(marks, "missed"),
        error=_text(marks, "error"),
    )


def _websocket(upgrade: Exchange, said: Mapping[str, Any], number: int) -> Exchange:
    opcode = _number(said, "opcode") or 1
    kind = _KINDS.get(opcode, "binary")
    body = _text(said, "data").encode(errors="replace")
    if opcode != 1:
        body = _unbased(body)
    time = said.get("time")
    at = int(time * 1e9) if isinstance(time, int | float) and 0 <= time < 1e10 else 0
    words = body[:400].decode(errors="replace") if kind == "text" else ""
    message = Message(
        title=one_line(f"{kind} {words}".strip()),
        began=at,
        ended=at,
        facts={"opcode": kind},
        body=body,
        size=max(_number(said, "_size"), len(body)),
    )
    bare = replace(upgrade, protocol="websocket", number=number, request=None, answer=None)
    if _text(said, "type") == "receive":
        return replace(bare, answer=message)
    return replace(bare, request=message)


def _body(said: Mapping[str, Any], encoding: str) -> bytes:
    text = _text(said, "text").encode(errors="replace")
    return _unbased(text) if _text(said, encoding) == "base64" else text


def _unbased(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except binascii.Error:
        return text


def _fields(said: Mapping[str, Any], key: str) -> Fields:
    headers = said.get(key)
    if not isinstance(headers, list):
        return ()
    return tuple(
        (_text(header, "name"), _text(header, "value"))
        for header in headers
        if isinstance(header, dict)
    )


def _uncoded(fields: Fields, marks: Mapping[str, Any]) -> Fields:
    """The headers without one that is not true of the body any more."""
    if marks.get("coded") is True:
        return fields
    return tuple((name, value) for name, value in fields if name.lower() != "content-encoding")


def _began(entry: Mapping[str, Any]) -> int:
    try:
        when = datetime.fromisoformat(_text(entry, "startedDateTime"))
        return int(when.timestamp() * 1_000_000) * 1000
    except (ValueError, OverflowError):
        return 0


def _nanoseconds(timings: Mapping[str, Any], key: str) -> int:
    value = timings.get(key)
    return int(value * 1e6) if isinstance(value, int | float) and 0 < value < 1e12 else 0


def _connection(entry: Mapping[str, Any], number: int) -> int:
    said = _text(entry, "connection")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else number


def _protocol(version: str) -> str:
    return _PROTOCOLS.get(version.lower(), "http/1.1")


def _split(url: str) -> Any:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _object(said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = said.get(key)
    return value if isinstance(value, dict) else {}


def _text(said: Mapping[str, Any], key: str) -> str:
    value = said.get(key)
    return value if isinstance(value, str) else ""


def _number(said: Mapping[str, Any], key: str) -> int:
    value = said.get(key)
    return value if type(value) is int and 0 <= value < 1 << 63 else 0


def _media_type(text: str) -> str:
    kind = text.partition(";")[0].strip().lower()
    return "" if kind == "x-unknown" else kind
