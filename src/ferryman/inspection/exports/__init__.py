"""Files that keep what was said: ``.ferry`` (ours), ``.pcapng`` (Wireshark's), ``.har``; pure.

Each module has an exporter: records (their bytes masked already), protocols and exchanges go in,
the file's bytes come out.
"""

from __future__ import annotations

from typing import Protocol

from ferryman.inspection.exchanges import Exchange
from ferryman.inspection.feed import Record


class Exporter(Protocol):
    """One file. The file is what ``begin`` and each call after it returned, in order, then
    ``tail``: whoever writes may overwrite the last tail at each write, so that the file is whole
    at any time.
    """

    raw: bool
    """Whether it wants the bytes of all connections."""
    exchanges: bool
    """Whether it wants exchanges."""
    tail: bytes

    def begin(self) -> bytes:
        """The first bytes."""
        ...

    def record(self, record: Record) -> bytes:
        """The next of what was carried, as the session lets it out."""
        ...

    def recognised(self, connection: int, protocol: str) -> bytes:
        """A connection's protocol is known, or is another one now."""
        ...

    def exchange(self, exchange: Exchange) -> bytes:
        """An exchange is over."""
        ...

    def finish(self) -> bytes:
        """What was held back; no call follows."""
        ...
