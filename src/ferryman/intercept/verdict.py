"""What to do with a tapped socket's names, given what is found there; pure.

Nothing dead is ever installed, and what somebody else has put there is left alone. ``swap`` looks
and acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ferryman.intercept.entry import Entry, Identity

Outcome = Literal["restored", "stopped", "replaced"]
"""The original is in its place; its server has stopped; another socket is in its place."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the path and the saved link are now (None: there is nothing), and whether somebody
    answers on the saved one.
    """

    path: Identity | None
    saved: Identity | None
    answers: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """``put`` is how the saved link gets to the path: over our socket, or only if nothing is
    there. What is neither is removed, as told.
    """

    outcome: Outcome
    put: Literal["over ours", "if free"] | None = None
    remove_ours: bool = False
    remove_saved: bool = False


def decide(entry: Entry, seen: Seen) -> Verdict:
    """What puts things right."""
    saved = seen.saved == entry.original
    alive = saved and seen.answers
    if seen.path == entry.original:
        return Verdict("restored", remove_saved=saved)  # not moved yet, or back already
    if seen.path is not None and seen.path == entry.ours:
        if alive:
            return Verdict("restored", put="over ours")
        return Verdict("stopped", remove_ours=True, remove_saved=saved)
    if seen.path is not None:
        return Verdict("replaced", remove_saved=saved)
    if alive:
        return Verdict("restored", put="if free")  # somebody removed our socket
    return Verdict("stopped", remove_saved=saved)
