"""What a verb that carries bytes needs to have them seen: ``-v``, ``--only``, ``-w`` and the rest.

``seeing`` defines the options and reads them; the inspector is a process of its own that begins
with the first connection. Without options a line per exchange goes to stderr, beside what else
there is to tell; what was asked for goes to stdout, for the next program. With -q nothing is
shown, and files are kept all the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ferryman.cli.seeing import asks, seeing_of
from ferryman.dataplane.contract import Event, InspectorLost, Observe
from ferryman.inspector.files import Files
from ferryman.inspector.seeing import Seeing
from ferryman.inspector.spawn import Inspector

if TYPE_CHECKING:
    from ferryman.dataplane.engine import Engine

_STDOUT, _STDERR, _NOWHERE = 1, 2, -1


class Looking:
    """One inspector for one run of a verb. Makes the files of -w: raises UserError, UsageError."""

    def __init__(self, seeing: Seeing, out: int) -> None:
        self._seeing = seeing
        self._lost = False
        self.shows = out != _NOWHERE
        self.uses_stdout = out == _STDOUT
        files = Files.make(seeing.files, force=seeing.force)
        self.inspector = Inspector(self._as_json, files, out=out)

    @property
    def mode(self) -> Observe:
        """How much the data plane is to tell."""
        return "Full" if self._seeing.needs_bodies else "Summary"

    def observe(self, engine: Engine) -> None:
        """Have an engine tell of what its policies have observed."""
        engine.observe(self.inspector.start)

    def tells(self, event: Event) -> bool:
        """Whether connections are the inspector's to tell of; not any more once it is lost."""
        if isinstance(event, InspectorLost):
            self._lost = True
        return self.shows and not self._lost

    def _as_json(self) -> str:
        import json

        return json.dumps(self._seeing.as_json())


@contextmanager
def looking_on(args: argparse.Namespace, *, stdout: bool = True) -> Iterator[Looking | None]:
    """For the run of a verb, whose data plane must have stopped in the end; then all is written.

    None if nothing is to be seen or kept. Not ``stdout``: that is not ours to write to.
    """
    if args.quiet and not args.write:
        yield None
        return
    out = _STDOUT if asks(args) and stdout else _STDERR
    seeing = seeing_of(args, sys.stdout if out == _STDOUT else sys.stderr)
    looking = Looking(seeing, _NOWHERE if args.quiet else out)
    try:
        yield looking
    finally:
        looking.inspector.finish()
