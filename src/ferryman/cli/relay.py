"""``ferry relay LISTEN TARGET``: bytes between two addresses, in the foreground.

Runs the data plane's engine on the main thread, without store and without asyncio, so that it
listens at once. Other listeners and targets, and decoding, come with ``ferry socat``'s
grammar; ``lines`` writes what happens without ever holding up the bytes.
"""

from __future__ import annotations

import argparse
import signal
from typing import TYPE_CHECKING

from ferryman import addresses
from ferryman.addresses import Address, TcpAddress
from ferryman.cli.disturbing import add_fault_argument, faults_of
from ferryman.cli.limits import raise_descriptor_limit
from ferryman.cli.lines import Lines, happened
from ferryman.cli.output import complain, result
from ferryman.dataplane.contract import (
    Applied,
    Bind,
    Endpoint,
    Event,
    NotBound,
    Policy,
)
from ferryman.dataplane.engine import Engine
from ferryman.dataplane.loop import Loop
from ferryman.errors import UserError

if TYPE_CHECKING:
    from types import FrameType

NAME = "relay"
HELP = """\
Carry bytes between two addresses.

Listens on LISTEN and connects every client to TARGET. An address is a port (8080, on the
loopback of both families), HOST:PORT, [IPv6]:PORT, or the path of a UNIX socket."""
EXAMPLES = """\
examples:
  ferry relay 8080 localhost:8081             what arrives at port 8080 goes to 8081
  ferry relay 0.0.0.0:8080 localhost:8081     for other machines, too
  ferry relay 8080 /run/docker.sock           a UNIX socket, by TCP
  ferry relay ./x.sock [::1]:80               the other way round
  ferry relay 8080 8081 --hold 30s            clients wait while the server restarts
  ferry relay 8080 8081 --fault latency=200ms±50,down --fault drop=5%
                                              a bad day, on purpose

Ctrl-C stops accepting and lets open connections end for 2 s; a second one ends them at once."""

_LISTENER = "relay"
_DRAIN = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    parser.add_argument("listen", metavar="LISTEN", help="where to listen; port 0 picks a free one")
    parser.add_argument("target", metavar="TARGET", help="where to connect to")
    parser.add_argument(
        "--hold",
        metavar="TIME",
        default="0s",
        help="how long a client waits for a target that refuses, such as 30s (default: not at all)",
    )
    add_fault_argument(parser)
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no line per connection, only errors"
    )


def run(args: argparse.Namespace) -> int:
    """Relay until a signal says stop; 0 then, 1 if the address cannot be listened on."""
    listen, target = addresses.parse(args.listen), addresses.parse(args.target)
    if isinstance(target, TcpAddress) and target.port == 0:
        raise UserError("port 0 is no target", "name the port that the server listens on")
    policy = Policy(hold=_seconds(args.hold), faults=faults_of(args))
    raise_descriptor_limit()
    return _Relay(listen, target, policy, quiet=args.quiet).run()


class _Relay:
    """One relay, from its listener to its last line."""

    def __init__(self, listen: Address, target: Address, policy: Policy, *, quiet: bool) -> None:
        self._listen = listen
        self._target = target
        self._policy = policy
        self._quiet = quiet
        self._loop = Loop()
        self._lines = Lines(self._loop)
        self._engine = Engine(self._loop, self._tell)
        self._stops = 0

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signalled)
        self._engine.policy(_LISTENER, self._policy, 0)
        self._engine.endpoints(_LISTENER, [Endpoint(str(self._target), self._target)], 0)
        if not self._bound(self._engine.apply(self._binds())):
            self._engine.stop(0, self._loop.stop)
            self._loop.run()
            return 1
        self._loop.run()
        self._lines.close()
        self._loop.close()
        return 0

    def _binds(self) -> dict[Bind, str]:
        places = addresses.loopbacks(self._listen)
        return {Bind(place, tag=_LISTENER): _LISTENER for place in places}

    def _bound(self, applied: Applied) -> bool:
        """Say where it listens; False if it does not everywhere that it was asked to."""
        failures = [f for f in applied.values() if isinstance(f, NotBound)]
        if len(failures) < len(applied):
            failures = [f for f in failures if not f.absent]  # a machine without IPv6, say
        for failure in failures:
            complain(UserError(str(failure), "choose another port, or end that process"))
        if failures:
            return False
        for bound in applied.values():
            if not isinstance(bound, NotBound):
                result(f"Listening on {bound.address} -> {self._target}")
        return True

    def _signalled(self, _: int, __: FrameType | None) -> None:
        self._stops += 1
        drain = _DRAIN if self._stops == 1 else 0.0
        self._loop.call_threadsafe(lambda: self._engine.stop(drain, self._loop.stop))

    def _tell(self, event: Event) -> None:
        line = happened(event, quiet=self._quiet)
        if line:
            self._lines.add(line)


def _seconds(text: str) -> float:
    from ferryman.api.durations import parse_duration

    return parse_duration(text)
