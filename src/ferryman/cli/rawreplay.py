"""A connection that was not HTTP, said again: the client's bytes, as they came, at their time.

Before the client says more than it had said when it was first answered, as much must have been
answered now: as many answers where the protocol is known, else as many bytes or a while of silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from ferryman.cli.conversation import Conversation
from ferryman.cli.output import YELLOW, note
from ferryman.inspection import feed
from ferryman.inspection.events import MessageBegan, Recognised
from ferryman.inspection.exchanges import Exchange
from ferryman.inspection.feed import UP
from ferryman.inspection.redaction import REDACTED
from ferryman.inspection.session import Decoded, Seen

_NOT_RAW = ("http/1.1", "h2", "grpc", "websocket")
_SILENCE = 1.0
"""Seconds without an answer after which an unknown protocol is taken to expect none."""
_LAST_WORDS = 2.0

Report = Callable[[Exchange, Exchange | None], None]


class Server(Protocol):
    """What ``replay`` lends: connections, and the exchanges that were heard on each."""

    heard: dict[int, deque[Exchange]]

    def converse(self, number: int) -> Conversation: ...


class RawReplay:
    """One connection; it is nobody's while its protocol is HTTP, which is said by request."""

    def __init__(self, number: int, server: Server, report: Report) -> None:
        self._number = number
        self._server = server
        self._report = report
        self._protocol = ""
        self._conversation: Conversation | None = None
        self._why_not = ""
        self._masked = False
        self._expected: deque[Exchange] = deque()
        self._expected_bytes = 0

    def take(self, seen: Seen) -> None:
        """What the recorded connection said, in order."""
        if isinstance(seen, Decoded):
            self._event(seen)
        elif self._protocol in ("", *_NOT_RAW) or self._why_not:
            return
        elif isinstance(seen, feed.Chunk) and seen.direction == UP:
            self._say(seen.data)
        elif isinstance(seen, feed.Chunk):
            self._expected_bytes += len(seen.data)
        elif isinstance(seen, feed.Skipped | feed.Missed) and seen.direction == UP:
            self._stop(f"{seen.count} bytes of it were not kept")
        elif isinstance(seen, feed.Closed):
            self.finish()

    def answered(self, exchange: Exchange) -> None:
        """What was answered then."""
        if exchange.request is not None and self._conversation is not None:
            self._expected.append(exchange)

    def finish(self) -> None:
        """The recorded connection is over: hear the rest, and compare."""
        if self._conversation is None:
            return
        self._listen()
        self._conversation.close(_LAST_WORDS)
        heard = self._server.heard[self._number]
        while self._expected:
            self._report(self._expected.popleft(), heard.popleft() if heard else None)
        self._conversation = None

    def _event(self, seen: Decoded) -> None:
        event = seen.event
        if isinstance(event, Recognised) and not self._protocol:
            self._protocol = event.protocol
            if event.protocol == "tls":
                self._stop("it is encrypted: nobody could decode the answers")
        if isinstance(event, MessageBegan) and event.direction == UP and not self._masked:
            said = [event.title, *(value for _, value in event.fields)]
            if self._protocol not in _NOT_RAW and any(REDACTED in text for text in said):
                self._masked = True
                what = f"#{self._number} {event.title}"
                note(f"{what}: a secret was masked when it was kept, and is said masked", YELLOW)

    def _say(self, data: bytes) -> None:
        if self._conversation is None:
            self._conversation = self._server.converse(self._number)
        else:
            self._listen()
        if self._conversation.over:
            self._stop("the server ended it")
        else:
            self._conversation.say(data)

    def _listen(self) -> None:
        """Wait until as much has been answered as had been at this point."""
        conversation = self._conversation
        if conversation is None:
            return
        if self._protocol == "opaque":
            conversation.listen(lambda: conversation.received >= self._expected_bytes, _SILENCE)
            return
        heard, count = self._server.heard[self._number], len(self._expected)
        conversation.listen(lambda: sum(one.request is not None for one in heard) >= count)

    def _stop(self, why: str) -> None:
        self._why_not = why
        note(f"#{self._number} is not said again from here on: {why}", YELLOW)
        self.finish()
