"""What is seen, as text; pure. ``make`` imports the form that was asked for, and only that.

``pretty`` is for people, ``hexdump`` for those who want the bytes, ``json`` for programs, ``socat``
for those who know socat's dumps, ``raw`` for pipes.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from ferryman.errors import UserError
from ferryman.inspection.session import Seen

NAMES = ("pretty", "json", "socat", "raw")
"""What ``--format`` may be; -x makes "pretty" a "hexdump"."""


@dataclass(frozen=True, slots=True)
class Options:
    """``verbose`` is -v, ``hexed`` -x. ``max_body``: bytes of each body that are shown."""

    verbose: bool = False
    hexed: bool = False
    max_body: int = 1 << 16
    colour: bool = False
    ids: bool = True
    connections: bool = True
    """Lines for opening and closing; off when only some exchanges are asked for."""


class Form(Protocol):
    """One form, for all connections of a feed."""

    raw: bool
    """Whether it wants all bytes: ``Sessions(raw=…)``."""
    body_limit: int
    """How much of each body it wants: ``Sessions(body_limit=…)``."""

    def write(self, seen: Seen) -> bytes:
        """What to print for it, whole lines as far as the form has such; maybe nothing."""
        ...

    def finish(self) -> bytes:
        """What is left when nothing more comes."""
        ...


def make(name: str, options: Options) -> Form:
    """The form of that name; raises UserError if there is none."""
    if name not in (*NAMES, "hexdump"):
        raise UserError(f"no such format: {name!r}", f"one of {', '.join(NAMES)}")
    if name == "pretty" and options.hexed:
        name = "hexdump"
    module = import_module(f"ferryman.inspection.forms.{name}")
    return cast(Form, module.form(options))
