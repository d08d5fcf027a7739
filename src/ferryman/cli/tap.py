"""``ferry tap SOCKET``: what two programs say to each other over a UNIX socket.

Parses, and answers what needs no relaying: ``--status``, ``--restore``, and why a TCP port cannot
be tapped. ``tapping`` takes the socket's place, ``beside`` runs a command with a socket of its own.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ferryman.cli.groups import split_command
from ferryman.cli.output import UsageError, complain, note, result
from ferryman.cli.seeing import add_seeing_arguments
from ferryman.errors import Unavailable, UserError

if TYPE_CHECKING:
    from ferryman.addresses import TcpAddress
    from ferryman.intercept.entry import Entry

NAME = "tap"
HELP = """\
Listen in on a UNIX socket, and always put it back.

Moves SOCKET aside, takes its place with the same mode and owner, and carries every client to the
server. No connect fails meanwhile. However this ends, by Ctrl-C or by SIGKILL, the original is put
back: by a second process, or else by the next ferry command.

With `-- COMMAND` nothing is moved and no rights are needed: the command alone gets a private
socket, by DOCKER_HOST, PGHOST and the like, by FERRY_SOCKET, and wherever it says {socket}."""
EXAMPLES = """\
examples:
  sudo ferry tap /run/docker.sock              everything that is said to dockerd
  ferry tap /run/docker.sock -- docker ps      what `docker ps` says; without sudo
  ferry tap /run/redis.sock -- redis-cli -s {socket} ping
  ferry tap ./app.sock --follow                also after the server was restarted
  ferry tap --status                           what is tapped now
  ferry tap --restore                          put everything back

Ctrl-C puts it back and lets open connections end for 2 s; a second one ends them at once."""
USAGE = """\
ferry tap [OPTION…] SOCKET [-- COMMAND…]
       ferry tap --status [SOCKET]
       ferry tap --restore [SOCKET]"""

_PATIENCE = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    parser.usage = USAGE
    parser.add_argument("socket", metavar="SOCKET", nargs="?", help="the path of a UNIX socket")
    parser.add_argument("--status", action="store_true", help="say what is tapped, and by whom")
    parser.add_argument("--restore", action="store_true", help="end what taps it, and put it back")
    parser.add_argument(
        "--follow", action="store_true", help="when the server is restarted, tap its new socket"
    )
    parser.add_argument(
        "--any-user",
        action="store_true",
        help="let other users in though the socket is open to all; the server takes them for you",
    )
    add_seeing_arguments(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="show nothing but errors")


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Options may stand anywhere before ``--``."""
    ours, command = split_command(words)
    args = parser.parse_intermixed_args(ours)
    args.command = command
    return args


def run(args: argparse.Namespace) -> int:
    """Tap until a signal says stop; 0 then, 1 if the server has gone; with a command, its code."""
    if args.status and args.restore:
        raise UsageError("--status and --restore exclude each other")
    if args.status:
        return _status(args.socket)
    if args.restore:
        return _restore(args.socket)
    if args.socket is None:
        raise UsageError("there is no socket to tap", "such as: ferry tap /run/docker.sock")
    if args.command is not None and not args.command:
        raise UsageError("there is no command after --", "such as: -- docker ps")
    path = _path(args.socket)
    from ferryman.cli.limits import raise_descriptor_limit

    raise_descriptor_limit()
    return _tap(path, args) if args.command is None else _beside(path, args)


def _tap(path: str, args: argparse.Namespace) -> int:
    from ferryman.cli.looking import looking_on
    from ferryman.cli.tapping import Tapping
    from ferryman.intercept.tapping import Tap

    with (
        looking_on(args) as looking,
        Tap(path, follow=args.follow, any_user=args.any_user) as tap,
    ):
        return Tapping(
            tap, looking, follow=args.follow, any_user=args.any_user, quiet=args.quiet
        ).run()


def _beside(path: str, args: argparse.Namespace) -> int:
    from ferryman.cli.beside import Beside
    from ferryman.cli.looking import looking_on
    from ferryman.cli.program import CommandFailed

    try:
        with looking_on(args, stdout=False) as looking:  # that is the command's
            return Beside(args.socket, path, args.command, looking, quiet=args.quiet).run()
    except CommandFailed as error:
        complain(error)
        return error.code


def _status(socket: str | None) -> int:
    """0 if anything is tapped, else 1."""
    found = _standing(socket)
    for entry, watched in found:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.since))
        by = f"process {entry.main}, guarded by {entry.guardian}" if watched else "nobody any more"
        result(f"{entry.path}  since {since}  by {by}")
    if not found:
        note("nothing is tapped" if socket is None else f"{socket} is not tapped")
    return 0 if found else 1


def _restore(socket: str | None) -> int:
    found = _standing(socket)
    for entry, watched in found:
        if watched:
            os.kill(entry.guardian, signal.SIGTERM)  # it holds its lock, so it is that process
    deadline = time.monotonic() + _PATIENCE
    while any(watched for _, watched in _standing(socket)):
        if time.monotonic() > deadline:
            raise Unavailable("the guardian does not answer", "ferry tap --status says its number")
        time.sleep(0.02)
    for entry, _ in found:
        result(f"{entry.path} is no longer tapped")
    if socket is not None and not found:
        return _restore_leftover(_path(socket))
    if not found:
        note("nothing is tapped")
    return 0


def _restore_leftover(path: str) -> int:
    from ferryman.intercept.repair import repair_leftover

    outcome = repair_leftover(path)["said"]
    result(f"{path}: {'put back' if outcome == 'restored' else 'its server has stopped'}")
    return 0


def _standing(socket: str | None) -> list[tuple[Entry, bool]]:
    from ferryman.intercept.journal import standing

    path = None if socket is None else _path(socket)
    return [found for found in standing() if path in (None, found[0].path)]


def _path(text: str) -> str:
    """The real path of a socket; raises UserError for what is none."""
    from ferryman.addresses import UnixAddress, parse
    from ferryman.intercept.tapping import real_path

    if os.path.lexists(text):
        return real_path(text)
    try:
        address = parse(text)
    except UserError:
        raise UserError(f"there is no {text}", "ferry tap takes a UNIX socket's path") from None
    if isinstance(address, UnixAddress):
        return real_path(address.path)
    raise _not_a_port(address)


def _not_a_port(address: TcpAddress) -> UserError:
    from ferryman.dataplane.holder import holder_of

    port, other = address.port, address.port + 1 if address.port < 65535 else address.port - 1
    holder = holder_of(address) or "the process that listens there"
    return UserError(
        f"a TCP port cannot be moved aside: {port} stays with {holder}",
        f"point the client at port {other} and run: ferry relay {other} localhost:{port}\n"
        f"  or start the server on port {other} and run: ferry relay {port} localhost:{other}",
    )
