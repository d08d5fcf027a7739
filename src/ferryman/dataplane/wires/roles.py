"""Who tells what to whom: a stream to the wire that carries it, a wire to its keeper.

``wire`` is the ``Carrier``, ``cluster`` the ``Keeper``. What they carry and keep is a parameter, so
that nothing here has to know it.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from ferryman.dataplane.loop import Loop

Stream = TypeVar("Stream", contravariant=True)
Wire = TypeVar("Wire", contravariant=True)


class Carrier(Protocol[Stream]):
    """What a stream needs of its wire."""

    loop: Loop
    half_closes: bool
    writable: bool
    """Whether more may be sent now."""

    @property
    def unsent(self) -> bool:
        """Whether the network has not taken all yet."""
        ...

    def send(self, pair: int, data: memoryview) -> None: ...

    def finish(self, pair: int) -> None: ...

    def reset(self, pair: int) -> None: ...

    def eased(self, stream: Stream) -> None:
        """Its client took bytes, or is gone."""
        ...

    def lingers(self, stream: Stream) -> None:
        """Its client has said its last word: the wire is free for another."""
        ...

    def revives(self, stream: Stream) -> None:
        """Not quite: much is still coming for it."""
        ...

    def over(self, stream: Stream) -> None:
        """Nothing more will come for it."""
        ...

    def flushed(self, stream: Stream) -> bool:
        """Whether anything of it was given to the network."""
        ...


class Keeper(Protocol[Wire]):
    """Who owns the wire, and counts its streams."""

    def lingers(self, wire: Wire) -> None: ...

    def revives(self, wire: Wire) -> None: ...

    def stalls(self, wire: Wire, *, stalled: bool) -> None: ...

    def evicted(self, wire: Wire) -> None:
        """A stream was reset because its client did not read a wire that is shared."""
        ...

    def ended(self, wire: Wire, *, lingered: bool) -> None:
        """A stream is over."""
        ...

    def doubts(self, wire: Wire) -> None:
        """The wire may be dead: nothing new on it until it has answered."""
        ...

    def trusts(self, wire: Wire) -> None:
        """It has."""
        ...

    def lost(self, wire: Wire, why: str, *, clean: bool, silent: float | None) -> None:
        """The wire is over, its streams will be told; ``clean`` if nobody used it and the server
        said why. It was closed from afar after ``silent`` seconds without a byte; None if nobody
        closed it and it does not answer.
        """
        ...
