"""What gRPC says in HTTP/2's terms: names, status, messages; and Protocol Buffers by guess; pure.

``http2`` counts messages as they pass by; ``text`` shows a body of them. Without the schema a
message's fields have numbers only, and whether bytes are text or a message is a guess. Sources:
gRPC's PROTOCOL-HTTP2.md and statuscodes.md; protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from ferryman.inspection.events import Facts, Fields

PREFIX = 5
"""Octets before a message: whether it is compressed, and its length."""
_DEPTH_LIMIT = 16
_FIELDS_LIMIT = 1000
_STATUS = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
    "UNAUTHENTICATED",
)  # fmt: skip


def is_grpc(head: Mapping[str, str]) -> bool:
    """Whether a header with those (lower-case) names begins a gRPC message."""
    kind = head.get("content-type", "")
    return kind.startswith("application/grpc") and not kind.startswith("application/grpc-web")


def names(path: str) -> tuple[str, str]:
    """Service and method of a call."""
    service, _, method = path.strip("/").rpartition("/")
    return service, method


def status_facts(fields: Fields) -> Facts:
    """The status in trailers, or in a header that is all there is; nothing if it has none."""
    for name, value in fields:
        if name == "grpc-status" and value.isascii() and value.isdigit() and len(value) < 4:
            return {"grpc": status_name(int(value))}
    return {}


def status_words(fields: Fields) -> list[str]:
    """The status as people call it, and its message."""
    facts = status_facts(fields)
    if not facts:
        return []
    message = unquote(dict(fields).get("grpc-message", ""))
    return [str(facts["grpc"]), *([message] if message else [])]


def status_name(code: int) -> str:
    """What a status is called."""
    return _STATUS[code] if code < len(_STATUS) else f"status {code}"


class Counter:
    """Counts the messages of a body as it passes by."""

    def __init__(self) -> None:
        self.messages = 0
        self._prefix = b""
        self._left = 0

    def count(self, data: bytes) -> None:
        """The body's next bytes."""
        at = 0
        while at < len(data):
            if self._left:
                passed = min(self._left, len(data) - at)
                at += passed
                self._left -= passed
                continue
            more = data[at : at + PREFIX - len(self._prefix)]
            self._prefix += more
            at += len(more)
            if len(self._prefix) == PREFIX:
                self.messages += 1
                self._left = int.from_bytes(self._prefix[1:], "big")
                self._prefix = b""


def messages(body: bytes) -> Iterator[tuple[bool, bytes]]:
    """Whether each message is compressed, and its bytes; the last may be cut off."""
    at = 0
    while at + PREFIX <= len(body):
        end = at + PREFIX + int.from_bytes(body[at + 1 : at + PREFIX], "big")
        yield bool(body[at] & 1), body[at + PREFIX : end]
        at = end


def text(body: bytes) -> str:
    """A body as text: each message's fields by number, one a line, nested ones indented."""
    lines: list[str] = []
    for number, (compressed, message) in enumerate(messages(body), 1):
        lines.append(
            f"message {number}, {len(message)} bytes{', compressed' if compressed else ''}"
        )
        shown = None if compressed else dump(message)
        lines += ["  " + line for line in ([repr(message)[1:]] if shown is None else shown)]
    return "\n".join(lines) + "\n" if lines else ""


def dump(message: bytes, depth: int = 0) -> list[str] | None:
    """A message's fields as lines; None if it is none."""
    if depth > _DEPTH_LIMIT:
        return None
    lines: list[str] = []
    at = 0
    try:
        while at < len(message):
            if len(lines) >= _FIELDS_LIMIT:
                return [*lines, "…"]
            tag, at = _varint(message, at)
            number, kind = tag >> 3, tag & 7
            if not number:
                return None
            if kind == 0:
                value, at = _varint(message, at)
                lines.append(f"{number}: {value}")
            elif kind == 2:
                size, at = _varint(message, at)
                if at + size > len(message):
                    return None
                lines += _bytes(number, message[at : at + size], depth)
                at += size
            elif kind in _FIXED:
                form = _FIXED[kind]
                lines.append(f"{number}: {form.unpack_from(message, at)[0]}")
                at += form.size
            else:
                return None
    except (IndexError, struct.error):
        return None
    return lines


_FIXED = {1: struct.Struct("<Q"), 5: struct.Struct("<I")}


def _bytes(number: int, value: bytes, depth: int) -> list[str]:
    """Text if it is printable, a message if it can be one, else bytes."""
    try:
        words = value.decode()
    except UnicodeDecodeError:
        words = "\0"
    if all(letter.isprintable() or letter in "\n\t" for letter in words):
        return [f"{number}: {words!r}"]
    inner = dump(value, depth + 1)
    if inner is None:
        return [f"{number}: {value!r}"]
    return [f"{number}:", *("  " + line for line in inner)]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        octet = data[at]
        at += 1
        number |= (octet & 0x7F) << shift
        if not octet & 0x80:
            return number, at
    raise IndexError("a number of more than ten octets")
