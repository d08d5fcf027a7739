"""What a PostgreSQL client says; pure.

A query is an exchange; so is each Execute, with the statement that was parsed and the parameters
that were bound for it, and a statement that is only prepared.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from ferryman.inspection.decoder import Undecodable
from ferryman.inspection.events import Fields, MessageBegan, MessageData, MessageEnded
from ferryman.inspection.feed import UP
from ferryman.inspection.machine import Reader, Report, Window, line
from ferryman.inspection.postgres import sql, values
from ferryman.inspection.postgres.waiting import Kind, Waiting

_REMEMBERED = 256  # statements and portals
_TEXT_LIMIT = 8192  # bytes of a prepared statement that are remembered
_PARAMETERS = 64  # that are told of
_CUT = "the connection ended within it"
_SASL_FIRST = 10
_Known = TypeVar("_Known")


@dataclass(frozen=True, slots=True)
class _Statement:
    text: bytes = b""
    kinds: tuple[int, ...] = ()


@dataclass(slots=True)
class _Exchange:
    number: int
    size: int = 0
    missed: int = 0


class Asking:
    """The client's messages."""

    def __init__(self, window: Window, report: Report, waiting: Waiting) -> None:
        self._window, self._report, self._waiting = window, report, waiting
        self._statements: OrderedDict[bytes, _Statement] = OrderedDict()
        self._portals: OrderedDict[bytes, tuple[_Statement, Fields]] = OrderedDict()
        self._prepared = b""  # what was only parsed or described since the last Execute
        self._kind = 0
        self._part: bytes | None = None  # of the statement: None if its beginning is still to come
        self._exchange: _Exchange | None = None  # the query that is being said
        self._copy: _Exchange | None = None

    # --- Before the first query.

    def wish(self, name: str) -> None:
        """For encryption."""
        self._whole("wish", name)

    def start(self, payload: bytes) -> None:
        """StartupMessage."""
        reader = Reader(payload)
        fields = []
        while reader.rest not in (b"", b"\0"):
            pair = reader.text(), reader.text()
            fields.append(tuple(part.decode(errors="replace") for part in pair))
        pairs = {name: value for name, value in fields if name in ("user", "database")}
        words = [f"{name}={value}" for name, value in pairs.items()]
        shown = tuple((name, value) for name, value in fields)
        facts = {name: line(value) for name, value in pairs.items()}
        self._whole("start", " ".join(["startup", *words]), shown, facts)

    # --- Statements: Query and Parse.

    def begin(self, kind: int) -> None:
        """A statement begins."""
        self._kind, self._part = kind, None

    def text(self, part: bytes, place: int, *, last: bool) -> int:
        """A part of it, at that offset; returns how much of it is done with."""
        spans, done = sql.passwords(part, last=last)
        for start, end in spans:
            self._window.secret(place + start, place + end)
        told = sql.without(part[:done], spans) if self._report.redact else part[:done]
        first, self._part = self._part is None, told
        if self._kind == 0x51:
            self._query(told.removesuffix(b"\0") if last else told, first=first, last=last)
        elif first:
            self._parse(told)
        return done

    def _query(self, told: bytes, *, first: bool, last: bool) -> None:
        if first:
            number = self._waiting.number()
            self._waiting.add("query", number)
            self._exchange = _Exchange(number)
            title = sql.headline(told)
            self._say_began(number, title, (), {"command": sql.command(told)})
            if last and _shows_all(title, told):
                told = b""
        exchange = self._exchange
        assert exchange is not None
        self._say_data(exchange, told, len(told), 0)
        if last:
            self._say_ended(exchange)
            self._exchange = None

    def _parse(self, told: bytes) -> None:
        reader = Reader(told)
        name = reader.text()
        text, found, rest = reader.rest.partition(b"\0")
        numbers = Reader(rest)
        count = numbers.number(2) if found else 0
        kinds = tuple(numbers.number(4) for _ in range(min(count, _PARAMETERS)))
        _remember(self._statements, name, _Statement(text[:_TEXT_LIMIT], kinds))
        self._prepared = b"prepare " + (name + b": " if name else b"") + text[:_TEXT_LIMIT]

    # --- The other messages.

    def message(self, kind: int, payload: bytes, place: int) -> None:
        """One that is whole, or a Bind's beginning."""
        reader = Reader(payload)
        match chr(kind):
            case "p":
                self._password(payload, place)
            case "B":
                portal, name = reader.text(), reader.text()
                statement = self._statements.get(name, _Statement(b"execute " + name))
                pairs = tuple(values.parameters(payload, statement.kinds))[:_PARAMETERS]
                _remember(self._portals, portal, (statement, pairs))
            case "E":
                self._execute(reader.text())
            case "D":
                if reader.take(1) == b"S" and not self._prepared:
                    self._prepared = b"describe " + reader.text()
            case "S":
                self._sync()
            case "C":
                known = self._statements if reader.take(1) == b"S" else self._portals
                known.pop(reader.text(), None)
            case "F":
                self._whole("call", f"function call {reader.number(4)}")
            case "c" | "f":
                self._copy_ends(line(payload.removesuffix(b"\0")) if kind == 0x66 else "")
            case "H" | "X":
                pass
            case _:
                raise Undecodable("a message that PostgreSQL's clients do not send")

    def _password(self, payload: bytes, place: int) -> None:
        """Hide it, so that the message stays well-formed."""
        start, end = 0, len(payload)
        if self._waiting.password == _SASL_FIRST and b"\0" in payload[:64]:
            start = min(end, payload.index(b"\0") + 5)
        elif payload.endswith(b"\0"):
            end -= 1
        self._window.secret(place + start, place + end)

    def _execute(self, portal: bytes) -> None:
        statement, pairs = self._portals.get(portal, (_Statement(b"execute " + portal), ()))
        self._prepared = b""
        title = sql.headline(statement.text)
        text = b"" if _shows_all(title, statement.text) else statement.text
        self._whole("execute", title, pairs, {"command": sql.command(statement.text)}, text)

    def _sync(self) -> None:
        if self._prepared:
            text = self._prepared.split(b" ", 1)[1]
            facts = {"command": self._prepared.split(b" ", 1)[0].decode().upper()}
            title = sql.headline(self._prepared)
            body = b"" if _shows_all(title, self._prepared) else text
            self._whole("prepare", title, (), facts, body)
            self._prepared = b""
        self._waiting.add("sync")

    def copied(self, data: bytes, count: int, missed: int) -> None:
        """Data of a COPY."""
        if self._copy is None:
            self._copy = _Exchange(self._report.number())
            began = MessageBegan(self._copy.number, UP, "COPY data", (), {}, alone=True)
            self._report.say(began)
        self._say_data(self._copy, data, count, missed)

    def _copy_ends(self, failure: str) -> None:
        if self._copy is not None:
            self._say_ended(self._copy, failure)
            self._copy = None

    def ended(self) -> None:
        """Nothing more will be said."""
        self._copy_ends(_CUT)
        if self._exchange is not None:
            self._say_ended(self._exchange, _CUT)
            self._exchange = None

    # --- Telling.

    def _whole(
        self,
        kind: Kind,
        title: str,
        fields: Fields = (),
        facts: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        number = self._waiting.number()
        self._waiting.add(kind, number)
        exchange = _Exchange(number)
        self._say_began(number, line(title), fields, facts or {})
        self._say_data(exchange, body, len(body), 0)
        self._say_ended(exchange)

    def _say_began(self, number: int, title: str, fields: Fields, facts: dict[str, str]) -> None:
        if number:
            told = {name: fact for name, fact in facts.items() if fact}
            self._report.say(MessageBegan(number, UP, title, fields, told))

    def _say_data(self, exchange: _Exchange, data: bytes, count: int, missed: int) -> None:
        exchange.size += count
        exchange.missed += missed
        if data and exchange.number:
            self._report.say(MessageData(exchange.number, UP, data))

    def _say_ended(self, exchange: _Exchange, error: str = "") -> None:
        if exchange.number:
            missed = exchange.missed
            said = MessageEnded(exchange.number, UP, exchange.size, missed=missed, error=error)
            self._report.say(said)


def _shows_all(title: str, text: bytes) -> bool:
    """Whether a title leaves nothing out."""
    return title.encode() == text.strip().rstrip(b";").rstrip()


def _remember(known: OrderedDict[bytes, _Known], name: bytes, what: _Known) -> None:
    known.pop(name, None)
    known[name] = what
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
