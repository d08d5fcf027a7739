"""``ferry why TYPE/NAME PORT``: proves which hop of a forward fails, and says what to do about it.

``daemon.why`` takes the steps; here they are lines, or JSON objects.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ferryman.cli.forward import add_access_arguments, complete_words
from ferryman.cli.output import GREEN, RED, UsageError, paint, result
from ferryman.errors import UserError

if TYPE_CHECKING:
    from ferryman.access.kubeconfig import Access
    from ferryman.daemon.why import Hop
    from ferryman.kube.targets import Target

NAME = "why"
HELP = """\
Prove which hop of a forward fails.

Takes the way that a forward takes, one hop at a time: kubeconfig, credential, TLS, API, RBAC,
target, pod, wire, port. Each is a line with the time that it took; the first that fails says what
to do about it, and those behind it are not tried. Nothing is sent to the port."""
EXAMPLES = """\
examples:
  ferry why deploy/web 8080                      is there a way to port 8080 of a pod of web?
  ferry why svc/web http -n shop                 a service's port, by name
  ferry why pod/web-7ff5d 8080 --output json     an object per hop, for scripts

Exit code 0 if all hops hold, 1 if one fails."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    target = parser.add_argument("target", metavar="TYPE/NAME", help="where it is to lead to")
    parser.add_argument("port", metavar="PORT", help="a port there, by number or name")
    add_access_arguments(parser)
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="json: one object per hop"
    )
    complete_words(target)


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Options may stand between the two arguments."""
    return parser.parse_intermixed_args(list(words))


def run(args: argparse.Namespace) -> int:
    """Say each hop as soon as it is known; 1 if one fails."""
    import asyncio
    import logging

    from ferryman.kube.ports import parse_pair

    logging.getLogger("ferryman").setLevel(logging.CRITICAL)  # the hops tell it
    try:
        port = parse_pair(args.port).remote
    except UserError as error:
        raise UsageError(error.message, error.hint) from error
    return asyncio.run(_ask(args, port))


async def _ask(args: argparse.Namespace, port: int | str) -> int:
    from ferryman.access.kubeconfig import load
    from ferryman.daemon.why import why
    from ferryman.kube.targets import parse as parse_target

    def target_of(access: Access) -> Target:
        return parse_target(args.target, args.namespace or access.namespace)

    code = 0
    async for hop in why(lambda: load(args.kubeconfig, args.context, os.environ), target_of, port):
        result(_json(hop) if args.output == "json" else _line(hop))
        code = 1 if hop.state == "failed" else code
    return code


def _line(hop: Hop) -> str:
    import sys

    colour = {"ok": GREEN, "failed": RED}.get(hop.state, "")
    state = paint(f"{hop.state:9}", colour, sys.stdout)
    if hop.state == "not tried":
        return f"{state} {hop.name}"
    message = f"{hop.message}; {hop.remedy}" if hop.remedy else hop.message
    return f"{state} {hop.name:10} {hop.seconds * 1000:6.0f} ms  {message}"


def _json(hop: Hop) -> str:
    import json
    from dataclasses import asdict

    return json.dumps(asdict(hop), ensure_ascii=False)
