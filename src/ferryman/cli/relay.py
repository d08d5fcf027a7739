"""``ferry relay LISTEN TARGET``: bytes between two addresses, in the foreground.

Runs the data plane's engine on the main thread, without store and without asyncio, so that it
listens at once. ``addresses`` reads what the two are, ``relayed`` has workloads as targets;
``lines`` writes what happens without ever holding up the bytes.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ferryman import addresses
from ferryman.addresses import Address, TcpAddress, UnixAddress
from ferryman.cli.disturbing import add_fault_argument, faults_of
from ferryman.cli.limits import raise_descriptor_limit
from ferryman.cli.lines import Lines, happened
from ferryman.cli.looking import Looking, looking_on
from ferryman.cli.output import UsageError, complain, note, result
from ferryman.cli.seeing import add_seeing_arguments
from ferryman.dataplane.contract import (
    Applied,
    Bind,
    DialFailed,
    Endpoint,
    Event,
    Exhausted,
    NotBound,
    Policy,
)
from ferryman.dataplane.engine import Engine
from ferryman.dataplane.loop import Loop
from ferryman.errors import UserError

if TYPE_CHECKING:
    from types import FrameType

    from ferryman.addresses.specs import Spec

NAME = "relay"
HELP = """\
Carry bytes between two addresses.

Listens on LISTEN and connects every client to TARGET. An address is a port (8080, on the
loopback of both families), HOST:PORT, [IPv6]:PORT, the path of a UNIX socket, or whatever socat
would take: TCP, UNIX, ABSTRACT, OPENSSL, UDP (each also with -LISTEN), EXEC, SYSTEM, STDIO, FD,
OPEN, CREATE, PIPE, with their options. TARGET may also be a workload in Kubernetes,
TYPE/NAME:PORT; that heals as `ferry forward` does."""
EXAMPLES = """\
examples:
  ferry relay 8080 localhost:8081             what arrives at port 8080 goes to 8081
  ferry relay 0.0.0.0:8080 localhost:8081     for other machines, too
  ferry relay 8080 /run/docker.sock           a UNIX socket, by TCP
  ferry relay ./x.sock [::1]:80               the other way round
  ferry relay 8080 8081 --hold 30s            clients wait while the server restarts
  ferry relay 8080 8081 --fault latency=200ms±50,down --fault drop=5%
                                              a bad day, on purpose
  ferry relay TCP-LISTEN:8080,reuseaddr,fork TCP:localhost:8081
                                              as for socat, on all addresses, too
  ferry relay OPENSSL-LISTEN:8443,fork,cert=both.pem,verify=0 localhost:8080
                                              TLS in front of a server without
  ferry relay 8080 OPENSSL:example.com:443    and the other way round
  ferry relay UDP-LISTEN:5353,fork UDP:1.1.1.1:53
  ferry relay 8080 'EXEC:"cat -n"'            a program for every client
  ferry relay - /run/docker.sock              our own stdin and stdout
  ferry relay 8080 8081 -v                    what is said, with headers and bodies
  ferry relay 8080 8081 --only 'path~/users status>=400' --format json | jq
  ferry relay 8080 8081 -w day.pcapng         for Wireshark; also .ferry and .har
  ferry relay 8080 deploy/web:http            a ready pod of web, whichever that is

Ctrl-C stops accepting and lets open connections end for 2 s; a second one ends them at once."""

_LISTENER = "relay"
_DRAIN = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    parser.usage = "ferry relay [OPTION…] LISTEN TARGET"
    parser.add_argument(
        "addresses",
        metavar="LISTEN TARGET",
        nargs="*",
        help="where to listen (port 0 picks a free one), and where to connect to",
    )
    parser.add_argument(
        "--hold",
        metavar="TIME",
        help="how long a client waits for a target that refuses, such as 30s (default: not at all; "
        "30s for a workload)",
    )
    add_fault_argument(parser)
    add_seeing_arguments(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="show nothing but errors")


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """``-`` and what may follow it is an address, not an option."""
    args = parser.parse_intermixed_args(
        ["STDIO" + word[1:] if word.startswith(("-,", "-!!")) else word for word in words]
    )
    try:
        args.listen, args.target = addresses.two(args.addresses)
    except UserError as error:
        raise UsageError(error.message, error.hint) from error
    return args


def run(args: argparse.Namespace) -> int:
    """Relay until a signal says stop, or until the one client that there was has gone; 0 then.

    1 if the address cannot be listened on, or if that client could not be served.
    """
    listen, faults = addresses.parse_place(args.listen), faults_of(args)
    workload = addresses.parse_workload(args.target)
    raise_descriptor_limit()
    if workload is not None:
        from ferryman.cli import relayed

        hold = args.hold or "30s"
        _seconds(hold)
        _note_width(listen)
        with looking_on(args) as looking:
            said = tuple(args.fault)
            return relayed.run(listen, workload, hold=hold, faults=said, looking=looking)
    target = addresses.parse_place(args.target)
    if getattr(target, "port", None) == 0 and not hasattr(target, "listen"):
        raise UserError("port 0 is no target", "name the port that the server listens on")
    policy = Policy(hold=_seconds(args.hold or "0s"), faults=faults)
    ours = not (_uses_stdout(listen) or _uses_stdout(target))
    with looking_on(args, stdout=ours) as looking:
        return _Relay(listen, target, policy, looking, quiet=args.quiet, stdout=ours).run()


class _Relay:
    """One relay, from its listener to its last line."""

    def __init__(
        self,
        listen: Address | Spec,
        target: Address | Spec,
        policy: Policy,
        looking: Looking | None,
        *,
        quiet: bool,
        stdout: bool,
    ) -> None:
        self._listen = listen
        self._target = target
        self._policy = policy if looking is None else replace(policy, observe=looking.mode)
        self._looking = looking
        self._quiet = quiet
        self._loop = Loop()
        self._lines = Lines(self._loop)
        self._engine = Engine(self._loop, self._tell)
        self._stops = 0
        self._failed = False
        # Our standard output may be one of the two, or be for what is seen.
        seen = looking is not None and looking.uses_stdout
        self._say = result if stdout and not seen else note

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signalled)
        if self._looking is not None:
            self._looking.observe(self._engine)
        self._engine.policy(_LISTENER, self._policy, 0)
        self._engine.endpoints(_LISTENER, [Endpoint(str(self._target), self._target)], 0)
        if not self._bound(self._engine.apply(self._binds())):
            self._engine.stop(0, self._loop.stop)
            self._loop.run()
            return 1
        self._loop.run()
        self._lines.close()
        self._loop.close()
        return int(self._failed)

    def _binds(self) -> dict[Bind, str]:
        if not isinstance(self._listen, (TcpAddress, UnixAddress)):
            return {Bind(self._listen, tag=_LISTENER): _LISTENER}
        places = addresses.loopbacks(self._listen)
        return {Bind(place, tag=_LISTENER): _LISTENER for place in places}

    def _bound(self, applied: Applied) -> bool:
        """Say where it listens; False if it does not everywhere that it was asked to."""
        failures = [f for f in applied.values() if isinstance(f, NotBound)]
        if len(failures) < len(applied):
            failures = [f for f in failures if not f.absent]  # a machine without IPv6, say
        for failure in failures:
            taken = isinstance(self._listen, (TcpAddress, UnixAddress)) or failure.holder
            complain(
                UserError(str(failure), "choose another port, or end that process" if taken else "")
            )
        if failures:
            return False
        for bound in applied.values():
            if not isinstance(bound, NotBound):
                self._say(f"{_doing(bound.address)} {bound.address} -> {self._target}")
        _note_width(self._listen)
        return True

    def _signalled(self, _: int, __: FrameType | None) -> None:
        self._stops += 1
        drain = _DRAIN if self._stops == 1 else 0.0
        self._loop.call_threadsafe(lambda: self._engine.stop(drain, self._loop.stop))

    def _tell(self, event: Event) -> None:
        match event:
            case Exhausted():
                self._engine.stop(_DRAIN, self._loop.stop)
            case DialFailed(final=True):
                self._failed = self._failed or _serves_one(self._listen)
        if self._looking is not None and self._looking.tells(event):
            return
        line = happened(event, quiet=self._quiet)
        if line:
            self._lines.add(line)


def _uses_stdout(address: Address | Spec) -> bool:
    both = (getattr(address, "read", address), getattr(address, "write", address))
    return any(getattr(one, "write", one) == 1 for one in both)


def _doing(address: Address | Spec) -> str:
    """What is done with a first address: most are listened on."""
    if isinstance(address, (TcpAddress, UnixAddress)) or hasattr(address, "listen"):
        return "Listening on"
    return "Relaying"


def _serves_one(address: Address | Spec) -> bool:
    if isinstance(address, (TcpAddress, UnixAddress)):
        return False
    listen = getattr(address, "listen", None)
    return listen is None or not listen.fork


def _note_width(address: Address | Spec) -> None:
    """Say that it listens everywhere, if nobody wrote so."""
    place = getattr(address, "place", None)
    if hasattr(address, "listen") and place is not None and not place.bind:
        note("on all addresses of this machine, as socat does; bind=127.0.0.1 keeps others out")


def _seconds(text: str) -> float:
    from ferryman.api.durations import parse_duration

    return parse_duration(text)
