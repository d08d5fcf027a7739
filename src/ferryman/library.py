"""The public library: ``forward`` and ``relay`` as context managers, for programs and for tests.

One way to write it, in both kinds of program::

    async with ferryman.forward("deployment/web", 8000) as fwd:   # with asyncio
        await fetch(f"http://{fwd.host}:{fwd.port}/")

    with ferryman.forward("deployment/web", 8000) as fwd:         # without: it owns a thread
        urlopen(f"http://{fwd.host}:{fwd.port}/")

Inside the block the port listens, whatever happens to pods; leaving it ends everything.
``daemon.forward`` and ``dataplane.threaded`` do the work, ``runtime.inthread`` has the thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ferryman import addresses
from ferryman.addresses import Address, TcpAddress, UnixAddress
from ferryman.api.durations import parse_duration
from ferryman.api.kinds.relay import Balance, RelayStatus
from ferryman.daemon.forward import Wish, is_so
from ferryman.daemon.forward import forward as carry_out
from ferryman.dataplane import contract
from ferryman.dataplane.contract import Bind, Endpoint, Gap, NotBound, Policy
from ferryman.dataplane.threaded import ThreadedDataPlane
from ferryman.errors import Unavailable, UserError
from ferryman.inspector.seeing import Seeing
from ferryman.kube import ports as port_grammar
from ferryman.kube import targets
from ferryman.runtime.broadcast import Broadcast
from ferryman.runtime.inthread import InThread, Session
from ferryman.runtime.tasks import Tasks

if TYPE_CHECKING:
    from ferryman.addresses.specs import Spec

if TYPE_CHECKING:
    from ferryman.inspection.exchanges import Exchange
    from ferryman.inspector.receiving import Missed, Receiving

_RELAY = "relay"
_BALANCE: Mapping[str, Balance] = {
    "newest": "Newest",
    "round-robin": "RoundRobin",
    "least": "LeastConnections",
}


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A forward's status is another one now."""

    status: RelayStatus


Event = contract.Event | StatusChanged
"""What ``events`` tells: connections that were opened and closed, dials that failed, wires that
were lost, the status; and a Gap to a reader that was too slow."""


def forward(
    target: str,
    *ports: int | str,
    kubeconfig: str | os.PathLike[str] | None = None,
    context: str | None = None,
    namespace: str | None = None,
    address: str = "localhost",
    hold: str = "30s",
    balance: Literal["newest", "round-robin", "least"] = "newest",
    wait: bool = False,
    trace: bool = False,
) -> Session[Forward, BlockingForward]:
    """Forward local ports to a workload, for as long as the block lasts.

    ``target`` is TYPE/NAME, a pod's name, or labels as in ``"-l app=web"``. Of ``ports``, a number
    is a remote port that a free local one leads to; a text is kubectl's ``[LOCAL:]REMOTE``.
    ``address`` lists IP addresses, ``hold`` is how long a connection waits for a ready pod. With
    ``wait`` the target need not exist yet; with ``trace`` the events tell every frame on the wires.

    Entering the block returns once all ports are bound and resolved, not before a pod is ready:
    connections wait; see ``ready``. It raises FerrymanError if that can never be. Leaving it resets
    what is open and closes the ports.
    """

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Forward, None]:
        from ferryman.access.kubeconfig import load

        path = os.fspath(kubeconfig) if kubeconfig is not None else None
        access = load(path, context, os.environ)
        pairs = _pairs(ports)
        parse_duration(hold)
        wish = Wish(
            target=_target(target, namespace or access.namespace),
            ports=tuple((pair.local, pair.remote) for pair in pairs),
            hosts=tuple(port_grammar.parse_hosts(address)),
            hold=hold,
            balance=_BALANCE[balance],
            wait=wait,
        )
        run = _Run()
        async with Tasks(run.broke) as tasks:
            task = tasks.start(
                carry_out(access, [wish], run, run, trace=trace), f"forward to {wish.target}"
            )
            try:
                yield Forward(wish, await run.begin(task), run)
            finally:
                await run.end(task)

    return Session(opened, BlockingForward)


def relay(
    listen: int | str, target: int | str, *, hold: str = "0s"
) -> Session[Relay, BlockingRelay]:
    """Carry bytes from ``listen`` to ``target``, for as long as the block lasts.

    Both are addresses as ``ferry relay`` takes them: a port, HOST:PORT, the path of a UNIX socket,
    or as socat writes them; listening on port 0 takes a free one. ``hold`` is how long a client
    waits for a target that refuses. Entering the block raises FerrymanError if an address cannot be
    listened on.
    """

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Relay, None]:
        source, sink = addresses.parse_place(str(listen)), addresses.parse_place(str(target))
        policy = Policy(hold=parse_duration(hold))
        looking = _Looking()
        told = Broadcast[contract.Event](Gap)
        plane = ThreadedDataPlane()
        async with Tasks(told.close) as tasks:
            try:
                await plane.policy(_RELAY, policy, 0)
                await plane.endpoints(_RELAY, [Endpoint(str(sink), sink)], 0)
                binds = {Bind(place, tag=_RELAY): _RELAY for place in _places(source)}
                bound = _bound(await plane.apply(binds))
                pumping = tasks.start(_pump(plane, told), "events of a relay")
                yield Relay(bound, told, lambda: looking.begin(plane, policy))
                await plane.stop(0)
                await pumping
            finally:
                await plane.stop(0)
                await looking.end()

    return Session(opened, BlockingRelay)


# -- what a block gives --


class Forward:
    """A forward that runs. ``host`` and ``port`` are the first address and port that listen;
    ``ports`` has every local port by the remote one that was asked for.
    """

    def __init__(self, wish: Wish, begun: RelayStatus, run: _Run) -> None:
        self._run = run
        self.host = _reachable(wish.hosts[0])
        self.ports: Mapping[int | str, int] = {
            remote: port.port for (_, remote), port in zip(wish.ports, begun.ports, strict=True)
        }
        self.port = begun.ports[0].port

    @property
    def status(self) -> RelayStatus:
        """What is so now: conditions with their reasons, endpoints, connections."""
        return self._run.last

    def events(self) -> AsyncIterator[Event]:
        """All that happens from now on; ends with the block, raises if the forward breaks."""
        return self._run.told.read()

    async def ready(self) -> RelayStatus:
        """Wait until connections get through; give it a timeout with ``asyncio.timeout``."""
        changes = self._run.told.read()
        while not is_so(self.status, "Ready"):
            if await anext(changes, None) is None:
                raise Unavailable("the forward has ended")
        return self.status


class Relay:
    """A relay that runs; ``addresses`` are those that are listened on."""

    def __init__(
        self,
        bound: Sequence[Address],
        told: Broadcast[contract.Event],
        look: Callable[[], Awaitable[Receiving]],
    ) -> None:
        self.addresses = tuple(bound)
        self._told = told
        self._look = look

    @property
    def host(self) -> str:
        """Where to connect to; UserError for a UNIX socket."""
        return _reachable(self._tcp().host)

    @property
    def port(self) -> int:
        """The port that listens; UserError for a UNIX socket."""
        return self._tcp().port

    def events(self) -> AsyncIterator[contract.Event]:
        """All that happens from now on; ends with the block."""
        return self._told.read()

    async def exchanges(self) -> AsyncIterator[Exchange | Missed]:
        """What is said, decoded and without secrets, on connections that begin once this is read;
        each exchange when it is over. Of each body, 64 KiB are kept. Ends with the block. A reader
        that is too slow gets a Missed.
        """
        receiving = await self._look()
        async for exchange in receiving.read():
            yield exchange

    def _tcp(self) -> TcpAddress:
        first = self.addresses[0] if self.addresses else None
        if not isinstance(first, TcpAddress):
            raise UserError(f"{first or 'it'} is no TCP address")
        return first


class BlockingForward:
    """A Forward without asyncio. Its methods wait; call them from any thread."""

    def __init__(self, inner: Forward, thread: InThread[Any]) -> None:
        self._inner = inner
        self._thread = thread
        self.host, self.port, self.ports = inner.host, inner.port, inner.ports

    @property
    def status(self) -> RelayStatus:
        """As ``Forward.status``."""
        return self._inner.status

    def events(self) -> Iterator[Event]:
        """As ``Forward.events``; the iterator waits for what is next."""
        return self._thread.iterate(self._inner.events)

    def ready(self, timeout: float = 60.0) -> RelayStatus:
        """Wait until connections get through; TimeoutError after so many seconds."""

        async def within() -> RelayStatus:
            async with asyncio.timeout(timeout):
                return await self._inner.ready()

        return self._thread.call(within())


class BlockingRelay:
    """A Relay without asyncio."""

    def __init__(self, inner: Relay, thread: InThread[Any]) -> None:
        self._inner = inner
        self._thread = thread
        self.addresses = inner.addresses

    @property
    def host(self) -> str:
        """As ``Relay.host``."""
        return self._inner.host

    @property
    def port(self) -> int:
        """As ``Relay.port``."""
        return self._inner.port

    def events(self) -> Iterator[contract.Event]:
        """As ``Relay.events``; the iterator waits for what is next."""
        return self._thread.iterate(self._inner.events)

    def exchanges(self) -> Iterator[Exchange | Missed]:
        """As ``Relay.exchanges``; the iterator waits for what is next."""
        return self._thread.iterate(self._inner.exchanges)


# -- how it is done --


class _Looking:
    """The inspector of one relay, once somebody asks for exchanges."""

    def __init__(self) -> None:
        self._receiving: Receiving | None = None
        self._begun = asyncio.Lock()

    async def begin(self, plane: ThreadedDataPlane, policy: Policy) -> Receiving:
        """Have connections observed from now on."""
        async with self._begun:
            if self._receiving is None:
                from ferryman.inspector.receiving import Receiving

                receiving = Receiving(Seeing(verbose=True))
                await receiving.begin()
                self._receiving = receiving
                await plane.observe(receiving.start)
                await plane.policy(_RELAY, replace(policy, observe="Full"), 1)
            return self._receiving

    async def end(self) -> None:
        """The data plane has stopped."""
        if self._receiving is not None:
            await self._receiving.finish()


class _Run:
    """Observes one forward, and says when it is to stop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.now = asyncio.Event()
        self.told = Broadcast[Event](Gap)
        self.last = RelayStatus()
        self._first: asyncio.Future[RelayStatus] = asyncio.get_running_loop().create_future()

    async def begin(self, task: asyncio.Task[None]) -> RelayStatus:
        """The status once the ports are bound and resolved; raises what keeps them from being."""
        await asyncio.wait((task, self._first), return_when=asyncio.FIRST_COMPLETED)
        if not self._first.done():
            await task
        return self._first.result()

    async def end(self, task: asyncio.Task[None]) -> None:
        """Stop at once. Raises why it broke, if it did."""
        self.stopping.set()
        self.now.set()
        self._first.cancel()
        try:
            if not task.done() or self._begun():
                await task
        finally:
            self.told.close()

    def broke(self, error: BaseException) -> None:
        """It ended with an error."""
        self.told.close(error)

    def forwarding(self, wish: Wish, status: RelayStatus) -> None:
        del wish
        self.last = status
        if not self._first.done():
            self._first.set_result(status)

    def status(self, wish: Wish, status: RelayStatus) -> None:
        del wish
        if status != self.last:
            self.last = status
            self.told.tell(StatusChanged(status))

    def event(self, wish: Wish | None, event: contract.Event) -> None:
        del wish
        self.told.tell(event)

    def draining(self, connections: int) -> None:
        """Nobody waits for that: a block that is left resets what is open."""

    def _begun(self) -> bool:
        return self._first.done() and not self._first.cancelled()


async def _pump(plane: ThreadedDataPlane, told: Broadcast[contract.Event]) -> None:
    async for event in plane.events():
        told.tell(event)
    told.close()


def _pairs(ports: Sequence[int | str]) -> list[port_grammar.Pair]:
    if not ports:
        raise UserError("no port to forward to", 'such as: forward("deployment/web", 8000)')
    pairs = [
        port_grammar.Pair(0, port) if isinstance(port, int) else port_grammar.parse_pair(port)
        for port in ports
    ]
    port_grammar.check_distinct(pairs)
    return pairs


def _target(text: str, namespace: str) -> targets.Target:
    if text.startswith("-l"):
        return targets.selected(text.removeprefix("-l").strip(), namespace)
    return targets.parse(text, namespace)


def _places(address: Address | Spec) -> tuple[Address | Spec, ...]:
    if isinstance(address, (TcpAddress, UnixAddress)):
        return addresses.loopbacks(address)
    return (address,)


def _bound(applied: contract.Applied) -> list[Address]:
    """Where it listens; raises UserError unless it does wherever this machine can."""
    failures = [f for f in applied.values() if isinstance(f, NotBound)]
    found = (b.address for b in applied.values() if not isinstance(b, NotBound))
    bound = [a for a in found if isinstance(a, (TcpAddress, UnixAddress))]
    for failure in failures:
        if not (failure.absent and bound):
            raise UserError(str(failure), "choose another port, or end that process")
    return bound


def _reachable(host: str) -> str:
    """Where a client finds what listens there: nobody connects to a wildcard."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
