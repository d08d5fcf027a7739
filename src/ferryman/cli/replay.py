"""``ferry replay FILE --to ADDRESS``: says what was said again, and compares the answers.

HTTP requests are said one after another, each once the one before was answered, on a connection for
each that there was; ``again.requests`` makes them. Of other protocols the client's bytes are said,
connection by connection (``rawreplay``). What the server answers is decoded as it would be live.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque

from ferryman import addresses
from ferryman.addresses import Address, TcpAddress
from ferryman.cli.conversation import Conversation
from ferryman.cli.kept import Kept, selected
from ferryman.cli.output import YELLOW, UsageError, note, result
from ferryman.cli.rawreplay import RawReplay
from ferryman.cli.seeing import add_seeing_arguments, seeing_of
from ferryman.errors import UserError
from ferryman.inspection import feed
from ferryman.inspection.again.differences import differences
from ferryman.inspection.again.requests import Unsayable, is_http, saying
from ferryman.inspection.assembly import Assembly
from ferryman.inspection.events import Fields
from ferryman.inspection.exchanges import Exchange
from ferryman.inspection.filters import Filter, grep
from ferryman.inspection.forms.words import exchange_id
from ferryman.inspection.selection import Selection
from ferryman.inspection.sessions import Sessions
from ferryman.inspector.files import Files
from ferryman.inspector.keeping import keepings
from ferryman.inspector.pipeline import Pipeline
from ferryman.inspector.process import Output
from ferryman.inspector.seeing import BODY_LIMIT, Seeing

NAME = "replay"
HELP = """\
Say again what -w kept, and compare the answers.

Sends the requests of FILE (a .ferry or .har) to ADDRESS, in their order, and shows the answers.
Headers stay, but Host and those of the connection. Of Redis and other protocols the client's
bytes are sent, connection by connection. What was redacted when it was kept is left out, and
said; --header gives it anew. Bodies that were cut cannot be said again."""
EXAMPLES = """\
examples:
  ferry replay day.ferry --to localhost:8081
  ferry replay day.ferry --to localhost:8081 --diff    what is answered otherwise now; exit code 1
  ferry replay day.ferry --to 8081 --only 'method=GET path~^/v1/' --diff --ignore etag
  ferry replay day.ferry --to /run/docker.sock --header 'Authorization: Bearer …'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    parser.add_argument("file", metavar="FILE", help="a .ferry or .har")
    parser.add_argument("--to", metavar="ADDRESS", required=True, help="the server")
    parser.add_argument("--diff", action="store_true", help="compare with what was answered then")
    parser.add_argument(
        "--ignore", metavar="HEADER", action="append", default=[], help="do not compare it"
    )
    parser.add_argument(
        "--header", metavar="LINE", action="append", default=[], help="such as 'Cookie: a=b'"
    )
    parser.add_argument(
        "--timeout", metavar="TIME", default="10s", help="how long to wait for an answer (10s)"
    )
    add_seeing_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Say it; 1 if something was not answered, or otherwise than before."""
    from ferryman.api.durations import parse_duration

    address = addresses.parse(args.to)
    if isinstance(address, TcpAddress) and address.port == 0:
        raise UserError("port 0 is no server", "name the port that the server listens on")
    timeout = parse_duration(args.timeout)
    if timeout <= 0:
        raise UsageError("--timeout must be more than nothing")
    given = tuple(map(_header, args.header))
    seeing = seeing_of(args)
    kept = Kept(args.file)
    try:
        server = _Server(kept, address, seeing, timeout, quiet=args.diff and not args.verbose)
        ignore = frozenset(name.lower() for name in args.ignore)
        return _Replay(kept, server, given, seeing, diff=args.diff, ignore=ignore).run()
    finally:
        kept.close()


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"not a header: {line!r}", "write 'Name: value'")
    return name.strip(), value.strip()


class _Server:
    """The server that is told: what goes there and comes back is decoded, shown and kept."""

    def __init__(
        self, kept: Kept, address: Address, seeing: Seeing, timeout: float, *, quiet: bool
    ) -> None:
        self.heard: dict[int, deque[Exchange]] = {}
        self._address = address
        self._timeout = timeout
        self._sessions = Sessions(redact=seeing.redact, body_limit=BODY_LIMIT)
        self._assembly = Assembly(BODY_LIMIT)
        self._out = Output(sys.stdout.fileno())
        files = Files.make(seeing.files, force=seeing.force)
        keeping = keepings(files, started=kept.header.started, redacted=seeing.redact)
        self._pipeline = Pipeline(_unselected(seeing), None if quiet else self._out.add, keeping)
        self.host = str(address) if isinstance(address, TcpAddress) and address.host else ""
        if isinstance(address, TcpAddress) and not address.host:
            self.host = f"localhost:{address.port}"

    def converse(self, number: int) -> Conversation:
        """Connect; raises Unavailable."""
        self.heard.setdefault(number, deque()).clear()
        return Conversation(number, self._address, self._tell, self._timeout)

    def flush(self) -> None:
        """Show what there is."""
        self._out.flush()
        for failure in self._pipeline.flush():
            note(failure, YELLOW)

    def finish(self) -> None:
        """Nothing more will be said."""
        self._pipeline.finish()
        self.flush()

    def _tell(self, record: feed.Record) -> None:
        self._pipeline.receive(record)
        for seen in self._sessions.receive(record):
            for exchange in self._assembly.receive(seen):
                self.heard[exchange.connection].append(exchange)


class _Replay:
    """One file, said again."""

    def __init__(
        self,
        kept: Kept,
        server: _Server,
        given: Fields,
        seeing: Seeing,
        *,
        diff: bool,
        ignore: frozenset[str],
    ) -> None:
        self._kept = kept
        self._server = server
        self._given = given
        self._seeing = seeing
        self._diff = diff
        self._ignore = ignore
        only = Filter(seeing.only) if seeing.only else None
        self._selection = Selection(only, grep(seeing.grep) if seeing.grep else None)
        self._open: dict[int, Conversation] = {}
        self._lacking: set[str] = set()
        self._said = self._different = self._unanswered = self._left_out = 0

    def run(self) -> int:
        """All of it, then how it went."""
        try:
            if self._kept.is_har:
                for exchange in self._kept.exchanges(redact=False):
                    self._exchange(exchange)
            else:
                self._records()
        finally:
            for conversation in self._open.values():
                conversation.close()
            self._server.finish()
        if self._kept.damage:
            note(f"{self._kept.path}: {self._kept.damage}", YELLOW)
        counts = [f"{self._said} said again"]
        if self._diff:
            same = self._said - self._different - self._unanswered
            counts += [f"{same} answered as before", f"{self._different} otherwise"]
        counts += [f"{self._unanswered} not answered"] if self._unanswered else []
        counts += [f"{self._left_out} left out"] if self._left_out else []
        note(", ".join(counts))
        return 1 if self._different or self._unanswered else 0

    def _records(self) -> None:
        redacted = self._kept.header.redacted
        raw: dict[int, RawReplay] = {}
        wanted = self._wanted_connections()
        sessions = Sessions(redact=redacted, raw=True, body_limit=BODY_LIMIT)
        assembly, at = Assembly(BODY_LIMIT), 0
        for record in self._kept.records():
            at = record.at
            for seen in sessions.receive(record):
                number = seen.connection
                if wanted is None or number in wanted:
                    if number not in raw:
                        raw[number] = RawReplay(number, self._server, self._report)
                    raw[number].take(seen)
                for exchange in assembly.receive(seen):
                    self._recorded(exchange, raw)
                if isinstance(seen, feed.Closed):
                    raw.pop(number, None)
                    self._close(number)
        for exchange in assembly.finish(at):
            self._recorded(exchange, raw)
        for replay in raw.values():
            replay.finish()

    def _recorded(self, exchange: Exchange, raw: dict[int, RawReplay]) -> None:
        if is_http(exchange):
            self._exchange(exchange)
        elif exchange.connection in raw:
            raw[exchange.connection].answered(exchange)

    def _wanted_connections(self) -> set[int] | None:
        """Of bytes, whole connections are said in which something is wanted."""
        seeing = self._seeing
        if not (seeing.only or seeing.grep) or not self._kept.seekable:
            return None
        return set(selected(self._kept.records(), seeing.only, seeing.grep, redact=seeing.redact))

    def _exchange(self, exchange: Exchange) -> None:
        """Say one request again."""
        if not is_http(exchange) or not self._selection.wants(exchange):
            return
        try:
            said = saying(exchange, self._server.host, self._given)
        except Unsayable as error:
            self._left_out += 1
            note(f"{_name(exchange)} is left out: {error.message}", YELLOW)
            return
        self._tell_lacking(said.lacking)
        again = self._ask(exchange.connection, said.data)
        self._report(exchange, again)
        self._server.flush()

    def _ask(self, number: int, data: bytes) -> Exchange | None:
        """Say it, and return what is answered; None if nothing is."""
        used = number in self._open
        heard = self._attempt(number, data)
        if heard is None and used and number not in self._open:
            heard = self._attempt(number, data)  # the server had ended an idle connection
        return heard

    def _attempt(self, number: int, data: bytes) -> Exchange | None:
        conversation = self._open.get(number)
        if conversation is None:
            conversation = self._open[number] = self._server.converse(number)
        heard, before = self._server.heard[number], conversation.received
        conversation.say(data)
        conversation.listen(lambda: bool(heard))
        again = heard.popleft() if heard else None
        answered = _is_answered(again)
        if not answered or conversation.over:  # nobody knows what the next bytes would answer
            self._close(number)
        if conversation.received > before or answered:
            return again
        return None

    def _close(self, number: int) -> None:
        if conversation := self._open.pop(number, None):
            conversation.close()

    def _tell_lacking(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name.lower() in self._lacking:
                continue
            self._lacking.add(name.lower())
            if name == "the query":
                note("a secret in a query was redacted when it was kept: said as it is", YELLOW)
            else:
                how = f"give it with --header '{name}: …'"
                note(f"{name} was redacted when it was kept: said without it; {how}", YELLOW)

    def _report(self, recorded: Exchange, again: Exchange | None) -> None:
        """Count it, and say what is different."""
        self._said += 1
        if again is None or (_is_answered(recorded) and not _is_answered(again)):
            self._unanswered += 1
            note(f"{_name(recorded)} was not answered", YELLOW)
            return
        if not self._diff:
            return
        lines = differences(recorded, again, self._ignore)
        if lines:
            self._different += 1
            result("\n".join([_name(recorded), *(f"    {line}" for line in lines)]))


def _is_answered(exchange: Exchange | None) -> bool:
    """Whether an answer began at all; a decoder says of one that never did that it ended."""
    return exchange is not None and exchange.answer is not None and bool(exchange.answer.title)


def _name(exchange: Exchange) -> str:
    number = exchange_id(exchange.connection, exchange.number)
    return f"{number} {exchange.request.title if exchange.request else ''}".rstrip()


def _unselected(seeing: Seeing) -> Seeing:
    """What was selected is what is said; all of that is shown."""
    return Seeing.from_json({**seeing.as_json(), "only": "", "grep": ""})
