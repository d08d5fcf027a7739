"""What the data plane is told and what it tells: messages only, so that it may live in a thread,
in another process, or in the foreground of a one-shot verb.

``engine`` fulfils it on a ``Loop``; ``threaded`` is the asyncio face. A *listener* is a name (the
Relay and its port); several bind addresses may lead to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from ferryman.addresses import TcpAddress, UnixAddress
from ferryman.errors import FerrymanError
from ferryman.runtime.tls import TLSSettings

if TYPE_CHECKING:
    from ferryman.addresses.specs import Spec  # loaded only for addresses as socat writes them
    from ferryman.faults import Fault
    from ferryman.protocols.proxy import Proxy  # loads h11, which only a proxied cluster needs

READ = 1  # = select.EPOLLIN
WRITE = 4  # = select.EPOLLOUT
HANGUP = 16  # = select.EPOLLHUP: an error or the end of both directions


@dataclass(frozen=True, slots=True)
class PodAddress:
    """A port inside a pod: ``uid`` tells a pod from its successor of the same name."""

    cluster: str
    namespace: str
    name: str
    uid: str
    port: int

    def __str__(self) -> str:
        return f"pod/{self.name}:{self.port}"


DialSpec: TypeAlias = "TcpAddress | UnixAddress | PodAddress | Spec"


@dataclass(frozen=True, slots=True)
class Bind:
    """Where to listen. ``tag`` tells random ports (port 0) apart: binds of one tag share one
    random port, which stays theirs for as long as they are applied.

    A Spec that does not listen (a program, say) is opened as the one client that will ever come.
    """

    address: TcpAddress | UnixAddress | Spec
    tag: str = ""


Listeners = Mapping[Bind, str]
"""A whole snapshot: which listener each bind address belongs to."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The address is listened on; ``address`` has the real port."""

    address: TcpAddress | UnixAddress | Spec


@dataclass(frozen=True, slots=True)
class NotBound:
    """Why not, for a person; ``holder`` names the process that has the address, if known.

    ``absent`` says that this machine has no such address (no IPv6, say).
    """

    message: str
    holder: str = ""
    absent: bool = False

    def __str__(self) -> str:
        return f"{self.message} by {self.holder}" if self.holder else self.message


Applied = Mapping[Bind, Bound | NotBound]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place to dial. Draining ones keep what they have and get nothing new."""

    id: str
    dial: DialSpec
    state: Literal["Active", "Draining"] = "Active"


Ambiguous = Literal["Never", "IdempotentHTTP", "Always"]
"""Which requests may be repeated though a pod may have heard them."""

Observe = Literal["Off", "Summary", "Full"]
"""Whether connections are told to the inspector: what bodies say is not needed for a Summary."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a listener treats its connections; times in seconds, 0 means not at all.

    ``hold`` is how long a connection waits for an endpoint, then it is reset. ``drain`` 0 lets
    connections of a draining endpoint end by themselves. ``observe`` (for connections from now on)
    tells what is carried to the engine's inspector, which decides how much of it to look at.
    ``faults`` hold for open connections, too. ``idle`` ends connections that are silent for so
    long, ``linger`` those that are once a direction has ended; ``oneway`` carries that direction
    only.
    """

    balance: Literal["Newest", "RoundRobin", "LeastConnections"] = "Newest"
    hold: float = 30.0
    hold_connections: int = 256
    ambiguous: Ambiguous = "IdempotentHTTP"
    replay_bytes: int = 65536
    drain: float = 0.0
    observe: Observe = "Off"
    faults: tuple[Fault, ...] = ()
    idle: float = 0.0
    linger: float = 0.0
    oneway: Literal["", "up", "down"] = ""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How wires to a cluster's pods are opened: its API server, TLS, credentials.

    ``headers`` carry the credential (lower-case names); ``expires`` is when it does, on the wall
    clock in seconds since the epoch, or None. ``path`` is a prefix of the API's paths. With a
    ``proxy``, it is the proxy that looks the host up and connects. With ``trace``, Traced tells
    every frame on the cluster's wires.
    """

    key: str
    host: str
    port: int
    tls: TLSSettings | None
    path: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    expires: float | None = None
    proxy: Proxy | None = None
    trace: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A client was accepted and reached an endpoint; ``replays`` dials failed before."""

    listener: str
    connection: int
    client: str
    endpoint: str
    waited: float
    replays: int


@dataclass(frozen=True, slots=True)
class Closed:
    """A connection ended. ``reset`` says why it ended as an RST; empty is a proper end."""

    listener: str
    connection: int
    endpoint: str
    up: int
    down: int
    seconds: float
    reset: str = ""


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A dial failed; ``final`` if the client was reset for it, else it is being retried.

    ``kind`` groups messages: "refused", "gone", "unauthorized", "forbidden", "unavailable",
    "timeout", "ambiguous", "held" (no endpoint in time), "full" (too many held), "fault" (on
    purpose). ``seconds`` is how long a dial took that seemed to have succeeded: a wire's, whose
    pod refused.
    """

    listener: str
    connection: int
    endpoint: str
    kind: str
    message: str
    final: bool
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class WireLost:
    """An upgraded connection into a pod ended that should not have.

    ``dead`` says that nobody closed it: it does not answer, and what it carried has stood still.
    """

    cluster: str
    pod: str
    message: str
    dead: bool = False


@dataclass(frozen=True, slots=True)
class ClusterReached:
    """A wire could be opened again, after trouble on the way to the cluster's API server."""

    cluster: str


@dataclass(frozen=True, slots=True)
class NeedCredentials:
    """The cluster refused the credential (401), or it expired: answer with ``credentials``."""

    cluster: str
    message: str


@dataclass(frozen=True, slots=True)
class Traced:
    """What happened on a wire, for a bug report: its upgrade, every frame both ways, its end.

    ``at`` is in seconds on the loop's clock. Of payloads only the length is told, of credentials
    nothing.
    """

    cluster: str
    pod: str
    wire: int
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class InspectorLost:
    """The inspector is gone: nothing is observed any more, unless ``observe`` gives another."""

    message: str


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The listener was for one client, which has come and gone; or none came in time."""

    listener: str


@dataclass(frozen=True, slots=True)
class Gap:
    """So many events were dropped because nobody took them in time."""

    events: int


Event = (
    Opened
    | Closed
    | DialFailed
    | WireLost
    | ClusterReached
    | NeedCredentials
    | Traced
    | InspectorLost
    | Exhausted
    | Gap
)


@dataclass(frozen=True, slots=True)
class ListenerCounters:
    """Counts since the listener was first applied; ``up`` is client to target, in bytes."""

    open: int = 0
    held: int = 0
    total: int = 0
    failed: int = 0
    up: int = 0
    down: int = 0


class DialFailure(FerrymanError):
    """Why a side could not be reached or was lost; ``kind`` as in DialFailed.

    ``delivered`` says whether bytes that were sent may have reached the application: False is
    certain (the connection was never made), True means it cannot be known.
    """

    def __init__(self, kind: str, message: str, *, delivered: bool, wait: float = 0.0) -> None:
        super().__init__(message)
        self.kind = kind
        self.delivered = delivered
        self.wait = wait


class Side(Protocol):
    """One end of a flow: a socket, or a stream on a wire. Never blocks; loop thread only.

    Readiness is level-triggered: as long as what is wanted is possible, ``on_ready`` is called
    with the READ, WRITE, HANGUP bits that hold.
    """

    fd: int | None
    """The socket's descriptor, which splice can use; None for a stream."""

    def attach(self, on_ready: ReadyCallback) -> None:
        """From now on tell readiness, as far as it is wanted; nothing is wanted at first."""
        ...

    def want(self, mask: int) -> None:
        """Which of READ and WRITE to be told of; HANGUP is always told."""
        ...

    def recv_into(self, buffer: memoryview) -> int:
        """Bytes that came, put at the start of ``buffer``; 0 at the end of the stream.

        Raises BlockingIOError if there are none yet; DialFailure if the side turned out to be
        unreachable before anything came (streams only); another OSError if it was reset.
        """
        ...

    def send(self, data: memoryview) -> int:
        """How many of the bytes were taken, at least one; raises BlockingIOError, OSError.

        The data is copied or gone when this returns: the buffer may be used again.
        """
        ...

    def shutdown(self) -> None:
        """Half-close: no more will be sent; receiving goes on for as long as the peer likes."""
        ...

    def close(self) -> None:
        """Both directions are done: release everything. Idempotent."""
        ...

    def abort(self, why: str) -> None:
        """End at once and let the peer see it: an RST, or RST_STREAM. Idempotent."""
        ...


class Client(Side, Protocol):
    """A side that came to us, as far as it may have to wait for its target unread."""

    def half_closed(self) -> bool:
        """Whether it will send no more, whatever there still is to be read; False if it cannot
        be told.
        """
        ...

    def departed(self) -> bool:
        """Whether it has ended its stream (or was reset) and left nothing to be read."""
        ...


class ReadyCallback(Protocol):
    def __call__(self, mask: int, /) -> None: ...


class Dialled(Protocol):
    """Called once, perhaps before ``dial`` returns, with the side or with why there is none."""

    def __call__(self, result: Side | DialFailure, /) -> None: ...


class Dial(Protocol):
    """A dial under way."""

    def cancel(self) -> None:
        """Give up; ``Dialled`` is not called any more. Idempotent, also after the result."""
        ...
