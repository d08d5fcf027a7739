"""Redis's nested answers as text, line by line, as redis-cli shows them; pure.

``redis`` tells of each element in turn; nothing is kept but where in the nest we are.
"""

from __future__ import annotations

from dataclasses import dataclass

_SIGNS = {"*": ")", ">": ")", "~": "~", "%": "#"}


@dataclass(slots=True)
class _Level:
    sign: str
    total: int  # elements: two for each pair of a map
    indent: str
    width: int
    done: int = 0

    def label(self) -> str:
        number = self.done // 2 if self.sign == "#" else self.done
        return f"{number + 1:>{self.width}}{self.sign} "


class Tree:
    """Text for the elements of one answer."""

    def __init__(self) -> None:
        self._levels: list[_Level] = []
        self._text = ""  # of the line that is being written

    def opened(self, kind: str, count: int) -> str:
        """An array, a set, a push or a map with so many members begins."""
        if not count:
            return self.leaf({"%": "(empty hash)", "~": "(empty set)"}.get(kind, "(empty array)"))
        text = ""
        if self._levels:
            level = self._levels[-1]
            if level.sign == "#" and level.done % 2:  # a map's value has lines of its own
                text, self._text = self._text + " =>\n", level.indent + "   "
            else:
                self._text = (self._text or level.indent) + level.label()
            indent = " " * len(self._text)
        else:
            indent = ""
        total = count * 2 if kind == "%" else count
        self._levels.append(_Level(_SIGNS[kind], total, indent, len(str(count))))
        return text

    def leaf(self, value: str) -> str:
        """A member that has none itself; returns the lines that are complete now."""
        if not self._levels:
            return value
        level = self._levels[-1]
        if level.sign == "#" and level.done % 2:
            self._text += " => " + value
        else:
            self._text = (self._text or level.indent) + level.label() + value
        return self._counted()

    def _counted(self) -> str:
        """One more member is whole; so may be those that it was the last of."""
        key = False
        while self._levels:
            level = self._levels[-1]
            level.done += 1
            key = level.sign == "#" and level.done % 2 == 1
            if level.done < level.total:
                break
            self._levels.pop()
        if key and self._text:
            return ""
        text, self._text = self._text + "\n", ""
        return text
