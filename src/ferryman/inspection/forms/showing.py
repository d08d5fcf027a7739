"""A body on a terminal while it comes: expanded, indented, made harmless, and not too long; pure.

Text is shown piece by piece. JSON waits until it is complete, or until a line of it is (as in
streams of JSON lines), so that it can be indented. What is no text shows its first bytes.
"""

from __future__ import annotations

import json

from ferryman.inspection.bodies import expand, indented, text
from ferryman.inspection.forms.hexdump import rows
from ferryman.inspection.titles import printable

_BINARY_LIMIT = 64
"""Bytes that are shown of what is no text."""


class Showing:
    """One body. ``kind`` is its Content-Type, ``coding`` its Content-Encoding."""

    def __init__(self, kind: str, coding: str, limit: int) -> None:
        self._kind = kind
        self._coding = coding
        self._limit = limit
        self._data = bytearray()  # as it came, as far as it is kept
        self._shown = 0  # bytes of what it expands to
        self._problem = ""
        self._binary = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that can be shown now."""
        room = self._limit - len(self._data)
        if room <= 0:
            return []
        self._data += data[:room]
        return self._show(ended=False)

    def end(self, size: int) -> list[str]:
        """The rest of it; ``size`` is how long the body was."""
        lines = self._show(ended=True)
        if self._problem:
            lines.append(f"({self._problem})")
        if size > len(self._data) and not (self._binary and size <= self._limit):
            more = size - len(self._data)
            lines.append(f"… {more} more bytes")
        return lines

    def _show(self, *, ended: bool) -> list[str]:
        content = expand(bytes(self._data), self._coding, self._limit)
        self._problem = content.problem
        if self._coding and not ended and content.problem:
            return []  # too little of it yet
        rest = content.data[self._shown :]
        if not rest or self._binary:
            return []
        if self._is_json(rest) and not (ended or _complete(rest)):
            return []
        letters = text(rest, self._kind)
        if letters is None:
            if len(rest) < _BINARY_LIMIT and not ended:
                return []
            return self._show_binary(rest)
        if not ended:  # the rest of a letter may come with the next piece
            rest = rest[: len(rest) - _cut_letter(rest)]
            letters = text(rest, self._kind) or ""
        self._shown += len(rest)
        return lines_of(self._laid_out(letters))

    def _is_json(self, data: bytes) -> bool:
        return "json" in self._kind.partition(";")[0].lower() or (
            not self._kind and data.lstrip()[:1] in (b"{", b"[")
        )

    def _laid_out(self, letters: str) -> str:
        if not self._is_json(letters[:64].encode()):
            return letters
        whole = indented(letters, self._kind)
        if whole != letters or "\n" not in letters.strip():
            return whole
        return "\n".join(indented(line, self._kind) for line in letters.splitlines())

    def _show_binary(self, rest: bytes) -> list[str]:
        self._binary = True
        self._shown += len(rest)
        lines = list(rows(rest[:_BINARY_LIMIT]))
        return [*lines, "…"] if len(rest) > _BINARY_LIMIT else lines


def lines_of(letters: str) -> list[str]:
    """Lines with nothing in them that a terminal acts on, but tabs."""
    lines = letters.replace("\r\n", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [
        line if line.isprintable() else "\t".join(printable(part) for part in line.split("\t"))
        for line in lines
    ]


def _complete(data: bytes) -> bool:
    """Whether these are whole lines of JSON, or one text of it that ends with a line."""
    if not data.endswith(b"\n"):
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return all(_is_value(line) for line in data.splitlines() if line.strip())
    return True


def _is_value(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _cut_letter(data: bytes) -> int:
    """How many of the last bytes begin a UTF-8 letter that is not complete."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < needed else 0
        if byte & 0xC0 != 0x80:
            return 0
    return 0
