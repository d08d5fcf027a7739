"""``ferry forward TYPE/NAME [LOCAL:]REMOTE…``: kubectl port-forward's lines, but it heals.

Parses here (with ``groups`` and ``kube.ports``), serves in ``serving``, in the foreground or in the
``background``. What scripts may read is on stdout: one line per listening address, as soon as it is
one, or with ``--output json`` one object per event. All else is on stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ferryman.cli.disturbing import add_fault_argument, faults_of
from ferryman.cli.groups import Group, groups, mark_selectors, split_command
from ferryman.cli.output import UsageError
from ferryman.cli.seeing import add_seeing_arguments, asks
from ferryman.errors import UserError

if TYPE_CHECKING:
    from ferryman.access.kubeconfig import Access
    from ferryman.api.kinds.relay import Balance
    from ferryman.cli.looking import Looking
    from ferryman.daemon.forward import Wish

NAME = "forward"
HELP = """\
Forward local ports to a workload in Kubernetes; it heals.

Listens on 127.0.0.1 and ::1 and carries every connection to a ready pod of TYPE/NAME (a pod, a
deployment, a statefulset, a service, …) or of a label selector. The ports stay open while pods
come and go; connections that arrive while no pod is ready wait. A REMOTE port is a number or a
name; without LOCAL the local port is the same, and with `:REMOTE` it is a free one.

Several targets may follow each other, each with its ports. With `-- COMMAND` the command runs once
connections get through, with FERRY_PORT, FERRY_PORT_<REMOTE> and FERRY_HOST in its environment;
its end is the forward's, and its exit code is ferry's."""
EXAMPLES = """\
examples:
  ferry forward deploy/example-go 8080:8000      port 8080 here is port 8000 there
  ferry forward service/example-go 8080:http     a service's port, by name
  ferry forward sts/cache 6379 :9121             two ports, one of them on a free local port
  ferry forward pod/web-7ff5d 8080 -n shop       one certain pod, ready or not
  ferry forward deploy/web 8080:80 --hold 2m     for pods that take long to start
  ferry forward -l app=web 8080:80               any ready pod with that label
  ferry forward deploy/web 8080 sts/db 5432      two targets, each with a port
  ferry forward deploy/api 8080 --wait           it need not exist yet
  ferry forward sts/db :5432 -- sh -c 'psql -h $FERRY_HOST -p $FERRY_PORT'
  ferry forward deploy/web :80 --output json     an object per event, for scripts
  ferry forward deploy/web 8080:80 --background  prints the ports and returns

Ctrl-C stops accepting and gives open connections 3 s to end; a second one ends them at once."""

USAGE = """\
ferry forward [OPTION…] TYPE/NAME [LOCAL:]REMOTE… [-- COMMAND…]
       ferry forward [OPTION…] -l SELECTOR [LOCAL:]REMOTE… [TYPE/NAME|-l SELECTOR PORT…]…"""

BALANCE: Mapping[str, Balance] = {
    "newest": "Newest",
    "round-robin": "RoundRobin",
    "least": "LeastConnections",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb; kubectl's names where it has them."""
    parser.usage = USAGE
    words = parser.add_argument(
        "words", metavar="TYPE/NAME [LOCAL:]REMOTE", nargs="*", help="where to forward to, by port"
    )
    parser.add_argument(  # for --help and completion; ``groups`` reads it
        "-l", "--selector", metavar="SELECTOR", help="pods with these labels, instead of TYPE/NAME"
    )
    add_access_arguments(parser)
    parser.add_argument(
        "--address",
        metavar="IP,…",
        action="append",
        help="addresses to listen on (default: localhost, which is 127.0.0.1 and ::1)",
    )
    parser.add_argument(
        "--hold",
        metavar="TIME",
        default="30s",
        help="how long a connection waits for a ready pod (default: %(default)s; 0s: not at all)",
    )
    parser.add_argument(
        "--balance",
        choices=BALANCE,
        default="newest",
        help="which of several ready pods takes a connection (default: %(default)s)",
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait for a target that does not exist yet, and for a cluster that does not answer",
    )
    parser.add_argument(
        "--pod-running-timeout",
        metavar="TIME",
        help="give up if no pod is ready after so long (default: never; connections wait)",
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=("text", "json"),
        default="text",
        help="json: one object per event",
    )
    parser.add_argument(
        "--background",
        action="store_true",
        help="print the ports and return; it goes on in the background and says how to stop it",
    )
    parser.add_argument(
        "--trace",
        action="store_true",
        help="tell every frame on the wires into pods, for a bug report; payloads by length only",
    )
    add_fault_argument(parser)
    add_seeing_arguments(parser)
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no line per exchange on a terminal"
    )
    complete_words(words)


def add_access_arguments(parser: argparse.ArgumentParser) -> None:
    """Which cluster, and where in it; ``why`` has the same."""
    namespace = parser.add_argument(
        "-n", "--namespace", metavar="NS", help="the workload's namespace"
    )
    context = parser.add_argument(
        "--context", metavar="NAME", help="the kubeconfig's context to use"
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="the kubeconfig file to use")
    namespace.completer = _complete_namespace  # type: ignore[attr-defined]  # argcomplete's way
    context.completer = _complete_context  # type: ignore[attr-defined]  # argcomplete's way


def complete_words(argument: argparse.Action) -> None:
    """Let a shell complete kinds, names and ports there."""
    argument.completer = _complete  # type: ignore[attr-defined]  # argcomplete's way


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Options may stand anywhere before ``--``, as with kubectl."""
    ours, command = split_command(words)
    args = parser.parse_intermixed_args(mark_selectors(ours))
    args.command = command
    return args


def run(args: argparse.Namespace) -> int:
    """Forward until a signal says stop; 0 then, also if connections had to be reset. With a
    command, until that ends; its exit code then.
    """
    import logging

    logging.getLogger("ferryman").setLevel(logging.ERROR)  # what heals, the narration tells
    wanted = groups(args.words)
    if args.command is not None and not args.command:
        raise UsageError("there is no command after --", "such as: -- psql -h localhost")
    if args.background and args.command is not None:
        raise UsageError("--background and a command exclude each other")
    from ferryman.access.kubeconfig import load
    from ferryman.cli.limits import raise_descriptor_limit

    raise_descriptor_limit()
    access = load(args.kubeconfig, args.context, os.environ)
    try:
        wishes = make_wishes(args, access.namespace, wanted)
    except UserError as error:
        raise UsageError(error.message, error.hint) from error
    if not args.background:
        return _seen(access, wishes, args)
    if asks(args) or args.write:
        raise UsageError("--background shows and keeps nothing", "leave one of the two out")
    from ferryman.cli import background

    return background.run(lambda leave: _serve(access, wishes, args, leave, None))


def make_wishes(args: argparse.Namespace, namespace: str, wanted: Sequence[Group]) -> list[Wish]:
    """What the arguments ask for; raises UserError."""
    from ferryman.api.durations import parse_duration
    from ferryman.daemon.forward import Wish
    from ferryman.kube import ports, targets

    parse_duration(args.hold)
    timeout = args.pod_running_timeout and parse_duration(args.pod_running_timeout)
    if timeout == 0:
        raise UserError("--pod-running-timeout must be higher than zero")
    faults = faults_of(args)
    namespace = args.namespace or namespace
    hosts = tuple(ports.parse_hosts(",".join(args.address or ["localhost"])))
    pairs = [ports.parse_pairs(group.ports) for group in wanted]
    ports.check_distinct(pair for of_one in pairs for pair in of_one)
    return [
        Wish(
            target=(targets.selected if group.selector else targets.parse)(group.target, namespace),
            ports=tuple((pair.local, pair.remote) for pair in of_one),
            hosts=hosts,
            hold=args.hold,
            balance=BALANCE[args.balance],
            wait=args.wait,
            running_timeout=timeout,
            faults=tuple(map(str, faults)),
        )
        for group, of_one in zip(wanted, pairs, strict=True)
    ]


def _seen(access: Access, wishes: Sequence[Wish], args: argparse.Namespace) -> int:
    """Serve; on a terminal with a line per exchange, in scripts with what was asked for."""
    if not (asks(args) or args.write or (sys.stderr.isatty() and args.output == "text")):
        return _serve(access, wishes, args, None, None)
    from msgspec.structs import replace

    from ferryman.cli.looking import looking_on

    with looking_on(args, stdout=args.command is None) as looking:
        if looking is not None:
            wishes = [replace(wish, inspect=looking.mode) for wish in wishes]
        return _serve(access, wishes, args, None, looking)


def _serve(
    access: Access,
    wishes: Sequence[Wish],
    args: argparse.Namespace,
    leave: Callable[[], None] | None,
    looking: Looking | None,
) -> int:
    """``leave`` is called once everything is forwarded."""
    import asyncio

    from ferryman.cli.output import complain
    from ferryman.cli.program import CommandFailed
    from ferryman.cli.serving import serve

    try:
        json = args.output == "json"
        return asyncio.run(
            serve(
                access,
                wishes,
                args.command,
                json=json,
                trace=args.trace,
                leave=leave,
                looking=looking,
            )
        )
    except CommandFailed as error:
        complain(error)
        return error.code


def _complete(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    from ferryman.cli.completing import targets_and_ports

    return targets_and_ports(prefix, parsed_args)


def _complete_namespace(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    from ferryman.cli.completing import namespaces

    return namespaces(prefix, parsed_args)


def _complete_context(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    from ferryman.cli.completing import contexts

    return contexts(prefix, parsed_args)
