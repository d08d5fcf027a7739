"""PostgreSQL's protocol 3: start-up, simple and extended queries, COPY, notifications; pure.

Here messages are cut; ``asking`` says what the client wants, ``answering`` what it gets,
``waiting`` which is whose. After an SSLRequest that is granted, the connection is TLS. Source:
PostgreSQL's manual, "Frontend/Backend Protocol".
"""

from __future__ import annotations

from ferryman.inspection.decoder import Decoder, Start, Switch, Undecodable
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.machine import Machine, Window
from ferryman.inspection.postgres.answering import Answering
from ferryman.inspection.postgres.asking import Asking
from ferryman.inspection.postgres.waiting import Waiting

LIMIT = 1 << 18
"""Bytes of a message that has to be whole."""
_ROW_LIMIT = 65536  # of a row that is shown, of values that are
_CANCEL, _TLS, _GSSAPI = 80877102, 80877103, 80877104
_WISHES = {_TLS: "SSLRequest", _GSSAPI: "GSSENCRequest"}
_SECRET_KEY = 4  # octets after the process' number, in BackendKeyData and CancelRequest


def decoder(start: Start) -> Decoder:
    """For ``detect``."""
    return Postgres(start)


class Postgres(Machine):
    """One connection."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self._start = start
        self._waiting = Waiting(self._report)
        self._asking = Asking(self._windows[UP], self._report, self._waiting)
        self._answering = Answering(self._report, self._waiting)
        self._wish = 0  # for encryption, not answered yet
        self._started = False
        self._statement: tuple[int, int] | None = None  # a message's kind, its bytes to come
        self._kinds: dict[Direction, int] = {UP: 0, DOWN: 0}  # of what passes by

    def _step(self, direction: Direction, window: Window) -> bool:
        if direction is UP:
            return self._ask(window)
        return self._grant(window) if self._wish else self._answer(window)

    # --- Before the first query.

    def _begin(self, window: Window) -> bool:
        if self._wish or len(window) < 8:
            return False
        size = int.from_bytes(window.peek(0, 4), "big")
        code = int.from_bytes(window.peek(4, 8), "big")
        known = size == 8 if code in _WISHES else code >> 16 == 3 or code == _CANCEL
        if not 8 <= size <= 10000 or not known:
            raise Undecodable("a start that PostgreSQL does not know")
        if len(window) < size:
            return False
        start = window.position
        payload = window.peek(8, size)
        if code == _CANCEL:
            window.secret(start + 12, start + size)
        window.take(size)
        if code in _WISHES:
            self._wish = code
            self._asking.wish(_WISHES[code])
            self._wake()
        elif code == _CANCEL:
            self._report.alone(UP, f"cancel process {int.from_bytes(payload[:4], 'big')}")
            self._opaque = True
        else:
            self._started = True
            self._asking.start(payload)
        return True

    def _grant(self, window: Window) -> bool:
        """One octet answers a wish for encryption."""
        if not len(window):
            return False
        granted = window[0] == (0x53 if self._wish == _TLS else 0x47)
        if not granted and window[0] != 0x4E:
            raise Undecodable("an answer to a wish for encryption that is none")
        window.take(1)
        self._answering.granted(granted=granted)
        if granted:
            protocol = "tls" if self._wish == _TLS else "opaque"
            up, down = self._windows[UP], self._windows[DOWN]
            start = Start(up.position, down.position, self._report.next, self._start.redact)
            ahead, behind = up.peek(0, len(up)), down.peek(0, len(down))
            self._switch = Switch(protocol, start, ahead, behind)
        self._wish = 0
        self._wake()
        return True

    # --- Messages.

    def _ask(self, window: Window) -> bool:
        if not self._started:
            return self._begin(window)
        if self._statement is not None:
            return self._go_on(window, *self._statement)
        if len(window) < 5:
            return False
        kind, size = window[0], _size(window)
        if kind in b"QP":
            window.take(5)
            self._statement = (kind, size)
            self._asking.begin(kind)
            return True
        if kind == 0x64:  # CopyData
            return self._pass(UP, window, kind, size)
        shown = min(size, _ROW_LIMIT) if kind == 0x42 else size  # Bind
        if shown > LIMIT:
            raise Undecodable(f"a message of more than {LIMIT} bytes")
        if len(window) < 5 + shown:
            return False
        self._asking.message(kind, window.peek(5, 5 + shown), window.position + 5)
        window.take(5 + shown)
        self._kinds[UP] = kind
        window.body = size - shown
        return True

    def _go_on(self, window: Window, kind: int, left: int) -> bool:
        """A statement may be long: it is read in parts that are whole."""
        want = min(left, _ROW_LIMIT)
        if len(window) < want:
            return False
        taken = self._asking.text(window.peek(0, want), window.position, last=want == left)
        window.take(taken)
        left -= taken
        self._statement = (kind, left) if left else None
        return True

    def _answer(self, window: Window) -> bool:
        if len(window) < 5:
            return False
        kind, size = window[0], _size(window)
        if kind == 0x64 or (kind == 0x44 and size > _ROW_LIMIT):  # CopyData, DataRow
            return self._pass(DOWN, window, kind, size)
        if size > LIMIT:
            raise Undecodable(f"a message of more than {LIMIT} bytes")
        if len(window) < 5 + size:
            return False
        start = window.position
        payload = window.take(5 + size)[5:]
        if kind == 0x4B:  # BackendKeyData
            window.secret(start + 5 + _SECRET_KEY, start + 5 + size)
        self._answering.message(kind, payload)
        return True

    def _pass(self, direction: Direction, window: Window, kind: int, size: int) -> bool:
        window.take(5)
        self._kinds[direction] = kind
        window.body = size
        if direction is DOWN and kind == 0x44:
            self._answering.large_row(size)
        return True

    def _piece(self, direction: Direction, data: bytes, count: int, *, missed: bool) -> None:
        if self._kinds[direction] == 0x64:
            side = self._asking if direction is UP else self._answering
            side.copied(data, count, count if missed else 0)

    def _ended(self, direction: Direction) -> None:
        if direction is UP:
            self._asking.ended()
        else:
            self._answering.ended()


def _size(window: Window) -> int:
    size = int.from_bytes(window.peek(1, 5), "big") - 4
    if not 0 <= size < 1 << 30:
        raise Undecodable("a message whose length is none")
    return size
