"""The grammar of several targets in one command line; pure.

A target is TYPE/NAME or ``-l SELECTOR``, and the ports that follow are its own, up to the next
target. A port never has a slash in it and a target always has, but for the very first word, which
may be a pod's bare name, as in kubectl; so no command line can be read in two ways. ``--`` ends it:
what follows is a command.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ferryman.cli.output import UsageError

REQUIRED = "TYPE/NAME and list of ports are required for port-forward"  # kubectl's words
_MARK = "\0"  # what no word of a command line can have in it
_OPTIONS = ("-l", "--selector")


@dataclass(frozen=True, slots=True)
class Group:
    """A target and its ports, as they were typed. ``selector`` says that ``target`` is one."""

    target: str
    ports: tuple[str, ...]
    selector: bool = False


def split_command(words: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """The words before ``--``, and those after it; None if there is none."""
    if "--" not in words:
        return list(words), None
    at = list(words).index("--")
    return list(words[:at]), list(words[at + 1 :])


def mark_selectors(words: Iterable[str]) -> list[str]:
    """The words with each ``-l SELECTOR`` made one, which ``groups`` knows again: an option's place
    among the arguments is lost on argparse.
    """
    marked = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in _OPTIONS:
            selector = next(rest, None)
            if selector is None:
                raise UsageError(f"{word} needs a label selector", "such as: -l app=web 8080:80")
        elif name == "--selector" and equals:
            selector = value
        elif word.startswith("-l") and len(word) > 2:
            selector = word[2:].removeprefix("=")
        else:
            marked.append(word)
            continue
        marked.append(_MARK + selector)
    return marked


def groups(words: Sequence[str]) -> list[Group]:
    """The targets with their ports; of a target that comes twice, all ports together."""
    found: dict[tuple[str, bool], list[str]] = {}
    current: list[str] | None = None
    for number, word in enumerate(words):
        if word.startswith(_MARK) or "/" in word or number == 0:
            key = (word.removeprefix(_MARK), word.startswith(_MARK))
            current = found.setdefault(key, [])
        elif current is not None:
            current.append(word)
    if not found or not all(found.values()):
        missing = next((name for (name, _), ports in found.items() if not ports), "")
        hint = f"which ports of {missing}? " if missing and len(found) > 1 else ""
        raise UsageError(REQUIRED, f"{hint}such as: ferry forward deploy/web 8080:80")
    return [Group(name, tuple(ports), sel) for (name, sel), ports in found.items()]
