"""``ferry forward TYPE/NAME [LOCAL:]REMOTE…``: kubectl port-forward's lines, but it heals.

Parses (``ports``), speaks (``narration``) and listens to Ctrl-C (``signals``); ``daemon.forward``
does the work in this process. What scripts may read is on stdout: one line per listening address,
as soon as it is one. All else is on stderr.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from ferryman.cli.output import DIM, UsageError, note, result

if TYPE_CHECKING:
    from ferryman.access.kubeconfig import Access
    from ferryman.api.kinds.relay import RelayStatus
    from ferryman.daemon.forward import Wish
    from ferryman.dataplane.contract import Event

NAME = "forward"
HELP = """\
Forward local ports to a workload in Kubernetes; it heals.

Listens on 127.0.0.1 and ::1 and carries every connection to a ready pod of TYPE/NAME: a pod, a
deployment, a statefulset or a service. The ports stay open while pods come and go; connections
that arrive while no pod is ready wait. A REMOTE port is a number or a name; without LOCAL the
local port is the same, and with `:REMOTE` it is a free one."""
EXAMPLES = """\
examples:
  ferry forward deploy/example-go 8080:8000      port 8080 here is port 8000 there
  ferry forward service/example-go 8080:http     a service's port, by name
  ferry forward sts/cache 6379 :9121             two ports, one of them on a free local port
  ferry forward pod/web-7ff5d 8080 -n shop       one certain pod, ready or not
  ferry forward deploy/web 8080:80 --hold 2m     for pods that take long to start

Ctrl-C stops accepting and gives open connections 3 s to end; a second one ends them at once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb; kubectl's names where it has them."""
    parser.add_argument("target", metavar="TYPE/NAME", nargs="?", help="where to forward to")
    parser.add_argument("ports", metavar="[LOCAL:]REMOTE", nargs="*", help="which ports")
    parser.add_argument("-n", "--namespace", metavar="NS", help="the workload's namespace")
    parser.add_argument("--context", metavar="NAME", help="the kubeconfig's context to use")
    parser.add_argument("--kubeconfig", metavar="FILE", help="the kubeconfig file to use")
    parser.add_argument(
        "--address",
        metavar="IP,…",
        default="localhost",
        help="addresses to listen on (default: %(default)s, which is 127.0.0.1 and ::1)",
    )
    parser.add_argument(
        "--hold",
        metavar="TIME",
        default="30s",
        help="how long a connection waits for a ready pod (default: %(default)s; 0s: not at all)",
    )


def run(args: argparse.Namespace) -> int:
    """Forward until a signal says stop; 0 then, also if connections had to be reset."""
    if not args.target or not args.ports:
        raise UsageError(
            "TYPE/NAME and list of ports are required for port-forward",
            "such as: ferry forward deploy/web 8080:80",
        )
    import asyncio
    import logging

    from ferryman.access.kubeconfig import load

    logging.getLogger("ferryman").setLevel(logging.ERROR)  # what heals, the narration tells
    access = load(args.kubeconfig, args.context, os.environ)
    asyncio.run(serve(access, wish(args, access.namespace)))
    return 0


def wish(args: argparse.Namespace, namespace: str) -> Wish:
    """What the arguments ask for; raises UserError."""
    from ferryman.api.durations import parse_duration
    from ferryman.cli.ports import parse_hosts, parse_pairs
    from ferryman.daemon.forward import Wish
    from ferryman.kube.targets import parse

    pairs = parse_pairs(args.ports)
    parse_duration(args.hold)
    return Wish(
        target=parse(args.target, args.namespace or namespace),
        ports=tuple((pair.local, pair.remote) for pair in pairs),
        hosts=tuple(parse_hosts(args.address)),
        hold=args.hold,
    )


async def serve(access: Access, wanted: Wish) -> None:
    """Forward in this process until Ctrl-C or SIGTERM; raises FerrymanError if it cannot begin."""
    from ferryman.cli.signals import Interrupts
    from ferryman.daemon.forward import forward

    speaker = Speaker(wanted)
    with Interrupts() as interrupts:
        await forward(access, wanted, speaker, interrupts)


class Speaker:
    """Says what the forward tells it; ``daemon.forward.Observer``, ``cli.demo``'s too."""

    def __init__(self, wanted: Wish) -> None:
        import time

        from ferryman.cli.narration import Narrator

        self._now = time.monotonic
        self._narrator = Narrator(str(wanted.target), wanted.hold)

    def forwarding(self, status: RelayStatus) -> None:
        for port in status.ports:
            for address in port.addresses:
                result(f"Forwarding from {address} -> {port.target_port}")

    def status(self, status: RelayStatus) -> None:
        self._say(self._narrator.status(status, self._now()))

    def event(self, event: Event) -> None:
        self._say(self._narrator.event(event, self._now()))

    def draining(self, connections: int) -> None:
        are = "1 connection is" if connections == 1 else f"{connections} connections are"
        self._say([f"stopping: {are} still open; Ctrl-C again ends them now"])

    def _say(self, lines: list[str]) -> None:
        for line in lines:
            note(line, DIM)
