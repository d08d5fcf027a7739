"""``ferry socat [OPTION…] A B``: socat's command line on our data plane.

``socat_words`` reads the options, ``addresses.socat`` the addresses, ``dumping`` writes the dumps.
As socat it says nothing unless asked to, writes its log in socat's form, and waits half a second
after the first end (-t). `ferry relay` is the same with manners.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ferryman.addresses import socat as grammar
from ferryman.addresses import two
from ferryman.cli import socat_words
from ferryman.cli.limits import raise_descriptor_limit
from ferryman.cli.output import UsageError
from ferryman.cli.socat_words import Words
from ferryman.dataplane.contract import (
    Bind,
    Closed,
    DialFailed,
    Endpoint,
    Event,
    Exhausted,
    NotBound,
    Opened,
    Policy,
)
from ferryman.dataplane.engine import Engine
from ferryman.dataplane.loop import Loop
from ferryman.errors import UserError

if TYPE_CHECKING:
    from types import FrameType

    from ferryman.addresses.specs import Spec

NAME = "socat"
HELP = """\
Run a socat command line, as it is.

Addresses are socat's (TCP-LISTEN:8080,reuseaddr,fork TCP:localhost:8081), and dumps (-v, -x) are
socat 1.7.4.4's to the byte, but for blocks that are always whole."""
EXAMPLES = """\
options:
  -v  -x         dump what is carried: as text, in hexadecimal, or both
  -u  -U         one direction only: from the first address to the second, or back
  -t SECONDS     after the first end, wait so long for the other direction (default: 0.5)
  -T SECONDS     end after so long a silence
  -b BYTES       the size of a block (default: 8192)
  -d             more of the log, up to three times
  -lf FILE  -lu  -lh  -lp NAME    the log: into a file, with microseconds, host, program's name

examples:
  ferry socat -v TCP-LISTEN:8080,reuseaddr,fork TCP:localhost:8081
  echo PING | ferry socat -t 2 - TCP:localhost:6379
  ferry socat -x UNIX-LISTEN:/tmp/x.sock,fork UNIX-CONNECT:/run/docker.sock"""

_NAME = "socat"
_SIGNALLED = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb; socat's options are read by ``socat_words``."""
    parser.usage = "ferry socat [OPTION…] A B"
    parser.add_argument("words", nargs="*", metavar="A B", help="two addresses as socat has them")


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Options as socat takes them."""
    said = socat_words.read(words)
    if said.help:
        return parser.parse_args(["--help"])
    try:
        addresses = two(said.addresses)
        parsed = [grammar.parse(address) for address in addresses]
    except UserError as error:
        raise UsageError(error.message, error.hint) from error
    return argparse.Namespace(said=said, addresses=parsed)


def run(args: argparse.Namespace) -> int:
    """Carry until a signal says stop, or until the one connection has ended; socat's exit codes."""
    raise_descriptor_limit()
    first, second = args.addresses
    log = _Log(args.said)
    try:
        return _Socat(first, second, args.said, log).run()
    finally:
        log.close()


class _Log:
    """Lines in socat's form: ``2026/11/23 02:31:03 socat[4711] E message``."""

    def __init__(self, said: Words) -> None:
        self._said = said
        self._levels = "EWN" if said.debug > 1 else "EW"
        self._file = 2
        if said.log:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._file = os.open(said.log, flags, 0o600)
            except OSError as error:
                raise UserError(f"cannot write {said.log}: {error.strerror}") from error

    def __call__(self, level: str, message: str) -> None:
        if level not in self._levels:
            return
        now = datetime.now()
        when = now.strftime("%Y/%m/%d %H:%M:%S")
        fraction = f".{now.microsecond:06d}" if self._said.microseconds else ""
        host = f" {socket.gethostname()}" if self._said.host else ""
        line = f"{when}{fraction}{host} {self._said.program}[{os.getpid()}] {level} {message}\n"
        os.write(self._file, line.encode(errors="replace"))

    def close(self) -> None:
        if self._file != 2:
            os.close(self._file)


class _Socat:
    """One command line at work."""

    def __init__(self, first: Spec, second: Spec, said: Words, log: _Log) -> None:
        self._first = first
        self._second = second
        self._said = said
        self._log = log
        self._loop = Loop()
        self._engine = Engine(self._loop, self._tell)
        self._code = 0

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._signalled)
        said = self._said
        dumps = said.text or said.hexed
        if dumps:
            from ferryman.cli.dumping import Dump
            from ferryman.inspection.forms.socat import Socat

            form = Socat(text=said.text, hexed=said.hexed, block=said.block)
            self._engine.watch_with(Dump(form))
        policy = Policy(
            hold=0,
            observe="Full" if dumps else "Off",
            idle=said.idle,
            linger=said.linger,
            oneway=said.oneway,
        )
        self._engine.policy(_NAME, policy, 0)
        self._engine.endpoints(_NAME, [Endpoint(str(self._second), self._second)], 0)
        bind = Bind(self._first, tag=_NAME)
        bound = self._engine.apply({bind: _NAME})[bind]
        if isinstance(bound, NotBound):
            self._log("E", str(bound))
            self._code = 1
            self._engine.stop(0, self._loop.stop)
        elif hasattr(self._first, "listen"):
            self._log("N", f"listening on {bound.address}")
        self._loop.run()
        self._loop.close()
        return self._code

    def _signalled(self, number: int, _: FrameType | None) -> None:
        self._code = _SIGNALLED + number
        self._loop.call_threadsafe(lambda: self._engine.stop(0, self._loop.stop))

    def _tell(self, event: Event) -> None:
        match event:
            case Exhausted():
                self._engine.stop(0, self._loop.stop)
            case DialFailed():
                self._log("E", event.message)
                if not _forks(self._first):
                    self._code = 1
            case Opened():
                self._log("N", f"accepting connection from {event.client}")
            case Closed():
                self._log("N", f"exiting: {event.up} bytes up, {event.down} down")


def _forks(address: Spec) -> bool:
    listen = getattr(address, "listen", None)
    return bool(listen is not None and listen.fork)
