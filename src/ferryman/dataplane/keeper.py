"""What a connection asks of its route, and tells it; ``route`` fulfils it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ferryman.dataplane.contract import Dial, Dialled, DialSpec, Endpoint, Event, Policy

if TYPE_CHECKING:
    from ferryman.dataplane.connection import Connection
    from ferryman.dataplane.direction import Meter
    from ferryman.dataplane.loop import Loop
    from ferryman.dataplane.pipes import Pipes


class Keeper(Protocol):
    """What a connection asks of its route, and tells it."""

    name: str
    loop: Loop
    pipes: Pipes
    policy: Policy
    meters: tuple[Meter, Meter]
    dial: Callable[[DialSpec, Dialled], Dial]
    emit: Callable[[Event], None]

    def choose(self, tried: frozenset[str]) -> Endpoint | None:
        """The endpoint for a new dial, other than those tried already; None if there is none."""
        ...

    def untried(self, tried: frozenset[str]) -> bool:
        """Whether ``choose`` would find one."""
        ...

    def is_active(self, endpoint_id: str) -> bool:
        """Whether new connections go there."""
        ...

    def hold(self, connection: Connection) -> bool:
        """Whether it may wait for an endpoint; it is told of ``news``."""
        ...

    def waiting(self, connection: Connection) -> None:
        """It waits before it dials again; it is told of ``news``."""
        ...

    def began(self, connection: Connection) -> None:
        """It dials its endpoint."""
        ...

    def left(self, connection: Connection, endpoint: Endpoint) -> None:
        """It no longer uses the endpoint."""
        ...

    def closed(self, connection: Connection, *, failed: bool) -> None:
        """It is over."""
        ...
