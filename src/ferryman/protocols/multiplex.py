"""What all wires into a pod have in common: their events, and the calls of either end.

A *wire* is one upgraded connection; a *pair* is one forwarded connection on it (with SPDY a data
stream and an error stream, hence the name). Three machines speak this: ``portforward`` (SPDY),
the same inside a ``websocket.Tunnel``, and ``channels`` (v4). ``transports`` begins a client's
wire, ``answering`` a server's; ``dataplane.wires`` and ``demo`` move the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

Bytes = bytes | bytearray | memoryview


class Accepted(Struct, frozen=True):
    """The other end knows the pair; the pod has not been dialled yet."""

    pair: int


class Data(Struct, frozen=True):
    """Bytes of a pair, a view into the buffer given to ``receive`` where that can be: it holds
    until that buffer is used again, and chunks have nothing to do with frames.
    """

    pair: int
    data: memoryview


class Finished(Struct, frozen=True):
    """The other end's bytes are over (FIN). A FIN alone does not mean complete: wait for
    ErrorEnded without an ErrorText before calling it a success.
    """

    pair: int


class ErrorText(Struct, frozen=True):
    """What the error stream says, for people; more may follow. Cut to 64 KiB a pair."""

    pair: int
    text: str


class ErrorEnded(Struct, frozen=True):
    """The error stream ended: nothing more is said about this pair's success."""

    pair: int


class PairReset(Struct, frozen=True):
    """The data stream ended with an RST."""

    pair: int


class Pong(Struct, frozen=True):
    """The answer to ``ping``, by its number."""

    id: int


class GoneAway(Struct, frozen=True):
    """The other end closes the whole wire; what it says afterwards is not listened to.

    ``clean`` if it said that nothing was wrong (GOAWAY 0, or a Close with 1000).
    """

    reason: str
    clean: bool = True


class PairAwaited(Struct, frozen=True):
    """Server: the first of a pair's two streams is here; ``time_out`` it after 30 s."""

    pair: int


class PairOpened(Struct, frozen=True):
    """Server: a client wants this port; it has been accepted already, as Kubernetes does."""

    pair: int
    port: int


Event = Accepted | Data | Finished | ErrorText | ErrorEnded | PairReset | Pong | GoneAway
ServerEvent = PairAwaited | PairOpened | Data | Finished | PairReset | Pong | GoneAway


Trace = Callable[[str], None]
"""Takes ``> `` and a frame that goes to the cluster, or ``< `` and one that comes from it."""


class ClientWire(Protocol):
    """Our end of a wire. Calls queue bytes, ``data_to_send`` drains them; nothing blocks.

    Calls about a pair that is over are ignored: its end and a call may cross on the way. After a
    PeerError the machine is of no use, except that ``data_to_send`` may hold a last word.
    """

    half_closes: bool
    """Whether ``finish`` can be said on this wire."""
    trace: Trace | None
    """Called with a line for every frame, both ways; payloads show by their length only."""

    @property
    def unsent(self) -> bool:
        """Whether ``data_to_send`` would give anything."""
        ...

    def open(self, port: int) -> int:
        """Ask for a port in the pod; the pair's number. Data may be sent at once."""
        ...

    def send(self, pair: int, data: Bytes) -> None:
        """Queue bytes for the pod; ``data`` is copied, its buffer may be used again."""
        ...

    def finish(self, pair: int) -> None:
        """Half-close (FIN): no more bytes from us; those from the pod still come."""
        ...

    def reset(self, pair: int) -> None:
        """Give the pair up. No more Data or Finished for it; ErrorEnded says when the other end
        has let go of it too.
        """
        ...

    def ping(self) -> int:
        """Ask for a sign of life: Pong will have this number."""
        ...

    def close(self) -> None:
        """Say that the wire ends."""
        ...

    def receive(self, data: Bytes) -> list[Event]:
        """Take bytes from the network. Raises PeerError: then the wire has to be closed."""
        ...

    def data_to_send(self) -> list[bytes | bytearray]:
        """Take what is to be written to the network, in order; big payloads with their headers
        in one buffer, because TLS wants few large writes.
        """
        ...


class ServerWire(Protocol):
    """The node's end of a wire, for servers that stand in for a cluster."""

    def send(self, pair: int, data: Bytes) -> None:
        """Queue bytes for the client."""
        ...

    def finish(self, pair: int) -> None:
        """The pod's bytes are over: FIN on the data stream only."""
        ...

    def succeed(self, pair: int) -> None:
        """Both directions are done: FIN on the data stream if there was none, then on error."""
        ...

    def fail(self, pair: int, text: str, *, gone: bool = False) -> None:
        """The dial or the copying failed: FIN on data, the text, RST on error; if the pod's
        sandbox is ``gone``, the text, then RST on both. As a 1.36 node does.
        """
        ...

    def reset(self, pair: int) -> None:
        """RST on the data stream, then on error, without a word."""
        ...

    def time_out(self, pair: int) -> None:
        """Say ``timed out waiting for streams`` and forget the pair, if it is not complete."""
        ...

    def ping(self) -> int:
        """Ask for a sign of life: Pong will have this number."""
        ...

    def close(self) -> None:
        """Say that the wire ends."""
        ...

    def receive(self, data: Bytes) -> list[ServerEvent]:
        """Take bytes from the network. Raises PeerError: then the wire has to be closed."""
        ...

    def data_to_send(self) -> list[bytes | bytearray]:
        """Take what is to be written to the network, in order."""
        ...


class Established(Struct, frozen=True):
    """The upgrade was accepted: ``events`` came with it already."""

    wire: ClientWire
    events: list[Event]


class Rejected(Struct, frozen=True):
    """The upgrade was refused. ``message`` is the server's own if it sent a Kubernetes Status.

    ``retry_after`` is in seconds. ``fall_back`` says whether another transport may fare better.
    """

    status: int
    message: str
    retry_after: float | None = None
    fall_back: bool = False


class Opening(Protocol):
    """The beginning of a client's wire, made by a function of ``transports``."""

    request: bytes
    """What is to be written first."""

    def receive(self, data: Bytes) -> Established | Rejected | None:
        """Take bytes of the answer, ``b""`` for the end of the connection; None: go on reading.

        Raises PeerError if the answer is not one.
        """
        ...
