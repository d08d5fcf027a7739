"""``ferry show FILE``: what ``-w`` kept, seen again, in any form or as another kind of file.

The records of a ``.ferry`` go the way that they would go live (``inspector.pipeline``); of a
``.har`` only exchanges are left, and ``retelling`` tells them.
"""

from __future__ import annotations

import argparse
import os
import sys

from ferryman.cli.kept import Kept, selected
from ferryman.cli.output import YELLOW, note
from ferryman.cli.seeing import add_seeing_arguments, seeing_of
from ferryman.errors import UserError
from ferryman.inspection.session import Seen
from ferryman.inspector.files import Files, kind_of
from ferryman.inspector.keeping import keepings
from ferryman.inspector.pipeline import Pipeline
from ferryman.inspector.process import Output
from ferryman.inspector.seeing import Seeing

NAME = "show"
HELP = """\
Show what -w kept, again.

FILE is a .ferry or .har that `-w FILE` wrote (or a browser's HAR); "-" is standard input. All
options of seeing work as they do live. With -w it is not shown but made into another file: a
.ferry into a .pcapng, say, or into a .har."""
EXAMPLES = """\
examples:
  ferry show day.ferry                          a line per exchange
  ferry show day.ferry -v --only 'status>=400'  headers and bodies of those that failed
  ferry show day.ferry --grep 'user.?42' --format json | jq .
  ferry show day.ferry -w day.pcapng            for Wireshark; works for UNIX sockets, too
  ferry show day.ferry -w one.ferry --only path=/v1/users
  ferry show browser.har

Secrets are redacted in what is shown, whatever the file has; --no-redact shows what is there."""

_FLUSH_EVERY = 256  # records: what is shown appears, and files grow, while a long one is read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    parser.add_argument("file", metavar="FILE", help="a .ferry or .har")
    add_seeing_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show it; 1 if it is damaged, or if what was to be written is not whole."""
    seeing = seeing_of(args)
    kept = Kept(args.file)
    try:
        _check(kept, seeing)
        return _Showing(kept, seeing).run()
    finally:
        kept.close()


def _check(kept: Kept, seeing: Seeing) -> None:
    """Refuse what the file cannot give."""
    for path in seeing.files:
        if os.path.exists(path) and os.path.exists(kept.path) and os.path.samefile(path, kept.path):
            raise UserError(f"{path} is what is to be shown", "name another file")
    if not kept.is_har:
        return
    if seeing.format in ("socat", "raw") or seeing.hexadecimal:
        raise UserError("a HAR has exchanges, and no bytes of connections", "leave out the format")
    for path in seeing.files:
        if kind_of(path) != "har":
            raise UserError(f"a HAR has no bytes of connections: {path} would be empty")


class _Showing:
    """One file on its way to the terminal, or into others."""

    def __init__(self, kept: Kept, seeing: Seeing) -> None:
        self._kept = kept
        self._seeing = seeing
        self._out = Output(sys.stdout.fileno())

    def run(self) -> int:
        told = self._told()  # before files are made: it may be no HAR
        wanted = self._wanted()
        header = self._kept.header
        redacted = self._seeing.redact or (header.redacted and not self._kept.is_har)
        if header.redacted and not self._seeing.redact and not self._kept.is_har:
            note("secrets were masked when this was kept: they are not in the file", YELLOW)
        files = Files.make(self._seeing.files, force=self._seeing.force)
        kept = keepings(
            files, started=header.started, listeners=header.listeners, redacted=redacted
        )
        pipeline = Pipeline(self._seeing, None if kept else self._out.add, kept)
        failed: list[str] = []
        for number, seen in enumerate(told):
            pipeline.take(seen)
            if number % _FLUSH_EVERY == 0:
                failed += self._flush(pipeline)
        if not self._kept.is_har:
            for number, record in enumerate(self._kept.records()):
                if wanted is None or record.connection in wanted:
                    pipeline.receive(record)
                if number % _FLUSH_EVERY == 0:
                    failed += self._flush(pipeline)
        pipeline.finish()
        failed += self._flush(pipeline)
        for failure in failed:
            note(failure, YELLOW)
        if self._kept.damage:
            note(f"{self._kept.path}: {self._kept.damage}", YELLOW)
        return 1 if failed or self._kept.damage.startswith("it is damaged") else 0

    def _flush(self, pipeline: Pipeline) -> list[str]:
        self._out.flush()
        return pipeline.flush()

    def _told(self) -> list[Seen]:
        """What a HAR says."""
        if not self._kept.is_har:
            return []
        from ferryman.inspection.exports.retelling import retell

        return retell(self._kept.exchanges(redact=self._seeing.redact))

    def _wanted(self) -> set[int] | None:
        """The connections to write if only some are wanted: bytes can only be kept by connection,
        and which ones is known when all has been read.
        """
        seeing = self._seeing
        raw = any(kind_of(path) != "har" for path in seeing.files)
        if not raw or not (seeing.only or seeing.grep):
            return None
        if not self._kept.seekable:
            raise UserError("--only with -w needs to read twice", "give a file, not a pipe")
        return set(selected(self._kept.records(), seeing.only, seeing.grep, redact=seeing.redact))
