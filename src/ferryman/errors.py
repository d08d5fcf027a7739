"""One small tree of errors, by what the caller can do about them.

An error is translated into one of these once, at the border where it comes in (a library, the
kernel, a peer), ``from`` its cause. ``api.status`` adds the answers of an API server.
"""

from __future__ import annotations


class FerrymanError(Exception):
    """The root: catch this to catch all of ours.

    ``message`` is one sentence for a person; ``hint`` says what to do next, or is empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UserError(FerrymanError):
    """What was asked for cannot be: change the input; trying again is of no use."""


class PeerError(FerrymanError):
    """The other side broke a protocol: this connection has to end, no other does."""


class Unavailable(FerrymanError):
    """Not now: the same request may succeed later."""


class Conflict(FerrymanError):
    """Somebody else was faster: read again, decide again, then retry."""
