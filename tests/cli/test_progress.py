import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from io import StringIO
from typing import TextIO

import pytest

from ferryman.cli.progress import Progress


class Terminal:
    """A real pseudo-terminal, and what was written to it."""

    def __init__(self) -> None:
        self._reading, writing = pty.openpty()
        fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        self.stream: TextIO = os.fdopen(writing, "w")

    def written(self) -> str:
        os.set_blocking(self._reading, False)
        try:
            return os.read(self._reading, 65536).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        self.stream.close()
        os.close(self._reading)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    made = Terminal()
    yield made
    made.close()


def test_the_line_is_rewritten_in_place_and_taken_away(terminal: Terminal) -> None:
    line = Progress(terminal.stream)
    line.show("one")
    line.show("one")
    line.show("two")
    line.clear()
    line.clear()
    assert terminal.written() == ("\r\x1b[K\x1b[2mone\x1b[0m\r\x1b[K\x1b[2mtwo\x1b[0m\r\x1b[K")


def test_it_fits_and_holds_no_control_characters(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    Progress(terminal.stream).show("a\x1b]0;x\n" + "b" * 100)
    assert terminal.written() == "\r\x1b[K" + ("a ]0;x " + "b" * 100)[:39]


def test_a_dumb_terminal_and_a_file_see_nothing(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StringIO()
    monkeypatch.setenv("TERM", "dumb")
    for stream in (file, terminal.stream):
        line = Progress(stream)
        line.show("waiting")
        line.clear()
    assert file.getvalue() == terminal.written() == ""
