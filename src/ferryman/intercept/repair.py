"""Puts back what processes that were killed left moved aside; every ``ferry`` command begins so.

``places`` tells cheaply whether there may be anything to do. A process of its own does it, since
``swap`` changes the working directory: this module is also that program.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ferryman.errors import FerrymanError, Unavailable, UserError
from ferryman.intercept.places import names

if TYPE_CHECKING:
    from ferryman.intercept.entry import Entry
    from ferryman.intercept.messages import Said
    from ferryman.intercept.verdict import Outcome

_PROGRAM = "ferryman.intercept.repair"
_PATIENCE = 10.0


def repair() -> list[Said]:
    """Put back all that nobody watches over any more. Each is said as ``messages`` has it: an
    outcome or "failed", with its ``path``.
    """
    return _run() if any(map(_is_left, names())) else []


def repair_leftover(path: str) -> Said:
    """Put one socket back whose journal is not ours, or lost; ``path`` is its real one. Raises
    UserError if it is not tapped, or may still be in use.
    """
    from ferryman.intercept import messages

    for said in _run(path):
        if said["said"] == "failed":
            raise messages.failure(said)
        return said
    raise Unavailable(f"{path} could not be put back")


def _is_left(name: str) -> bool:
    from ferryman.intercept.journal import Journal

    journal = Journal.left(name)
    if journal is None:
        return False
    if journal.read() is None:
        journal.remove()  # killed before anything was moved
        return False
    journal.close()
    return True


def _run(*words: str) -> list[Said]:
    command = [sys.executable, "-P", "-m", _PROGRAM, *words]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []  # the next command tries again
    return [json.loads(line) for line in done.stdout.splitlines()]


def main(words: Sequence[str]) -> int:
    """Repair everything, or the leftovers at one path; a line of JSON for each."""
    if words:
        _say(words[0], _restore_leftover)
        return 0
    from ferryman.intercept.journal import Journal

    for name in names():
        journal = Journal.left(name)
        if journal is None:
            continue
        entry = journal.read()
        if entry is not None and _say(entry.path, functools.partial(_restore, entry)):
            journal.remove()
        journal.close()
    return 0


def _restore(entry: Entry, path: str) -> Outcome:
    from ferryman.intercept.swap import Place

    if not os.path.isdir(os.path.dirname(path)):
        return "stopped"  # with its folder
    with Place(path) as place:
        return place.restore(entry)


def _restore_leftover(path: str) -> Outcome:
    from ferryman.intercept.swap import Place

    with Place(path) as place:
        return place.restore(place.leftover())


def _say(path: str, restore: Callable[[str], Outcome]) -> bool:
    """Do it and say how it went; whether it is done."""
    from ferryman.intercept import messages

    said: Said
    try:
        said = {"said": restore(path)}
    except FerrymanError as error:
        said = messages.failed(error)
    except OSError as error:
        said = messages.failed(UserError(f"cannot put {path} back: {error.strerror}"))
    print(json.dumps({**said, "path": path}))  # noqa: T201  our answer to the parent
    return said["said"] != "failed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
