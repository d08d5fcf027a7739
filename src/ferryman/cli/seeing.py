"""What is to be seen of connections, and how: the options that ``relay``, ``forward``, ``tap`` and
``show`` share.

``add_seeing_arguments`` defines them and ``seeing_of`` makes plain data of them, on which the
``inspector`` acts.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import TextIO

from ferryman.cli.output import UsageError, coloured
from ferryman.errors import UserError
from ferryman.inspector.files import kind_of
from ferryman.inspector.seeing import BODY_LIMIT, FORMATS, Seeing

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_SIZE = re.compile(r"(\d{1,12})\s*([kmg]i?)?b?", re.IGNORECASE)


def add_seeing_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options, in groups of their own; ``--quiet`` is the verb's."""
    seeing = parser.add_argument_group("seeing")
    seeing.add_argument("-v", "--verbose", action="store_true", help="headers and bodies")
    seeing.add_argument("-x", "--hex", action="store_true", help="the bytes, in hexadecimal")
    seeing.add_argument(
        "--format",
        choices=FORMATS,
        help="pretty (default), json (a line per exchange), socat (its dumps), raw (bytes only)",
    )
    seeing.add_argument(
        "--only",
        metavar="FILTER",
        default="",
        help="only exchanges such as 'method=POST path~/containers status>=400'",
    )
    seeing.add_argument(
        "--grep", metavar="REGEX", default="", help="only exchanges in which this is found"
    )
    seeing.add_argument(
        "--max-body",
        metavar="SIZE",
        help="of a body: 0, 1k, 2MB, all (default: 64KiB are shown, 4MiB kept in a HAR)",
    )
    seeing.add_argument(
        "--no-color",
        "--no-colour",
        dest="no_colour",
        action="store_true",
        help="no colours, also on a terminal (as NO_COLOR)",
    )
    seeing.add_argument(
        "--no-redact", action="store_true", help="show and keep passwords, tokens and cookies"
    )
    keeping = parser.add_argument_group("keeping")
    keeping.add_argument(
        "-w",
        "--write",
        metavar="FILE",
        action="append",
        default=[],
        help="keep it in FILE.ferry, FILE.pcapng (for Wireshark) or FILE.har; may be repeated",
    )
    keeping.add_argument("--force", action="store_true", help="overwrite what -w names")


def asks(args: argparse.Namespace) -> bool:
    """Whether the options ask for more than a summary."""
    return bool(args.verbose or args.hex or args.format or args.only or args.grep)


def seeing_of(args: argparse.Namespace, out: TextIO | None = None) -> Seeing:
    """What the options say; ``out`` is where it is shown. Raises UsageError."""
    try:
        for path in args.write:
            kind_of(path)
    except UserError as error:
        raise UsageError(error.message, error.hint) from error
    if len(set(args.write)) < len(args.write):
        raise UsageError("-w names the same file twice")
    _check_regex(args.grep)
    return Seeing(
        format=args.format or "pretty",
        verbose=args.verbose,
        hexadecimal=args.hex,
        only=args.only,
        grep=args.grep,
        max_body=None if args.max_body is None else parse_size(args.max_body),
        colour=not args.no_colour and coloured(sys.stdout if out is None else out),
        redact=not args.no_redact,
        files=tuple(args.write),
        force=args.force,
    )


def parse_size(text: str) -> int:
    """A number of bytes: ``512``, ``64k`` (1000), ``2MB``, ``1MiB``, ``all``; raises UsageError."""
    if text.lower() == "all":
        return BODY_LIMIT
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"not a size: {text!r}", "write 0, 512, 64k, 2MB, 1MiB or all")
    size = int(match[1]) * _UNITS[(match[2] or "").lower()]
    if size > BODY_LIMIT:
        raise UsageError(f"{text} is more of a body than is held", f"at most {BODY_LIMIT} bytes")
    return size


def _check_regex(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--grep: not a regular expression: {error}") from error
