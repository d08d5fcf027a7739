"""Counts HTTP/1.x messages that pass by, without touching their bodies.

The data plane asks two things of a connection that broke: may what the client sent be said again
(``replayable``), and had every request been answered whole (``Exchanges``)? Heads are read by
``head``, bodies only counted, and whatever is unclear is not HTTP: then nothing is promised and
nothing more is looked at. Source: RFC 9112, 6 and 7.1; RFC 9110, 9.2.2.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Literal

from ferryman.protocols.http.head import (
    ANSWER,
    CHUNKED,
    REQUEST,
    UNTIL_CLOSE,
    Unclear,
    is_clear,
    read_answer,
    read_request,
)

HEAD_LIMIT = 65536
REPLAY_LIMIT = 65536
PIPELINE_LIMIT = 1024
"""Requests without an answer, after which we stop looking."""
LINES_LIMIT = 1024
"""Heads and chunks in one read, after which we stop looking: such crumbs cost too much."""

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))

_STEP = 2048  # bytes copied at a time while looking for the end of a head
_LINE_LIMIT = 8192

_REQUEST_BEGUN = re.compile(rb"\r?\Z|[A-Z][A-Z-]{0,31}(?: |\Z)")
_METHOD_AND_TARGET = re.compile(rb"([A-Z]+) [/*h]")
_ANSWER_BEGUN = re.compile(rb"HTTP/1\.|" + b"|".join(b"HTTP/1."[:n] + rb"\Z" for n in range(7)))
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")


def replayable(data: bytes, limit: int = REPLAY_LIMIT) -> bool:
    """Whether all that a client has sent are HTTP/1.x requests with idempotent methods.

    The last may be incomplete, if its method and the first byte of its target are there. Nothing
    at all is False, as is more than ``limit`` bytes.
    """
    if not data or len(data) > limit:
        return False
    methods: list[bytes] = []

    def begin(head: bytes) -> int:
        request = read_request(head)
        methods.append(request.method)
        return request.length

    messages = _Messages(_REQUEST_BEGUN, REQUEST, begin, lambda: None)
    try:
        messages.feed(memoryview(data))
    except Unclear:
        return False
    if head := messages.unfinished_head:
        begun = _METHOD_AND_TARGET.match(head)
        methods.append(begun[1] if begun and is_clear(head) else b"")
    return bool(methods) and IDEMPOTENT.issuperset(methods)


class Exchanges:
    """The requests and answers of one connection. Feed bytes as they go by, requests first."""

    def __init__(self) -> None:
        self.watching = True
        """False once this is not HTTP, or not any more: then feeding it is of no use."""
        self._requests = _Messages(_REQUEST_BEGUN, REQUEST, self._request_begins, lambda: None)
        self._answers = _Messages(_ANSWER_BEGUN, ANSWER, self._answer_begins, self._answer_ends)
        self._unanswered: deque[bytes] = deque()  # methods
        self._seen = False
        self._interim = False
        self._persistent = True

    @property
    def complete(self) -> bool | None:
        """True if every request was answered whole, False if one was not, None if unknown.

        An answer that only the end of the connection delimits is never whole.
        """
        begun = bool(self._requests.unfinished_head)
        if not self.watching or not (self._seen or begun):
            return None
        return not begun and not self._unanswered and self._answers.between

    @property
    def persistent(self) -> bool:
        """Whether neither side has said that the connection ends (RFC 9112, 9.3)."""
        return self._persistent

    def sent(self, data: bytes | bytearray | memoryview) -> None:
        """Bytes from the client went by."""
        self._feed(self._requests, data)

    def received(self, data: bytes | bytearray | memoryview) -> None:
        """Bytes from the server went by."""
        self._feed(self._answers, data)

    def _feed(self, messages: _Messages, data: bytes | bytearray | memoryview) -> None:
        if self.watching:
            try:
                messages.feed(memoryview(data))
            except Unclear:
                self.watching = False
                self._requests.forget()
                self._answers.forget()

    def _request_begins(self, head: bytes) -> int:
        request = read_request(head)
        if request.method == b"CONNECT" or len(self._unanswered) >= PIPELINE_LIMIT:
            raise Unclear
        self._seen = True
        self._persistent = self._persistent and request.persistent
        self._unanswered.append(request.method)
        return request.length

    def _answer_begins(self, head: bytes) -> int:
        answer = read_answer(head)
        if answer.status == 101 or not self._unanswered:
            raise Unclear  # from here on it is another protocol; or what does this answer?
        self._interim = answer.status < 200
        if not self._interim:
            self._persistent = self._persistent and answer.persistent
        if self._interim or answer.status in (204, 304) or self._unanswered[0] == b"HEAD":
            return 0
        return answer.length

    def _answer_ends(self) -> None:
        if not self._interim:
            self._unanswered.popleft()


class _Messages:
    """One direction. ``begin`` takes a head and tells its body's length; ``end`` comes after it."""

    def __init__(
        self,
        begun: re.Pattern[bytes],
        start: re.Pattern[bytes],
        begin: Callable[[bytes], int],
        end: Callable[[], None],
    ) -> None:
        self._begun = begun  # what the first bytes of a head look like
        self._start = start  # what its first line looks like
        self._begin = begin
        self._end = end
        self._phase: Literal["head", "body", "chunks", "trailers"] = "head"
        self._buffer = bytearray()  # of a head or line that is not whole yet
        self._left = 0  # bytes to count, or UNTIL_CLOSE

    @property
    def between(self) -> bool:
        """Whether the last message is whole and the next has not begun."""
        return self._phase == "head" and not self._buffer

    @property
    def unfinished_head(self) -> bytes:
        """What there is of a head; the line break that may come before one does not count."""
        return bytes(self._buffer).lstrip(b"\r\n") if self._phase == "head" else b""

    def forget(self) -> None:
        """Let go of what was gathered."""
        self._buffer = bytearray()

    def feed(self, view: memoryview) -> None:
        """Look at bytes; raises Unclear."""
        position, lines = 0, 0
        while position < len(view) and self._left != UNTIL_CLOSE:
            if self._left:
                counted = min(self._left, len(view) - position)
                self._left -= counted
                position += counted
                if not self._left and self._phase == "body":
                    self._finish()
            else:
                lines += 1
                if lines > LINES_LIMIT:
                    raise Unclear
                position += self._gather(view[position:])

    def _gather(self, view: memoryview) -> int:
        """Gather the present head or line; how many bytes belonged to it."""
        in_head = self._phase == "head"
        limit = HEAD_LIMIT if in_head else _LINE_LIMIT
        terminator = b"\r\n\r\n" if in_head else b"\r\n"
        buffer, taken = self._buffer, 0
        while taken < len(view):
            before = len(buffer)
            buffer += view[taken : taken + _STEP]
            while in_head and buffer[:2] == b"\r\n":  # before a request: RFC 9112, 2.2
                del buffer[:2]
                before -= 2
            found = buffer.find(terminator, max(0, before - len(terminator)))
            if found < 0:
                taken += len(buffer) - before
            whole = len(buffer) if found < 0 else found + len(terminator)
            if whole > limit:
                raise Unclear
            if found >= 0:
                taken += whole - before
                line = bytes(buffer[:whole])
                buffer.clear()
                self._take(line)
                return taken
        if in_head:
            looks = self._start if b"\r\n" in buffer else self._begun
            if not looks.match(buffer):
                raise Unclear
        return taken

    def _take(self, line: bytes) -> None:
        if self._phase == "head":
            self._left = self._begin(line)
            if self._left == CHUNKED:
                self._phase, self._left = "chunks", 0
            elif self._left:
                self._phase = "body"
            else:
                self._finish()
        elif self._phase == "chunks":
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                raise Unclear
            if length := int(size[1], 16):
                self._left = length + 2  # and its line end
            else:
                self._phase = "trailers"
        elif line == b"\r\n":
            self._finish()

    def _finish(self) -> None:
        self._phase = "head"
        self._end()
