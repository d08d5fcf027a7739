"""Raw bytes of one direction, held back until it is known which of them are secrets; pure.

``session`` puts records in as they come and says what its decoder has found; they come out in the
same order, cut as they were, with secrets overwritten. Without a decoder, a ``Scrubber`` looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from ferryman.inspection.decoder import Span
from ferryman.inspection.feed import Chunk, Missed, Skipped
from ferryman.inspection.redaction import FILLER, Scrubber

HELD_LIMIT = 1 << 19
"""Bytes that a decoder may leave unexamined; more than that are masked and let go."""

Carried = Chunk | Skipped | Missed


class Curtain:
    """With ``redact`` off, nothing is held and nothing masked."""

    def __init__(self, *, redact: bool) -> None:
        self._redact = redact
        self._held: deque[tuple[Carried, int]] = deque()  # with the offset of its end
        self._bytes = 0
        self._end = 0
        self._spans: deque[Span] = deque()
        self._scrubber: Scrubber | None = None
        self._hidden = False

    @property
    def holds(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    def hold(self, record: Carried, end: int) -> None:
        """The next record; ``end`` is the offset after it."""
        if isinstance(record, Chunk):
            self._bytes += len(record.data)
        self._held.append((record, end))
        self._end = end

    def mask(self, spans: Sequence[Span]) -> None:
        """Secrets, in order, after those that came before."""
        self._spans.extend(spans)

    def release(self, examined: int) -> list[Carried]:
        """The records that end at or before this offset, masked."""
        if not self._redact or self._scrubber is not None:
            examined = self._end
        elif self._bytes > HELD_LIMIT and examined < self._end:
            return self.lift(examined)
        out: list[Carried] = []
        while self._held and self._held[0][1] <= examined:
            out.append(self._uncovered(*self._held.popleft()))
        return out

    def lift(self, examined: int) -> list[Carried]:
        """All records; what lies beyond this offset is masked whole."""
        if examined < self._end and self._scrubber is None:
            self._spans.append(Span(examined, self._end))
        return self.release(self._end)

    def scrub(self, examined: int) -> list[Carried]:
        """No decoder looks any more: as ``lift``, but from now on a scrubber does."""
        if examined < self._end and self._scrubber is None:
            self._spans.append(Span(examined, self._end))
        self._scrubber = self._scrubber or Scrubber()
        return self.release(self._end)

    def hide(self) -> list[Carried]:
        """Nobody can tell what is a secret any more: all bytes are masked, now and later."""
        self._hidden = True
        return self.scrub(self._end)

    def _uncovered(self, record: Carried, end: int) -> Carried:
        if not isinstance(record, Chunk):
            if isinstance(record, Missed) and self._scrubber is not None:
                self._scrubber = Scrubber(inside=True)  # what was missed may begin a secret
            return record
        self._bytes -= len(record.data)
        if not self._redact:
            return record
        if self._hidden:
            return replace(record, data=bytes([FILLER]) * len(record.data))
        data = record.data if self._scrubber is None else self._scrubber.scrub(record.data)
        data = self._overwritten(data, end - len(data))
        return record if data is record.data else replace(record, data=data)

    def _overwritten(self, data: bytes, start: int) -> bytes:
        """The bytes that begin at this offset, with those of the spans replaced."""
        out: bytearray | None = None
        end = start + len(data)
        while self._spans and self._spans[0].start < end:
            span = self._spans[0]
            first, last = max(span.start, start), min(span.end, end)
            if first < last:
                out = bytearray(data) if out is None else out
                out[first - start : last - start] = bytes([span.filler]) * (last - first)
            if span.end > end:
                break
            self._spans.popleft()
        return data if out is None else bytes(out)
