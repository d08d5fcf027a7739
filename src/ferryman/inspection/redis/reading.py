"""Lines and strings of a known length: what both directions of a Redis connection are; pure.

``requests`` and ``answers`` say what they mean.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from ferryman.inspection.decoder import Undecodable
from ferryman.inspection.machine import Report, Window
from ferryman.inspection.redaction import REDACTED
from ferryman.inspection.redis.commands import spoken

LINE_LIMIT = 65536
CUT = "the connection ended within it"

_INTEGER = re.compile(rb"-?[0-9]{1,18}\Z")
_TOO_LONG = "a string that is longer than it says"


def integer(text: bytes) -> int:
    """A length or a count."""
    if not _INTEGER.match(text):
        raise Undecodable("a length that is no number")
    return int(text)


class Reader(ABC):
    """One direction. A string is awaited whole, or passed by piece by piece."""

    def __init__(self, window: Window, report: Report) -> None:
        self._window, self._report = window, report
        self._awaited: int | None = None
        self._line_end = False
        self._secret = False  # is the string that is passed by a secret?

    def step(self) -> bool:
        """See ``Machine``."""
        window = self._window
        if self._line_end:
            if len(window) < 2:
                return False
            if window.take(2) != b"\r\n":
                raise Undecodable(_TOO_LONG)
            self._line_end = False
            secret, self._secret = self._secret, False
            self._passed(secret)
        elif self._awaited is not None:
            size = self._awaited
            if len(window) < size + 2:
                return False
            if window.peek(size, size + 2) != b"\r\n":
                raise Undecodable(_TOO_LONG)
            self._awaited = None
            place = window.position
            data = window.take(size + 2)[:-2]
            self._string(data, place)
        else:
            return len(window) > 0 and self._element(window)
        return True

    def piece(self, data: bytes, count: int, missed: int) -> None:
        """Of a string that is passed by."""
        end = self._window.position
        if self._secret:
            self._window.secret(end - count, end)
        self._payload(b"" if self._secret and self._report.redact else data, count, missed)

    def body_ended(self) -> None:
        """A string that was passed by is whole."""
        self._line_end = True

    @abstractmethod
    def ended(self) -> None:
        """The direction is at its end."""

    @abstractmethod
    def _element(self, window: Window) -> bool:
        """Take the next line, if it is whole."""

    @abstractmethod
    def _string(self, data: bytes, place: int) -> None:
        """A string that was awaited, and the offset where it began."""

    @abstractmethod
    def _payload(self, data: bytes, count: int, missed: int) -> None:
        """A piece of a string that is passed by."""

    @abstractmethod
    def _passed(self, secret: bool) -> None:
        """The whole string and its line end were there."""

    def _await(self, size: int) -> None:
        self._awaited = size

    def _pass(self, size: int, *, secret: bool = False) -> None:
        self._window.body, self._secret = size, secret
        self._line_end = not size

    def _shown(self, word: bytes) -> str:
        """A secret, as it is to be shown."""
        return REDACTED if self._report.redact else spoken(word)
