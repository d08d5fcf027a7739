"""For people: a line per request and answer, and with -v their heads and bodies as well; pure.

::

    #1 127.0.0.1:51234 → localhost:8081
    #1 → GET /v1/users  0 B
    #1 ← 200 application/json  1.2 kB  14 ms
    #1 closed: 75 B up, 1.4 kB down, 15 ms

Nothing that a peer sent reaches the terminal but as visible characters.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ferryman.inspection import feed
from ferryman.inspection.assembly import is_interim
from ferryman.inspection.bodies import field as field_of
from ferryman.inspection.bodies import text
from ferryman.inspection.events import (
    Event,
    Facts,
    MessageBegan,
    MessageData,
    MessageEnded,
    Recognised,
    Undecoded,
    is_opaque,
)
from ferryman.inspection.feed import UP, Direction
from ferryman.inspection.forms import Options, words
from ferryman.inspection.forms.hexdump import rows
from ferryman.inspection.forms.notes import Notes
from ferryman.inspection.forms.showing import Showing, lines_of
from ferryman.inspection.session import Decoded, Seen
from ferryman.inspection.titles import printable, title

_LIMIT = 4096  # unfinished messages of one connection
_STREAMS = ("text/event-stream", "application/vnd.docker.", "multipart/x-mixed-replace")
_INDENT = "    "


def form(options: Options) -> Pretty:
    """For ``make``."""
    return Pretty(options)


@dataclass(slots=True)
class _Message:
    """One that has begun and not ended."""

    began: MessageBegan
    at: int
    told: bool = False  # its line is written
    showing: Showing | None = None


@dataclass(slots=True)
class _Connection:
    opaque: bool = False
    messages: dict[tuple[int, Direction], _Message] = field(default_factory=dict)
    asked: dict[int, int] = field(default_factory=dict)  # when a request began


class Pretty:
    """A Form."""

    raw = False

    def __init__(self, options: Options) -> None:
        self._verbose = options.verbose
        self.body_limit = options.max_body if options.verbose else 0
        self._paint = words.Paint(options.colour)
        self._notes = Notes(options)
        self._connections: dict[int, _Connection] = {}
        self._last: object = None  # whose lines were written last

    def write(self, seen: Seen) -> bytes:
        """Whole lines."""
        if isinstance(seen, feed.Chunk):
            lines = self._chunk(seen)
        elif isinstance(seen, Decoded) and not isinstance(seen.event, Recognised | Undecoded):
            lines = self._event(seen, seen.event)
        else:
            self._note(seen)
            return self._notes.write(seen)
        return "".join(f"{line}\n" for line in lines).encode(errors="replace")

    def finish(self) -> bytes:
        """Nothing is held back."""
        return b""

    def _note(self, seen: Seen) -> None:
        if isinstance(seen, feed.Closed):
            self._connections.pop(seen.connection, None)
        elif isinstance(seen, Decoded):
            connection = self._connections.setdefault(seen.connection, _Connection())
            event = seen.event
            connection.opaque = is_opaque(event)
        if not isinstance(seen, feed.Ended | feed.Skipped):
            self._last = None

    # -- messages --

    def _event(self, seen: Decoded, event: Event) -> list[str]:
        connection = self._connections.setdefault(seen.connection, _Connection())
        match event:
            case MessageBegan():
                return self._began(connection, seen, event)
            case MessageData():
                return self._data(connection, seen, event)
            case MessageEnded():
                return self._ended(connection, seen, event)
        return []

    def _began(self, connection: _Connection, seen: Decoded, event: MessageBegan) -> list[str]:
        if len(connection.messages) >= _LIMIT or len(connection.asked) >= _LIMIT:
            connection.messages.clear()
            connection.asked.clear()
        message = _Message(event, seen.at)
        connection.messages[event.exchange, event.direction] = message
        lines = []
        if event.direction == UP and not event.alone:
            connection.asked[event.exchange] = seen.at
        else:
            lines = self._late(connection, seen, event)
        kind = str(event.facts.get("type", ""))
        if not self._verbose:
            if kind.startswith(_STREAMS):
                message.told = True
                lines.append(self._line(seen.connection, message.began, "…"))
            return lines
        message.told = True
        message.showing = Showing(
            field_of(event.fields, "content-type"),
            field_of(event.fields, "content-encoding"),
            self.body_limit,
        )
        lines.append(self._line(seen.connection, message.began, ""))
        self._last = (seen.connection, event.exchange, event.direction)
        return lines + [
            f"{_INDENT}{self._paint(printable(name), 'dim')}: {printable(value)}"
            for name, value in event.fields
        ]

    def _late(self, connection: _Connection, seen: Decoded, event: MessageBegan) -> list[str]:
        """A request that is not whole when its answer begins has its line now."""
        request = connection.messages.get((event.exchange, UP))
        if request is None or request.told or event.direction == UP:
            return []
        request.told = True
        return [self._line(seen.connection, request.began, "…")]

    def _data(self, connection: _Connection, seen: Decoded, event: MessageData) -> list[str]:
        message = connection.messages.get((event.exchange, event.direction))
        if message is None or message.showing is None:
            return []
        return self._body(seen.connection, event, message.showing.feed(event.data))

    def _body(
        self, connection: int, event: MessageData | MessageEnded, lines: list[str]
    ) -> list[str]:
        """Lines of a body, with whose it is if others spoke in between."""
        whose = (connection, event.exchange, event.direction)
        if not lines:
            return []
        head = [] if whose == self._last else [f"{self._mark(*whose)} …"]
        self._last = whose
        return head + [_INDENT + line for line in lines]

    def _ended(self, connection: _Connection, seen: Decoded, event: MessageEnded) -> list[str]:
        message = connection.messages.pop((event.exchange, event.direction), None)
        parts = [words.size(event.size)]
        if event.direction != UP or (message and message.began.alone):
            interim = message is not None and is_interim(message.began)
            asked = connection.asked.get(event.exchange)
            if asked is not None and not interim:
                del connection.asked[event.exchange]
                parts.append(words.duration(seen.at - asked))
        parts += [f"{name}={title(str(fact))}" for name, fact in event.facts.items()]
        if event.missed:
            parts.append(self._paint(f"{words.size(event.missed)} not seen", "yellow"))
        if event.error:
            parts.append(self._paint(title(event.error), "red"))
        rest = "  ".join(parts)
        mark = self._mark(seen.connection, event.exchange, event.direction)
        if message is None:
            return [f"{mark} {rest if event.size else parts[-1]}"]
        if message.showing is None:
            return [
                f"{mark} {rest}"
                if message.told
                else self._line(seen.connection, message.began, rest)
            ]
        lines = self._body(seen.connection, event, message.showing.end(event.size))
        lines += [
            f"{_INDENT}{self._paint(printable(name), 'dim')}: {printable(value)}"
            for name, value in event.trailers
        ]
        quiet = event.direction == UP and not event.size and len(parts) == 1
        return lines if quiet else [*lines, f"{mark} {self._paint(rest, 'dim')}"]

    def _line(self, connection: int, began: MessageBegan, rest: str) -> str:
        mark = self._mark(connection, began.exchange, began.direction)
        text = title(began.title)
        status = began.facts.get("status")
        if isinstance(status, int):
            text = self._paint(text, words.status_colour(status))
        else:
            text = self._paint(text, "bold" if began.direction == UP else "")
        if began.direction != UP and (kind := _kind(began.facts)):
            text = f"{text} {kind}"
        return f"{mark} {text}  {rest}" if rest else f"{mark} {text}"

    def _mark(self, connection: int, exchange: int, direction: Direction) -> str:
        number = words.exchange_id(connection, exchange)
        colour = words.direction_colour(direction)
        return self._paint(f"{number} {words.arrow(direction)}", colour)

    # -- bytes --

    def _chunk(self, chunk: feed.Chunk) -> list[str]:
        """The bytes of an opaque connection; of others the messages were shown."""
        connection = self._connections.get(chunk.connection)
        if not self._verbose or connection is None or not connection.opaque:
            return []
        mark = self._mark(chunk.connection, 1, chunk.direction)
        shown = chunk.data[: self.body_limit]
        letters = text(shown, "")
        readable = letters is not None and letters.isascii() and b"\x1b" not in shown
        lines = lines_of(letters or "") if readable else list(rows(shown))
        if len(shown) < len(chunk.data):
            lines.append(f"… {len(chunk.data) - len(shown)} more bytes")
        self._last = None
        head = f"{mark} {words.size(len(chunk.data))}"
        return [head, *(_INDENT + line for line in lines)]


def _kind(facts: Facts) -> str:
    return title(str(facts.get("type", "")))
