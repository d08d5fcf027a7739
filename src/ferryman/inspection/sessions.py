"""All connections of one feed: each record goes to its connection's ``session``; pure."""

from __future__ import annotations

from collections.abc import Sequence

from ferryman.inspection import feed
from ferryman.inspection.feed import DOWN, UP
from ferryman.inspection.session import Seen, Session

LIMIT = 10_000
"""Connections at once; of more, only opening and closing is seen."""


class Sessions:
    """``redact``, ``raw`` and ``body_limit`` are those of each session."""

    def __init__(
        self,
        *,
        redact: bool = True,
        raw: bool = False,
        body_limit: int = 1 << 20,
        limit: int = LIMIT,
    ) -> None:
        self._redact = redact
        self._raw = raw
        self._body_limit = body_limit
        self._limit = limit
        self._sessions: dict[int, Session] = {}
        self._commands: list[feed.Command] = []
        self.unseen = 0
        """Connections beyond the limit."""

    def receive(self, record: feed.Record) -> Sequence[Seen]:
        """What the record shows. Never raises."""
        session = self._sessions.get(record.connection) or self._begun(record)
        if session is None:
            return [record] if isinstance(record, feed.Opened | feed.Closed | feed.Noted) else []
        seen = session.receive(record)
        self._commands += session.commands()
        if isinstance(record, feed.Closed):
            del self._sessions[record.connection]
        return seen

    def commands(self) -> list[feed.Command]:
        """What the data plane is to be told since the last call."""
        commands, self._commands = self._commands, []
        return commands

    def _begun(self, record: feed.Record) -> Session | None:
        number = record.connection
        if isinstance(record, feed.Noted | feed.Closed):
            return None
        if len(self._sessions) >= self._limit:
            if isinstance(record, feed.Opened):
                self.unseen += 1
                self._commands += [feed.Skip(number, way, None) for way in (UP, DOWN)]
            return None
        session = Session(number, redact=self._redact, raw=self._raw, body_limit=self._body_limit)
        self._sessions[number] = session
        return session
