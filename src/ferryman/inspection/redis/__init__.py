"""Redis: RESP2, RESP3 and inline commands, pipelined, with what the server says unasked; pure.

Commands (``requests``) are named by their key, their payload is a body. Answers (``answers``) that
are nested are bodies as redis-cli shows them (``tree``). ``waiting`` says whose answer it is.
Passwords are known by their place among the arguments (``commands``). Sources:
redis.io/docs/reference/protocol-spec, and redis-server 7.0.
"""

from __future__ import annotations

from ferryman.inspection.decoder import Decoder, Start
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.machine import Machine, Window
from ferryman.inspection.redis.answers import Answers
from ferryman.inspection.redis.reading import Reader
from ferryman.inspection.redis.requests import Requests
from ferryman.inspection.redis.waiting import Waiting


def decoder(start: Start) -> Decoder:
    """For ``detect``."""
    return Redis(start)


class Redis(Machine):
    """A connection to a Redis server; from a replica's PSYNC on it is Undecodable."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        waiting = Waiting(self._report)
        self._readers: dict[Direction, Reader] = {
            UP: Requests(self._windows[UP], self._report, waiting),
            DOWN: Answers(self._windows[DOWN], self._report, waiting),
        }

    def _step(self, direction: Direction, _: Window) -> bool:
        return self._readers[direction].step()

    def _piece(self, direction: Direction, data: bytes, count: int, *, missed: bool) -> None:
        self._readers[direction].piece(data, count, count if missed else 0)

    def _body_ended(self, direction: Direction) -> None:
        self._readers[direction].body_ended()

    def _ended(self, direction: Direction) -> None:
        self._readers[direction].ended()
