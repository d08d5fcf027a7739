"""What a controller is asked to do: look at one object, by name. Nothing else is said, so that
any number of events fold into one request, and the present state decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from ferryman.api.resource import Name

Request = Name


class Result(Struct, frozen=True):
    """How a reconciliation ended well; ``requeue_after`` (seconds) asks for another look."""

    requeue_after: float | None = None


Reconcile = Callable[[Request], Awaitable[Result | None]]
"""Makes one object's world as its spec says. Idempotent; an exception means: again, later."""
