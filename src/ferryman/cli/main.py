#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""The command ``ferry``: finds the verb, lets it parse and run, turns errors into exit codes.

A verb is a module of this package with ``NAME``, ``HELP`` (its first line is the summary),
``add_arguments(parser)`` and ``run(args) -> int``; ``EXAMPLES`` is optional, and so is
``parse(parser, words)`` for a grammar that argparse has not. Only the module of the
verb at hand is imported, and this one imports little, because ``ferry relay`` listens before most
programs have read their own imports. Exit codes: 0, 1 for errors, 2 for usage, 130 on Ctrl-C.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from ferryman import __version__
from ferryman.cli.output import UsageError, complain
from ferryman.errors import FerrymanError

VERBS: Mapping[str, str] = {
    "relay": "carry bytes between two addresses",
    "socat": "run a socat command line, as it is",
    "forward": "forward local ports to a workload in Kubernetes; it heals",
    "tap": "listen in on a UNIX socket, and always put it back",
    "show": "show what -w kept, again",
    "replay": "say again what -w kept, and compare the answers",
    "why": "prove which hop of a forward fails",
    "demo": "run a small cluster in a box, with a forward into it",
    "completion": "print the script that completes ferry's arguments in a shell",
}
"""Every verb and its summary, in the order of ``ferry --help``; the module has the verb's name."""

_YOUNG = 50_000
"""New objects after which garbage is looked for. What a verb imports is as many, all of which stay:
with Python's own 700, looking through them was a twentieth of a start.
"""
_DESCRIPTION = "Carries sockets across: relays, and Kubernetes forwards that heal."
_EPILOG = """\
examples:
  ferry relay 8080 localhost:8081            what arrives at port 8080 goes to 8081
  ferry forward deploy/web 8080:80           port 8080 reaches a ready pod of web, whichever
  sudo ferry tap /run/docker.sock            what is said to dockerd; the socket is put back
  ferry demo                                 try it without a cluster

`ferry VERB --help` says more about one verb.
"""


class Verb(Protocol):
    """What a verb's module offers."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default the process's own; returns the exit code."""
    gc.set_threshold(_YOUNG)
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        sys.stdout.flush()  # here, where a reader that went away can still be dealt with
        return code
    except UsageError as error:
        complain(error)
        return 2
    except FerrymanError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Our reader (`| head`) has seen enough. What is still buffered must go somewhere, or the
        # interpreter complains at exit; 141 is what a shell shows for SIGPIPE.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(words: list[str]) -> int:
    if not words or words[0].startswith("-"):
        parser = _overview()
        parser.parse_args(words)  # --help and --version end here, unknown options too
        parser.print_help(sys.stderr)
        return 2
    if words[0] == "help":
        words = [*words[1:2], "--help"]
        return _run(words)
    verb = _load(words[0])
    _repair()
    parser = _parser(verb)
    parse = getattr(verb, "parse", argparse.ArgumentParser.parse_args)
    return verb.run(parse(parser, words[1:]))


def _load(name: str) -> Verb:
    if name not in VERBS:
        raise UsageError(f"there is no verb {name!r}", _near(name))
    return importlib.import_module(f"ferryman.cli.{name}")


def _repair() -> None:
    """Put back sockets that a killed `ferry tap` left moved aside."""
    from ferryman.intercept.places import names

    if names():
        from ferryman.cli.repairing import repair

        repair()


def _near(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, VERBS, n=2)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"the verbs are {', '.join(VERBS)}"


def _parser(verb: Verb) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"ferry {verb.NAME}",
        description=verb.HELP,
        epilog=getattr(verb, "EXAMPLES", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_arguments(parser)
    return parser


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {summary}" for name, summary in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="ferry",
        usage="ferry VERB [ARGUMENT…]",
        description=f"{_DESCRIPTION}\n\nverbs:\n{verbs}",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"ferry {__version__}")
    return parser


def _complete() -> None:
    """Answer a shell that asks for completions, and exit; needs the whole tree of parsers."""
    import argcomplete

    parser = _overview()
    verbs = parser.add_subparsers()
    for name, summary in VERBS.items():
        _load(name).add_arguments(verbs.add_parser(name, help=summary))
    argcomplete.autocomplete(parser)


if __name__ == "__main__":
    sys.exit(main())
