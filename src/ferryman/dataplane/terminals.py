"""Modes of a terminal: set as an address' options say, and restored."""

from __future__ import annotations

import contextlib
import os
import termios
from collections.abc import Callable

from ferryman.addresses.specs import TerminalOptions
from ferryman.errors import UserError

_INPUT, _OUTPUT, _CONTROL, _LOCAL, _CHARACTERS = 0, 1, 2, 3, 6  # of what tcgetattr gives
_COOKED = (  # what ``raw`` turns off, by part: it leaves echo alone
    (
        _INPUT,
        termios.IGNBRK
        | termios.BRKINT
        | termios.IGNPAR
        | termios.PARMRK
        | termios.INPCK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
        | termios.IXOFF
        | termios.IXANY,
    ),
    (_OUTPUT, termios.OPOST),
    (_LOCAL, termios.ISIG | termios.ICANON),
)


def set_modes(fd: int, options: TerminalOptions) -> Callable[[], None]:
    """Set what is asked for; returns what puts the modes back. Raises UserError, OSError."""
    if options == TerminalOptions():
        return _nothing
    if not os.isatty(fd):
        raise UserError(f"descriptor {fd} is no terminal", "leave out raw, echo and the like")
    try:
        before, modes = termios.tcgetattr(fd), termios.tcgetattr(fd)
    except termios.error as error:  # which is no OSError
        raise OSError(*error.args) from error
    if options.raw or options.rawer or options.cfmakeraw:
        for part, flags in _COOKED:
            modes[part] &= ~flags
        modes[_CHARACTERS][termios.VMIN], modes[_CHARACTERS][termios.VTIME] = 1, 0
    if options.rawer or options.cfmakeraw:
        modes[_LOCAL] &= ~(termios.ECHO | termios.ECHONL | termios.IEXTEN)
        modes[_CONTROL] = modes[_CONTROL] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    for part, flag, value in (
        (_LOCAL, termios.ECHO, options.echo),
        (_LOCAL, termios.ICANON, options.icanon),
        (_LOCAL, termios.ISIG, options.isig),
        (_OUTPUT, termios.OPOST, options.opost),
        (_OUTPUT, termios.ONLCR, options.onlcr),
        (_INPUT, termios.ICRNL, options.icrnl),
    ):
        if value is not None:
            modes[part] = modes[part] | flag if value else modes[part] & ~flag
    termios.tcsetattr(fd, termios.TCSANOW, modes)

    def restore() -> None:
        with contextlib.suppress(OSError, termios.error):  # it is gone
            termios.tcsetattr(fd, termios.TCSANOW, before)

    return restore


def end_of_file(fd: int) -> bytes:
    """What to write so that a program at this terminal reads an end; empty in raw mode."""
    modes = termios.tcgetattr(fd)
    if not modes[_LOCAL] & termios.ICANON:
        return b""
    character: bytes = modes[_CHARACTERS][termios.VEOF]
    return character


def _nothing() -> None:
    """No mode was changed."""
