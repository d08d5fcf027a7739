"""Exchanges told again as sessions would have told them, for forms and files; pure.

``har_reading`` gives exchanges, which have no bytes of connections any more: there are no chunks.
"""

from __future__ import annotations

from collections.abc import Iterable

from ferryman.inspection import feed
from ferryman.inspection.events import Event, MessageBegan, MessageData, MessageEnded, Recognised
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.session import Decoded, Seen


def retell(exchanges: Iterable[Exchange]) -> list[Seen]:
    """All of them, in the order of time; connections open before and close after what they said."""
    told: list[Seen] = []
    last: dict[int, tuple[int, int, int]] = {}
    protocols: dict[int, str] = {}
    for exchange in sorted(exchanges, key=_began):
        number, began = exchange.connection, _began(exchange)
        messages = _messages(exchange)
        if number not in last:
            places = (exchange.listener, exchange.client, exchange.endpoint)
            told.append(feed.Opened(number, began, *places))
        if protocols.get(number) != exchange.protocol:
            protocols[number] = exchange.protocol
            told.append(Decoded(number, began, Recognised(exchange.protocol)))
        up, down, end = last.get(number, (0, 0, 0))
        for direction, message in messages:
            told += _events(exchange, direction, message, alone=len(messages) == 1)
            up, down = (up + message.size, down) if direction == UP else (up, down + message.size)
            end = max(end, message.ended)
        last[number] = up, down, end
    told += [feed.Closed(number, end, up, down, "") for number, (up, down, end) in last.items()]
    return sorted(told, key=lambda seen: seen.at)  # stable: equal times stay in their order


def _began(exchange: Exchange) -> int:
    return min((message.began for _, message in _messages(exchange)), default=0)


def _messages(exchange: Exchange) -> list[tuple[Direction, Message]]:
    both: list[tuple[Direction, Message | None]] = [(UP, exchange.request), (DOWN, exchange.answer)]
    return [(direction, message) for direction, message in both if message is not None]


def _events(
    exchange: Exchange, direction: Direction, message: Message, *, alone: bool
) -> list[Seen]:
    name = exchange.number
    answered = exchange.protocol == "websocket" or direction == DOWN
    alone = alone and answered  # a request without an answer still waits for one
    events: list[tuple[int, Event]] = [
        (
            message.began,
            MessageBegan(name, direction, message.title, message.fields, message.facts, alone),
        )
    ]
    if message.body:
        events.append((message.ended, MessageData(name, direction, message.body)))
    ended = MessageEnded(
        name,
        direction,
        message.size,
        trailers=message.trailers,
        missed=message.missed,
        error=message.error,
    )
    events.append((max(message.ended, message.began), ended))
    return [Decoded(exchange.connection, at, event) for at, event in events]
