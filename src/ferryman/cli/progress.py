"""One line at the bottom of a terminal that says what is waited for; nowhere else.

It is rewritten in place and taken away again before anything else is written, so that what scrolls
by is whole. A pipe, a file or a dumb terminal never sees a byte of it.
"""

from __future__ import annotations

import os
from typing import TextIO

from ferryman.cli.output import DIM, paint

_ERASE = "\r\x1b[K"  # to the line's beginning, and erase to its end (ECMA-48 EL)
_NARROW = 20


class Progress:
    """The line on one stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = ""

    def show(self, text: str) -> None:
        """Let the line say this; a text that does not fit is cut."""
        if not self._stream.isatty() or os.environ.get("TERM") == "dumb":
            return  # asked each time: who goes into the background has a terminal no more
        text = "".join(c if c.isprintable() else " " for c in text)[: self._width()]
        if text != self._shown:
            self._shown = text
            self._write(_ERASE + paint(text, DIM, self._stream))

    def clear(self) -> None:
        """Take the line away, if there is one."""
        if self._shown:
            self._shown = ""
            self._write(_ERASE)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _width(self) -> int:
        """One column less than there are: a full line would wrap, and could not be erased."""
        try:
            return max(_NARROW, os.get_terminal_size(self._stream.fileno()).columns - 1)
        except OSError:
            return 79
