"""Lets through what ``--only`` and ``--grep`` want, as soon as that is known; pure.

It stands between the sessions and a form. The events of an exchange are held until the filter says
yes or no; a yes lets the rest through as it comes. Of connections that are bytes, and of bytes
where the form wants them, only what is known of the connection can be asked for; ``--grep`` looks
into them piece by piece. Opening and closing go through: the form may leave them out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ferryman.inspection import bodies, feed
from ferryman.inspection.assembly import Assembly
from ferryman.inspection.events import (
    Event,
    MessageBegan,
    MessageData,
    MessageEnded,
    Recognised,
    Undecoded,
)
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.filters import Filter, Known, Verdict, known_of
from ferryman.inspection.session import Decoded, Seen

HELD_LIMIT = 16 << 20
"""Bytes of bodies that wait for a verdict; of more, bodies are not shown."""
GREP_LIMIT = 1 << 20
"""Bytes of each body that are looked through."""


@dataclass(slots=True)
class _Case:
    """An exchange and what is known for or against it."""

    facts: dict[str, str | int]
    fields: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    held: list[Seen] = field(default_factory=list)
    size: int = 0
    found: bool = False
    verdict: Verdict = None


@dataclass(slots=True)
class _Connection:
    facts: dict[str, str | int]
    cases: dict[int, _Case] = field(default_factory=dict)


class Selection:
    """With neither, everything goes through."""

    def __init__(self, only: Filter | None = None, grep: re.Pattern[str] | None = None) -> None:
        self._only = only
        self._grep = grep
        self._assembly = Assembly(GREP_LIMIT if grep else 0)
        self._connections: dict[int, _Connection] = {}
        self._held = 0
        self.body_limit = GREP_LIMIT if grep else 0
        """What it needs of bodies: see ``Sessions(body_limit=…)``."""
        self.dropped = 0
        """Bytes of bodies that there was no room for."""

    def receive(self, seen: Seen) -> list[Seen]:
        """What may be shown now."""
        if (self._only is None and self._grep is None) or isinstance(seen, feed.Noted):
            return [seen]
        connection = self._connections.setdefault(
            seen.connection, _Connection({"connection": seen.connection})
        )
        if isinstance(seen, Decoded):
            return self._event(connection, seen)
        finished = self._assembly.receive(seen)
        out = self._finish(connection, finished)
        if isinstance(seen, feed.Opened):
            connection.facts |= {
                "listener": seen.listener,
                "client": seen.client,
                "endpoint": seen.endpoint,
            }
        elif isinstance(seen, feed.Chunk):
            text = seen.data.decode("latin-1")
            return [seen] if self._wants(connection) and self._contains(text) else []
        elif isinstance(seen, feed.Closed):
            del self._connections[seen.connection]
        return [*out, seen]

    def finish(self, at: int) -> list[Seen]:
        """What is held when nothing more comes."""
        out: list[Seen] = []
        for exchange in self._assembly.finish(at):
            out += self._finish(self._connections[exchange.connection], [exchange])
        return out

    def _event(self, connection: _Connection, seen: Decoded) -> list[Seen]:
        event = seen.event
        case: _Case | None = None
        if isinstance(event, MessageBegan | MessageData | MessageEnded):
            case = connection.cases.get(event.exchange)
            if case is None and isinstance(event, MessageBegan):
                case = connection.cases[event.exchange] = _Case(dict(connection.facts))
        if case is None:
            finished = self._assembly.receive(seen)
            return [*self._finish(connection, finished), *self._about(connection, seen, event)]
        out: list[Seen] = []
        if case.verdict is None:
            self._consider(case, event)
            self._hold(case, seen)
            out = self._let_go(case) if case.verdict else []
        elif case.verdict:
            out = [seen]
        return out + self._finish(connection, self._assembly.receive(seen))

    def _about(self, connection: _Connection, seen: Decoded, event: Event) -> list[Seen]:
        """What is said of a connection rather than of an exchange."""
        if isinstance(event, Recognised):
            connection.facts |= {"protocol": event.protocol, **event.facts}
        elif isinstance(event, Undecoded):
            connection.facts["protocol"] = "opaque"
        else:
            return []
        return [seen]

    def _consider(self, case: _Case, event: Event) -> None:
        if isinstance(event, MessageBegan):
            case.facts |= event.facts
            case.fields.append(event.fields)
            case.found = case.found or self._in_head(event.title, event.fields)
        if self._grep is None or case.found:
            known = Known(case.facts, case.fields, complete=False)
            case.verdict = True if self._only is None else self._only.verdict(known)

    def _hold(self, case: _Case, seen: Decoded) -> None:
        size = len(seen.event.data) if isinstance(seen.event, MessageData) else 0
        if self._held + size > HELD_LIMIT:
            self.dropped += size
            return
        case.held.append(seen)
        case.size += size
        self._held += size

    def _let_go(self, case: _Case) -> list[Seen]:
        held, case.held = case.held, []
        self._held -= case.size
        case.size = 0
        return held

    def _finish(self, connection: _Connection, finished: list[Exchange]) -> list[Seen]:
        """The last word on exchanges that are complete."""
        out: list[Seen] = []
        for exchange in finished:
            case = connection.cases.pop(exchange.number, None)
            if case is None:
                continue
            held = self._let_go(case)
            if case.verdict is None and self.wants(exchange):
                out += held
        return out

    def wants(self, exchange: Exchange) -> bool:
        """Whether a whole exchange is wanted."""
        if self._only is not None and not self._only.verdict(known_of(exchange)):
            return False
        return self._grep is None or any(
            self._in_message(message) for message in (exchange.request, exchange.answer) if message
        )

    def _wants(self, connection: _Connection) -> bool:
        return self._only is None or bool(self._only.verdict(Known(connection.facts)))

    def _contains(self, text: str) -> bool:
        return self._grep is None or self._grep.search(text) is not None

    def _in_head(self, title: str, fields: tuple[tuple[str, str], ...]) -> bool:
        if self._grep is None:
            return True
        lines = [title, *(f"{name}: {value}" for name, value in fields)]
        return any(map(self._contains, lines))

    def _in_message(self, message: Message) -> bool:
        if self._in_head(message.title, message.fields + message.trailers):
            return True
        data = bodies.content(message, GREP_LIMIT).data
        return self._contains(data.decode(errors="replace"))
