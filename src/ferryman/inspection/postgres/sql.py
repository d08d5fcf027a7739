"""SQL as a title, and the passwords in it; pure.

Whatever is said to be a password is taken for one, be it in ALTER ROLE, in a connection string or
compared with a column of that name: a statement is not parsed.
"""

from __future__ import annotations

import re

from ferryman.inspection.decoder import Undecodable
from ferryman.inspection.machine import line
from ferryman.inspection.redaction import REDACTED

_PASSWORD = re.compile(
    rb"""(?ix) password \W? (?: \s | /\*.{0,200}?\*/ | --[^\n]{0,200}\n | = | := )*
    (?: \b(?:e|u&) )?
    (?: '(?P<quoted>(?:[^'\\]|''|\\.)*)(?P<end>'?)
      | \$(?P<tag>\w{0,63})\$(?P<dollar>.*?)(?P<close>\$(?P=tag)\$|\Z) )
    | password \s* = \s* (?P<bare>[^\s'";&]+)""",
    re.DOTALL,
)
OVERLAP = 256
"""Bytes at the end of a part that are looked at again with the next one."""


def passwords(text: bytes, *, last: bool) -> tuple[list[tuple[int, int]], int]:
    """Where there are passwords in this part of a statement, and how much of it is done with.

    If it is not the ``last``, the end of it comes again with what follows.
    """
    done = len(text) if last else len(text) - OVERLAP
    spans: list[tuple[int, int]] = []
    for match in _PASSWORD.finditer(text):
        if match.start() >= done:
            break
        whole = match["end"] or match["close"] or (match["bare"] and match.end() < len(text))
        if not whole and not last:
            if not match.start():
                raise Undecodable("a password that does not end")
            done = match.start()
            break
        name = "bare" if match["bare"] is not None else "quoted"
        spans.append(match.span("dollar" if match["dollar"] is not None else name))
        done = max(done, match.end())
    return [span for span in spans if span[0] < span[1]], done


def without(text: bytes, spans: list[tuple[int, int]]) -> bytes:
    """The text without its passwords."""
    for start, end in reversed(spans):
        text = text[:start] + REDACTED.encode() + text[end:]
    return text


def headline(text: bytes | str) -> str:
    """A statement in one line."""
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    return line(words.strip().rstrip(";").rstrip() or "(empty)")


def command(text: bytes) -> str:
    """Its first word: SELECT, INSERT, …"""
    word = re.match(
        rb"(?:\s|/\*.{0,200}?\*/|--[^\n]{0,200}\n|\()*([A-Za-z]{1,30})", text[:1000], re.DOTALL
    )
    return word[1].decode().upper() if word else ""
