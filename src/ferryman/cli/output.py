"""What verbs say and where: results on stdout, everything else on stderr, a line at a time.

Colour only on a terminal, and not if ``NO_COLOR`` is set (https://no-color.org) or the terminal is
dumb. Imports next to nothing: every verb starts with it.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

from ferryman.errors import FerrymanError, UserError

RED, YELLOW, GREEN, DIM = "31", "33", "32", "2"


class UsageError(UserError):
    """The command line itself is wrong: exit code 2."""


def result(line: str) -> None:
    """A line that scripts may read, on stdout, at once."""
    print(line, flush=True)


def note(line: str, colour: str = "") -> None:
    """A line for a person, on stderr."""
    print(paint(line, colour, sys.stderr), file=sys.stderr, flush=True)


def complain(error: FerrymanError) -> None:
    """An error and, below it, what to do about it."""
    label = paint("error:", RED, sys.stderr)
    note(f"{label} {error.message}")
    if error.hint:
        note(f"hint: {error.hint}")


def paint(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour (an SGR code), if the stream shows colours."""
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and coloured(stream) else text


def coloured(stream: TextIO) -> bool:
    """Whether to colour what goes to this stream."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()
