"""What a PostgreSQL server says; pure.

Rows are a body of lines, their values with tabs between. What the server did (``SELECT 3``) comes
after them: the answer is said to begin only then, or when there are many rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ferryman.inspection.decoder import Undecodable
from ferryman.inspection.events import Fields, MessageBegan, MessageData, MessageEnded
from ferryman.inspection.feed import DOWN
from ferryman.inspection.machine import Reader, Report, line
from ferryman.inspection.postgres import values
from ferryman.inspection.postgres.waiting import Waiting

HELD_LIMIT = 16384
"""Bytes of rows that wait for the answer's title."""
_PARAMETERS = 64
_TAGS = 16
_CUT = "the connection ended within it"
_METHODS = {3: "password", 5: "md5", 7: "GSSAPI", 9: "SSPI", 10: "SASL"}
_SILENT = "123ntcGHWVK"  # what only confirms a step


@dataclass(slots=True)
class _Result:
    """The answer that is being given."""

    columns: list[values.Column] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[str, str | int] = field(default_factory=dict)
    rows: int = 0
    held: list[bytes] = field(default_factory=list)
    length: int = 0
    began: bool = False
    failure: str = ""
    size: int = 0
    missed: int = 0


class Answering:
    """The server's messages."""

    def __init__(self, report: Report, waiting: Waiting) -> None:
        self._report, self._waiting = report, waiting
        self._result = _Result()
        self._failed = False  # what follows, up to a Sync, is passed over

    def granted(self, *, granted: bool) -> None:
        """The answer to a wish for encryption."""
        self._result.tags.append("granted" if granted else "refused")
        self._finish()

    def message(self, kind: int, payload: bytes) -> None:
        """One that is whole."""
        reader = Reader(payload)
        match chr(kind):
            case "R":
                self._authentication(reader)
            case "S":
                self._parameter(reader)
            case "T":
                self._columns(payload)
            case "D":
                self._row(values.row(payload, self._result.columns))
            case "C":
                self._completed(line(reader.text()))
            case "I":
                self._completed("empty query")
            case "s":
                self._completed("suspended")
            case "E":
                self._error(values.report(payload))
            case "Z":
                self._ready()
            case "N":
                self._notice(values.report(payload))
            case "A":
                self._notification(reader)
            case letter if letter in _SILENT:
                if letter in "GW":
                    self._waiting.copying()
            case "v":
                self._result.fields.append(("protocol", f"3.{reader.number(4) & 0xFFFF}"))
            case _:
                raise Undecodable("a message that PostgreSQL does not send")

    # --- Start-up, and what may come at any time.

    def _authentication(self, reader: Reader) -> None:
        self._waiting.password = wanted = reader.number(4)
        if wanted in _METHODS:
            method = _METHODS[wanted]
            if wanted == 10:
                method = reader.text().decode(errors="replace")
            self._result.fields.append(("authentication", line(method)))

    def _parameter(self, reader: Reader) -> None:
        name, value = (reader.text().decode(errors="replace") for _ in range(2))
        head = self._waiting.head
        if head is not None and head.kind == "start":
            if len(self._result.fields) < _PARAMETERS:
                self._result.fields.append((name, value))
        else:
            self._report.alone(DOWN, f"{name} = {value}")

    def _notice(self, fields: dict[str, str]) -> None:
        self._report.alone(DOWN, values.headline(fields), fields=values.reported(fields))

    def _notification(self, reader: Reader) -> None:
        reader.number(4)
        channel, payload = reader.text(), reader.text()
        facts = {"channel": line(channel)}
        self._report.alone(DOWN, f"NOTIFY {line(channel)}", body=payload, facts=facts)

    # --- Results.

    def _columns(self, payload: bytes) -> None:
        result = self._result
        result.columns = values.columns(payload)
        head = self._waiting.head
        if head is not None and head.kind in ("query", "execute"):
            self._write("\t".join(column.name for column in result.columns).encode() + b"\n")

    def _row(self, text: str) -> None:
        self._result.rows += 1
        self._write(text.encode() + b"\n")

    def large_row(self, size: int) -> None:
        """One that passes by."""
        self._row(f"(a row of {size} bytes)")

    def copied(self, data: bytes, count: int, missed: int) -> None:
        """Data of a COPY."""
        result = self._result
        result.missed += missed
        if data:
            self._write(data)
        else:
            self._begin()
            result.size += count

    def _write(self, data: bytes) -> None:
        result = self._result
        result.held.append(data)
        result.length += len(data)
        if result.began or result.length >= HELD_LIMIT:
            self._begin()

    def _begin(self, title: str = "", fields: Fields = ()) -> None:
        """Say that the answer begins, if it was not; and what is held."""
        result, head = self._result, self._waiting.head
        number = head.number if head is not None else 0
        data = b"".join(result.held)
        result.held.clear()
        result.length = 0
        result.size += len(data)
        if number and not result.began:
            text = line(title or "rows")
            all_fields = (*fields, *result.fields)
            self._report.say(MessageBegan(number, DOWN, text, all_fields, result.facts))
        if number and data:
            self._report.say(MessageData(number, DOWN, data))
        result.began = True

    def _completed(self, tag: str) -> None:
        head = self._waiting.head
        if len(self._result.tags) < _TAGS:
            self._result.tags.append(tag)
        if head is not None and head.kind in ("execute", "prepare"):
            self._finish()

    def _error(self, fields: dict[str, str]) -> None:
        head = self._waiting.head
        text = line(values.headline(fields))
        fatal = fields.get("V", fields.get("S", "")) in ("FATAL", "PANIC")
        if head is None or head.kind == "sync" or not head.number:
            self._report.alone(DOWN, text, fields=values.reported(fields))
        else:
            if self._result.began:
                self._result.failure = text
            else:
                if not self._result.rows:
                    self._result.held.clear()  # the columns' names alone say nothing
                self._result.facts["error"] = fields.get("C", "")
                self._begin(text, values.reported(fields))
            if head.kind != "query" or fatal:
                self._finish(pop=head.kind != "query")
        self._failed = head is not None and head.kind in ("execute", "prepare")

    def _ready(self) -> None:
        """ReadyForQuery: everything up to a Sync is over."""
        head = self._waiting.head
        if head is not None and head.kind in ("query", "start", "call"):
            if head.kind != "query":
                self._result.tags.append("ready" if head.kind == "start" else "returned")
            self._finish()
        else:
            for asked in self._waiting.ready():
                if asked.kind != "sync" and asked.number:
                    passed = "passed over" if self._failed else "prepared"
                    self._report.say(MessageBegan(asked.number, DOWN, passed))
                    self._report.say(MessageEnded(asked.number, DOWN, 0))
        self._failed = False
        self._result = _Result()

    def _finish(self, *, pop: bool = True) -> None:
        """The answer is whole."""
        result, head = self._result, self._waiting.head
        late, did = result.began, line(", ".join(result.tags))
        self._begin(did or "done")
        facts: dict[str, str | int] = {}
        if result.columns or result.rows:
            facts["rows"] = result.rows
        if late and did:
            facts["tag"] = did
        if head is not None and head.number:
            size, missed = result.size, result.missed
            said = MessageEnded(head.number, DOWN, size, (), facts, missed, result.failure)
            self._report.say(said)
        if pop:
            self._waiting.pop()
        self._result = _Result()

    def ended(self) -> None:
        """Nothing more will be said."""
        head = self._waiting.head
        if head is not None and head.number and (self._result.began or self._result.held):
            self._begin()
            size, missed = self._result.size, self._result.missed
            said = MessageEnded(head.number, DOWN, size, missed=missed, error=_CUT)
            self._report.say(said)
            self._waiting.pop()
            self._result = _Result()
