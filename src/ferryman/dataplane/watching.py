"""Who may be shown what connections carry: the contract between flows and whoever looks.

``observing`` tells an inspector process and never waits; ``ferry socat``'s dumps write in place.
All of it is called on the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ferryman.dataplane.pipes import Pipe


class Tap(Protocol):
    """Is shown all that one direction carries, in order."""

    @property
    def allows_splice(self) -> bool:
        """Whether bytes may pass outside of the process."""
        ...

    @property
    def stretch(self) -> int:
        """How many bytes at most may be spliced at a time."""
        ...

    def saw(self, data: memoryview) -> None:
        """These bytes were read, to be carried."""
        ...

    def teed(self, pipe: Pipe, count: int) -> None:
        """So many bytes, at most ``stretch``, are in this pipe, to be carried."""
        ...

    def ended(self) -> None:
        """The direction came to its end."""
        ...


class Watch(Protocol):
    """Looks at one connection, until ``closed``."""

    @property
    def up(self) -> Tap: ...

    @property
    def down(self) -> Tap: ...

    def opened(self, endpoint: str) -> None:
        """It is connected to a target; again, after the loss of another."""
        ...

    def noted(self, text: str) -> None:
        """Something for a person."""
        ...

    def closed(self, reset: str) -> None:
        """It is over; ``reset`` as in ``contract.Closed``."""
        ...


class Watching(Protocol):
    """Looks at all connections whose policy has them observed."""

    def watch(self, connection: int, listener: str, client: str) -> Watch | None:
        """A connection begins; None if it cannot be looked at."""
        ...

    def close(self, done: Callable[[], None]) -> None:
        """No more comes; call ``done`` soon."""
        ...
