"""socat's lexical rules: how an address is cut at its colons, commas and double exclamation marks.

From the manual's words and from what socat 1.7.4.4 does (`tests/peers/test_socat_grammar.py` asks
it): a backslash takes the next character from its meaning, or is a C escape, also within quotes;
``'…'`` keeps everything; ``"…"`` and brackets nest; quotes go, brackets and what is nested stay.
"""

from __future__ import annotations

from collections.abc import Sequence

from ferryman.errors import UserError

LONGEST = 511
"""Bytes that a token may have: socat's buffers take 512 with the terminating zero."""

_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_CLOSING = {"'": "'", '"': '"', "(": ")", "[": "]", "{": "}"}
DUAL = "!!"


class Reader:
    """Takes tokens off an address, left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def left(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._text)

    def take(self, literal: str) -> bool:
        """Step over this if it is next."""
        found = self._text.startswith(literal, self._at)
        if found:
            self._at += len(literal)
        return found

    def token(self, *ends: str) -> str:
        """What stands before the first of the ends, or before the end of all. Raises UserError."""
        out: list[str] = []
        while self.left and not self._is_next(ends):
            char = self._char()
            if char in _CLOSING:
                self._nested(char, out)
            else:
                out.append(self._escaped() if char == "\\" else char)
        token = "".join(out)
        if "\0" in token:
            raise UserError(f"a zero byte in address {self._text!r}")
        if len(token.encode(errors="surrogateescape")) > LONGEST:
            raise UserError(f"a part of the address is too long: {token[:40]!r}…", _TOO_LONG)
        return token

    def _nested(self, opening: str, out: list[str]) -> None:
        """From a quote or bracket to its end. Where there is none, socat reads what lies in memory
        behind the address.
        """
        ends = [_CLOSING[opening]]
        if opening not in "'\"":
            out.append(opening)
        while self.left:
            char = self._char()
            if char == "\\":
                out.append(self._escaped())
                continue
            if char == ends[-1]:
                ends.pop()
                if not ends:
                    if opening not in "'\"":
                        out.append(char)
                    return
            elif ends[-1] != "'" and char in _CLOSING:
                ends.append(_CLOSING[char])
            out.append(char)
        raise self._ended()

    def _escaped(self) -> str:
        if not self.left:
            raise self._ended()
        char = self._char()
        return "\0" if char == "0" else _ESCAPES.get(char, char)

    def _char(self) -> str:
        self._at += 1
        return self._text[self._at - 1]

    def _is_next(self, ends: Sequence[str]) -> bool:
        return any(self._text.startswith(end, self._at) for end in ends)

    def _ended(self) -> UserError:
        return UserError(
            f'unexpected end of address "{self._text}"',
            "close the quote or bracket, or write a backslash before it",
        )


_TOO_LONG = f"socat takes up to {LONGEST} bytes"


def words(command: str) -> tuple[str, ...]:
    """The words of EXEC's command, cut at blanks, less their quotes. Raises UserError."""
    reader = Reader(command)
    found: list[str] = []
    while True:
        while reader.take(" "):
            pass
        if not reader.left:
            return tuple(found)
        found.append(reader.token(" "))
