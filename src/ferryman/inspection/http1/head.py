"""Reads the head of an HTTP/1.x message as a person would: leniently, with its secrets; pure.

``http1`` cuts heads out of the stream. Unlike ``protocols.http.head``, which must be sure before
it promises anything, this one makes the best of what servers really send: bare line feeds, folded
lines, bytes beyond ASCII. Source: RFC 9112, 2.2, 5 and 6.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ferryman.inspection import redaction
from ferryman.inspection.decoder import Undecodable
from ferryman.inspection.events import Fields
from ferryman.inspection.titles import title

CHUNKED = -1
UNTIL_CLOSE = -2

REQUEST_BEGUN = re.compile(
    rb"[A-Za-z][A-Za-z_-]{0,31}(?: [^ \r\n]*(?: (?:H|HT|HTT|HTTP/?1?\.?[01]?\r?)?)?)?\Z"
)
ANSWER_BEGUN = re.compile(rb"(?:H|HT|HTT|HTTP/?1?\.?[01]?)\Z|HTTP/1\.[01](?: [^\r\n]*)?\r?\Z")
REQUEST_LINE = re.compile(rb"[A-Za-z][A-Za-z_-]{0,31} [^ \r\n]+ HTTP/1\.[01]\r?\n")
ANSWER_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [^\r\n]*)?\r?\n")

_FIELD = re.compile(r"([^:\s][^:\r\n]*):[ \t]*([^\r\n]*)")
_LOOSE = (" :", "\t:", " \r", "\t\r", " \n", "\t\n")  # blanks where a field should not have any
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)([^?#]*)")


class Head(NamedTuple):
    """What a head says; ``secrets`` are its offsets."""

    first: list[str]
    """The first line, cut at its spaces into three; "" for what is not there."""
    fields: Fields
    headers: dict[str, str]
    """The same by lower-case name; of several, the last."""
    secrets: list[tuple[int, int]]


def read(head: bytes, *, redact: bool) -> Head:
    """A head from its first line to its empty one. Secrets are replaced in it if ``redact``."""
    text = head.decode("latin-1")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(lambda match: " " * len(match[0]), text)
    begin = text.index("\n") + 1
    fields = _fields(text, begin)
    headers = {name.lower(): value for name, value in fields}
    if len(headers) < len(fields):
        _join(headers, fields)
    secrets = _secrets(text, begin, headers)
    if secrets and redact:
        text = redaction.redacted(text, secrets)
        fields = _fields(text, text.index("\n") + 1)
    if not head.isascii():
        fields = [(_utf8(name), _utf8(value)) for name, value in fields]
        text = _utf8(text[: text.index("\n") + 1])
    first = text[: text.index("\n")].rstrip("\r").split(" ", 2)
    return Head([*first, "", ""][:3], tuple(fields), headers, secrets)


def read_trailers(lines: bytes, *, redact: bool) -> Head:
    """The fields after a body's last chunk, with the empty line."""
    head = read(b"\n" + lines, redact=redact)
    return head._replace(secrets=[(start - 1, end - 1) for start, end in head.secrets])


def request_length(head: Head) -> int:
    """How long a request's body is; raises Undecodable."""
    length = _length(head, 0)
    if length == UNTIL_CLOSE:
        raise Undecodable("a request with a body that has no end")
    return length


def answer_length(head: Head, status: int, method: str) -> int:
    """How long an answer's body is; raises Undecodable."""
    if status < 200 or status in (204, 304) or method == "HEAD":
        return 0
    return _length(head, UNTIL_CLOSE)


def request_facts(head: Head) -> dict[str, str | int]:
    """Method, path, query, host, type."""
    method, target, _ = head.first
    host, path = head.headers.get("host", ""), target
    if method == "CONNECT":
        host, path = target, ""
    elif absolute := _ABSOLUTE.match(target):
        host, path = absolute[1].rpartition("@")[2], target[absolute.start(2) :]
    path, mark, query = path.partition("?")
    facts: dict[str, str | int] = {"method": method, "path": title(path), "host": title(host)}
    if mark:
        facts["query"] = title(query)
    if target != f"{facts['path']}{mark}{facts.get('query', '')}":
        facts["target"] = target  # who says it again needs all of it
    return _with_type(facts, head)


def answer_facts(head: Head, status: int) -> dict[str, str | int]:
    """Status, reason, type."""
    facts: dict[str, str | int] = {"status": status}
    if head.first[2]:
        facts["reason"] = title(head.first[2])
    return _with_type(facts, head)


def options(head: Head, name: str) -> list[str]:
    """The members of a field that is a list, in lower case."""
    return [option.strip() for option in head.headers.get(name, "").lower().split(",")]


def _with_type(facts: dict[str, str | int], head: Head) -> dict[str, str | int]:
    if kind := head.headers.get("content-type"):
        facts["type"] = title(kind.partition(";")[0].strip().lower())
    return facts


def _fields(text: str, begin: int) -> list[tuple[str, str]]:
    fields = _FIELD.findall(text, begin)
    if any(blank in text for blank in _LOOSE):
        return [(name.rstrip(), value.rstrip()) for name, value in fields]
    return fields


def _join(headers: dict[str, str], fields: list[tuple[str, str]]) -> None:
    """Of the fields that say where a body ends, several are a list or a contradiction."""
    for name in ("transfer-encoding", "content-length", "connection", "upgrade"):
        values = [value for key, value in fields if key.lower() == name]
        if len(set(values)) > 1:
            headers[name] = ", ".join(values)


def _length(head: Head, otherwise: int) -> int:
    coding = head.headers.get("transfer-encoding")
    if coding is not None:
        return CHUNKED if coding.lower().rpartition(",")[2].strip() == "chunked" else UNTIL_CLOSE
    length = head.headers.get("content-length")
    if length is None:
        return otherwise
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise Undecodable("a Content-Length that is no number")
    return int(length)


def _secrets(text: str, begin: int, headers: dict[str, str]) -> list[tuple[int, int]]:
    """Offsets of all secrets, in order."""
    if not any(map(redaction.is_secret, headers)):
        return redaction.in_text(text)
    found = redaction.in_text(text[:begin])
    for match in _FIELD.finditer(text, begin):
        start = match.start(2)
        inside = redaction.secrets(match[1].rstrip().lower(), match[2])
        found += [(start + a, start + b) for a, b in inside]
    return found


def _utf8(text: str) -> str:
    """Most who send other than ASCII mean UTF-8; else it stays Latin-1 (RFC 9110, 5.5)."""
    try:
        return text.encode("latin-1").decode()
    except ValueError:
        return text
