"""Events of many connections put together into exchanges; pure.

Of each body no more than ``body_limit`` bytes are kept, and no more than ``TOTAL_LIMIT`` of all
that are not finished; what is left out is seen by ``Message.whole`` and counted in ``dropped``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ferryman.inspection import feed
from ferryman.inspection.events import (
    Facts,
    Fields,
    MessageBegan,
    MessageData,
    MessageEnded,
    Recognised,
    Undecoded,
)
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.feed import DOWN, UP
from ferryman.inspection.session import Decoded, Seen

TOTAL_LIMIT = 64 << 20
OPEN_LIMIT = 2048
"""Unfinished exchanges of one connection."""

_CUT_OFF = "cut off"


@dataclass(slots=True)
class _Part:
    """One side of an exchange, as far as it has come."""

    title: str
    began: int
    fields: Fields = ()
    facts: Facts = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    message: Message | None = None  # when it has ended

    def end(self, at: int, ended: MessageEnded) -> None:
        self.message = Message(
            title=self.title,
            began=self.began,
            ended=at,
            fields=self.fields,
            facts={**self.facts, **ended.facts} if ended.facts else self.facts,
            body=bytes(self.body),
            size=ended.size,
            trailers=ended.trailers,
            missed=ended.missed,
            error=ended.error,
        )


@dataclass(slots=True)
class _Open:
    """An exchange that is not finished."""

    alone: bool = False
    interim: bool = False  # the present answer will be followed by another one
    request: _Part | None = None
    answer: _Part | None = None


@dataclass(slots=True)
class _Connection:
    listener: str = ""
    client: str = ""
    endpoint: str = ""
    protocol: str = ""
    open: dict[int, _Open] = field(default_factory=dict)


class Assembly:
    """Feed it what leaves the sessions."""

    def __init__(self, body_limit: int = 1 << 20) -> None:
        self._body_limit = body_limit
        self._connections: dict[int, _Connection] = {}
        self._kept = 0
        self.dropped = 0
        """Bytes of bodies, within their limit, for which there was no room; exchanges that could
        not be followed count as one.
        """

    def receive(self, seen: Seen) -> list[Exchange]:
        """The exchanges that this finishes."""
        if isinstance(seen, Decoded):
            connection = self._connections.setdefault(seen.connection, _Connection())
            return self._event(connection, seen)
        if isinstance(seen, feed.Opened):
            connection = self._connections.setdefault(seen.connection, _Connection())
            connection.listener, connection.client = seen.listener, seen.client
            connection.endpoint = seen.endpoint
        elif isinstance(seen, feed.Closed):
            gone = self._connections.pop(seen.connection, None)
            return self._cut(seen.connection, gone, seen.at, seen.reset) if gone else []
        return []

    def finish(self, at: int) -> list[Exchange]:
        """Those that are unfinished when nothing more comes."""
        connections, self._connections = self._connections, {}
        return [
            exchange
            for number, connection in connections.items()
            for exchange in self._cut(number, connection, at, "")
        ]

    def _event(self, connection: _Connection, seen: Decoded) -> list[Exchange]:
        event = seen.event
        match event:
            case MessageData():
                self._data(connection, event)
            case MessageBegan():
                self._began(connection, seen.at, event)
            case MessageEnded():
                return self._ended(connection, seen, event)
            case Recognised():
                connection.protocol = event.protocol
            case Undecoded():
                return self._cut(seen.connection, connection, seen.at, event.reason)
        return []

    def _began(self, connection: _Connection, at: int, event: MessageBegan) -> None:
        exchange = connection.open.get(event.exchange)
        if exchange is None:
            if len(connection.open) >= OPEN_LIMIT:
                self.dropped += 1
                return
            exchange = connection.open[event.exchange] = _Open()
        part = _Part(event.title, at, event.fields, event.facts)
        exchange.alone = event.alone
        if event.direction == UP:
            exchange.request = part
        else:
            exchange.answer = part
            exchange.interim = is_interim(event)

    def _data(self, connection: _Connection, event: MessageData) -> None:
        exchange = connection.open.get(event.exchange)
        if exchange is None:
            return
        part = exchange.request if event.direction == UP else exchange.answer
        if part is None:
            return
        room = min(self._body_limit - len(part.body), len(event.data))
        if room > 0 and self._kept + room <= TOTAL_LIMIT:
            part.body += event.data[:room]
            self._kept += room
        elif room > 0:
            self.dropped += room

    def _ended(self, connection: _Connection, seen: Decoded, event: MessageEnded) -> list[Exchange]:
        exchange = connection.open.get(event.exchange)
        if exchange is None:
            return []
        if event.direction == UP:
            if exchange.request is not None:
                exchange.request.end(seen.at, event)
        elif exchange.interim and not event.error:
            exchange.interim, exchange.answer = False, None
            return []
        else:
            exchange.answer = exchange.answer or _Part("", seen.at)
            exchange.answer.end(seen.at, event)
        whole = all(p is None or p.message for p in (exchange.request, exchange.answer))
        if not whole or not (exchange.alone or exchange.answer):
            return []
        del connection.open[event.exchange]
        return [self._exchange(seen.connection, connection, event.exchange, exchange)]

    def _cut(self, number: int, connection: _Connection, at: int, why: str) -> list[Exchange]:
        """All that is unfinished is over."""
        cut = []
        for name, exchange in connection.open.items():
            for part in (exchange.request, exchange.answer):
                if part is not None and part.message is None:
                    direction = UP if part is exchange.request else DOWN
                    size = len(part.body)
                    ended = MessageEnded(name, direction, size, error=why or _CUT_OFF)
                    part.end(at, ended)
            cut.append(self._exchange(number, connection, name, exchange))
        connection.open.clear()
        return cut

    def _exchange(
        self, number: int, connection: _Connection, name: int, exchange: _Open
    ) -> Exchange:
        for part in (exchange.request, exchange.answer):
            self._kept -= len(part.body) if part else 0
        return Exchange(
            connection=number,
            number=name,
            protocol=connection.protocol,
            listener=connection.listener,
            client=connection.client,
            endpoint=connection.endpoint,
            request=exchange.request.message if exchange.request else None,
            answer=exchange.answer.message if exchange.answer else None,
        )


def is_interim(event: MessageBegan) -> bool:
    """Whether another answer of the same exchange follows (RFC 9110, 15.2)."""
    status = event.facts.get("status")
    return isinstance(status, int) and 100 <= status < 200 and status != 101
