"""What the forms for people share: ids, arrows, sizes, times, colours; pure."""

from __future__ import annotations

from collections.abc import Mapping

from ferryman.inspection.feed import UP, Direction

ARROWS: Mapping[Direction, str] = {"up": "→", "down": "←"}

_RESET = "\x1b[0m"
_COLOURS = {"bold": "\x1b[1m", "dim": "\x1b[2m", "red": "\x1b[31m", "green": "\x1b[32m",
            "yellow": "\x1b[33m", "cyan": "\x1b[36m", "blue": "\x1b[34m"}  # fmt: skip
_UNITS = ("kB", "MB", "GB", "TB")


class Paint:
    """Colours, or none."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, colour: str) -> str:
        return f"{_COLOURS[colour]}{text}{_RESET}" if self._colour and colour and text else text


def size(count: int) -> str:
    """So many bytes, such as 1.2 kB."""
    if count < 1000:
        return f"{count} B"
    number = float(count)
    for unit in _UNITS:
        number /= 1000
        if number < 999.95:
            return f"{number:.1f} {unit}"
    return f"{number:.1f} {_UNITS[-1]}"


def duration(nanoseconds: int) -> str:
    """A time span, such as 14 ms."""
    milliseconds = max(nanoseconds, 0) / 1e6
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 10_000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s"


def exchange_id(connection: int, exchange: int) -> str:
    """#3 for the first exchange of connection 3, #3.2 for the second."""
    return f"#{connection}" if exchange <= 1 else f"#{connection}.{exchange}"


def status_colour(status: object) -> str:
    """By the class of an HTTP status."""
    if not isinstance(status, int):
        return ""
    if status >= 500:
        return "red"
    return "yellow" if status >= 400 else "green"


def arrow(direction: Direction) -> str:
    """Which way it goes, seen from the client."""
    return ARROWS[direction]


def direction_colour(direction: Direction) -> str:
    """The arrow's."""
    return "cyan" if direction == UP else "blue"
