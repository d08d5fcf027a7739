"""The bytes and nothing else, both directions as they come, or one of them; pure.

For pipes: this form alone lets through what a terminal would act on.
"""

from __future__ import annotations

from ferryman.inspection import feed
from ferryman.inspection.forms import Options
from ferryman.inspection.session import Seen


def form(_options: Options) -> Raw:
    """For ``make``."""
    return Raw()


class Raw:
    """A Form."""

    raw = True
    body_limit = 0

    def __init__(self, direction: feed.Direction | None = None) -> None:
        self._direction = direction

    def write(self, seen: Seen) -> bytes:
        """The bytes of a chunk."""
        if isinstance(seen, feed.Chunk) and self._direction in (None, seen.direction):
            return seen.data
        return b""

    def finish(self) -> bytes:
        """Nothing is held back."""
        return b""
