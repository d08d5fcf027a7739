"""socat's command line: its options, written as socat takes them; no I/O.

Options come first and may have their value attached (-t5) or after a space (-t 5). One that socat
has and we do not is refused by name; ``socat`` runs what is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ferryman.cli.output import UsageError

BLOCK = 8192
LINGER = 0.5

_FLAGS: Mapping[str, Mapping[str, Any]] = {
    "v": {"text": True},
    "x": {"hexed": True},
    "u": {"oneway": "up"},
    "U": {"oneway": "down"},
    "lu": {"microseconds": True},
    "lh": {"host": True},
    "s": {},  # these two ask for what is so
    "ls": {},
}
_VALUES = ("lf", "lp", "b", "t", "T")  # a longer name before those that it begins with
_UNSUPPORTED = {
    "D": "analysing descriptors",
    "ly": "syslog",
    "lm": "syslog and stderr",
    "r": "a raw dump of one direction: try -w FILE.ferry of ferry relay",
    "R": "a raw dump of one direction: try -w FILE.ferry of ferry relay",
    "g": "",
    "L": "a lock file",
    "W": "a lock file",
    "4": "write TCP4 in the address",
    "6": "write TCP6 in the address",
}


@dataclass(frozen=True, slots=True)
class Words:
    """What a command line says. Times in seconds, ``block`` in bytes; ``debug`` counts -d."""

    addresses: tuple[str, ...] = ()
    text: bool = False
    hexed: bool = False
    oneway: Literal["", "up", "down"] = ""
    linger: float = LINGER
    idle: float = 0.0
    block: int = BLOCK
    debug: int = 0
    log: str = ""
    program: str = "socat"
    microseconds: bool = False
    host: bool = False
    help: bool = False


def read(words: Sequence[str]) -> Words:
    """What they say; raises UsageError."""
    said = Words()
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-" and not rest[0].startswith("-,"):
        if rest[0].startswith("-!!"):
            break
        said = _option(said, rest.pop(0).removeprefix("-"), rest)
    return replace(said, addresses=tuple(rest))


def _option(said: Words, word: str, rest: list[str]) -> Words:
    if word in ("h", "hh", "hhh", "?", "??", "-help"):
        return replace(said, help=True)
    if word and not word.strip("d"):
        return replace(said, debug=said.debug + len(word))
    if word in _FLAGS:
        return replace(said, **_FLAGS[word])
    for name in _VALUES:
        if word.startswith(name):
            value = word.removeprefix(name) or (rest.pop(0) if rest else "")
            return _value(said, name, value)
    for name, why in _UNSUPPORTED.items():
        if word == name or (word.startswith(name) and name in "lylmrRLW"):
            raise UsageError(f"-{name} is not supported", why)
    raise UsageError(f'unknown option "-{word}"; use option "-h" for help')


def _value(said: Words, name: str, value: str) -> Words:
    if not value:
        raise UsageError(f"option -{name} requires an argument")
    if name == "lf":
        return replace(said, log=value)
    if name == "lp":
        return replace(said, program=value)
    try:
        number = float(value)
        if not 0 <= number < 1e9 or (name == "b" and not (number == int(number) and number)):
            raise ValueError
    except ValueError:
        raise UsageError(f"-{name} {value}: not a number that it can be") from None
    if name == "b":
        return replace(said, block=int(number))
    return replace(said, linger=number) if name == "t" else replace(said, idle=number)
