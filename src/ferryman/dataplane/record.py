"""What a connection into a pod has said and heard, as far as a replay needs to know it.

Until the pod answers, the client's bytes are kept (bounded), so that another pod can be told the
same. With HTTP/1.1 each exchange is proven anew: when every answer so far is whole, the next
request is kept again, and a kept-alive connection survives its pod. ``retry`` judges.
"""

from __future__ import annotations

from ferryman.dataplane.contract import Ambiguous
from ferryman.dataplane.retry import How, Loss
from ferryman.protocols.http.framing import Exchanges, replayable


class Record:
    """Fed by the flow; ``limit`` is how many unanswered bytes are kept."""

    __slots__ = ("_exchanges", "_kept", "_limit", "_proven", "_said")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: bytearray | None = bytearray()
        self._said = False
        self._proven = False
        self._exchanges = Exchanges()

    def sent(self, data: memoryview) -> None:
        """The client said this."""
        if self.idle:
            self._proven = False
            self._kept = bytearray()
        self._said = True
        if not self._proven and self._kept is not None:
            if len(self._kept) + len(data) > self._limit:
                self._kept = None
            else:
                self._kept += data
        self._exchanges.sent(data)

    def received(self, data: memoryview) -> None:
        """The pod answered: what it has heard must not be said again."""
        if not self._proven:
            self._proven = True
            self._kept = None
        self._exchanges.received(data)

    @property
    def idle(self) -> bool:
        """Every request so far has its whole answer, and the connection may carry more."""
        return self._proven and self._exchanges.complete is True and self._exchanges.persistent

    @property
    def proven(self) -> bool:
        """Answered since the client last began to speak."""
        return self._proven and not self.idle

    @property
    def said(self) -> bool:
        """Whether the client said anything that has no whole answer yet."""
        return self._said and not self.idle

    @property
    def kept(self) -> bool:
        """Whether all of that is still at hand."""
        return self._kept is not None

    @property
    def unanswered(self) -> bytes:
        """What a new target has to be told first."""
        return bytes(self._kept) if self._kept is not None and self.said else b""

    def repeatable(self, ambiguous: Ambiguous) -> bool:
        """Whether all of that may be said again, though it may have been heard."""
        if self._kept is None:
            return False
        match ambiguous:
            case "Always":
                return True
            case "IdempotentHTTP":
                return replayable(bytes(self._kept))
            case "Never":
                return False

    @property
    def complete(self) -> bool | None:
        """Whether all answers so far are whole; None if the protocol is not known."""
        return self._exchanges.complete

    def loss(self, how: How, ambiguous: Ambiguous, *, going: bool, replays: int) -> Loss:
        """The facts about the end of the present target, for ``judge``."""
        return Loss(
            how=how,
            going=going,
            proven=self.proven,
            said=self.said,
            kept=self.kept,
            harmless=self.repeatable(ambiguous),
            complete=self.complete,
            replays=replays,
        )

    def restart(self) -> None:
        """Another target will be told ``unanswered``: count from there."""
        unanswered = self.unanswered
        self._exchanges = Exchanges()
        self._proven = False
        self._kept = bytearray(unanswered)
        self._said = bool(unanswered)
        if unanswered:
            self._exchanges.sent(memoryview(unanswered))
