"""An engine on a loop in a thread, and the plain sockets on either side of it.

Tests talk through real sockets and block on them with a timeout; what the engine reports is kept
in ``events``, and ``wait`` returns once it satisfies a condition.
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from ferryman.addresses import Address, TcpAddress, UnixAddress
from ferryman.dataplane.contract import (
    Applied,
    Bind,
    Bound,
    ClusterSettings,
    Endpoint,
    Event,
    PodAddress,
    Policy,
)
from ferryman.dataplane.engine import Engine
from ferryman.dataplane.loop import Loop

T = TypeVar("T")
PATIENCE = 10.0


class Plane:
    """The engine under test. Its methods may be called from the test's thread."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.engine = Engine(self.loop, self._emit)
        self.events: list[Event] = []
        self.listening: dict[Bind, str] = {}
        """What tests that listen more than once have asked for so far."""
        self._changed = threading.Condition()
        self._generation = itertools.count()
        self._thread = threading.Thread(target=self.loop.run, name="plane under test")
        self._thread.start()

    def call(self, function: Callable[[], T]) -> T:
        """Run something on the loop and return what it returns."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except Exception as error:  # noqa: BLE001  handed to the caller
                future.set_exception(error)

        self.loop.call_threadsafe(run)
        return future.result(PATIENCE)

    def apply(self, listeners: Mapping[Bind, str]) -> Applied:
        return self.call(lambda: self.engine.apply(listeners))

    def endpoints(self, name: str, *targets: Address | Endpoint) -> None:
        found = [t if isinstance(t, Endpoint) else Endpoint(str(t), t) for t in targets]
        self.call(lambda: self.engine.endpoints(name, found, next(self._generation)))

    def policy(self, name: str, policy: Policy) -> None:
        self.call(lambda: self.engine.policy(name, policy, next(self._generation)))

    def relay(
        self, listen: Address, *targets: Address, policy: Policy | None = None, name: str = "r"
    ) -> Address:
        """Listen and lead to the targets; returns the bound address."""
        bind = Bind(listen, tag=name)
        bound = self.apply({bind: name})[bind]
        assert isinstance(bound, Bound), bound
        assert isinstance(bound.address, (TcpAddress, UnixAddress))
        self.policy(name, policy or Policy(hold=0))
        self.endpoints(name, *targets)
        return bound.address

    def wait(self, condition: Callable[[list[Event]], T | None]) -> T:
        """Return what the condition returns, once that is true."""
        with self._changed:
            found = self._changed.wait_for(lambda: condition(self.events), PATIENCE)
            assert found, self.events
            return found

    def wait_for(self, kind: type[T], number: int = 1) -> T:
        """The n-th event of a kind."""

        def find(events: list[Event]) -> T | None:
            found = [e for e in events if isinstance(e, kind)]
            return found[number - 1] if len(found) >= number else None

        return self.wait(find)

    def close(self) -> None:
        self.loop.call_threadsafe(lambda: self.engine.stop(0, self.loop.stop))
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self.loop.close()

    def _emit(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()


class Forward:
    """A listener of a plane that leads into pods of the cluster with these settings."""

    def __init__(self, plane: Plane, settings: ClusterSettings) -> None:
        self.plane = plane
        self._cluster = settings.key
        plane.call(lambda: plane.engine.cluster(settings))
        address = plane.relay(TcpAddress("127.0.0.1", 0), policy=Policy(), name="forward")
        assert isinstance(address, TcpAddress)
        self.address = address

    def to(self, port: int, pod: str = "web-1") -> None:
        """Lead to one port of a pod."""
        self.lead(self.pod(port, pod))

    def pod(self, port: int, name: str, *, going: bool = False) -> Endpoint:
        """An endpoint; its port decides what the pod does."""
        address = PodAddress(self._cluster, "default", name, f"uid-{name}", port)
        return Endpoint(address.uid, address, "Draining" if going else "Active")

    def lead(self, *endpoints: Endpoint) -> None:
        """Lead to these, best first."""
        self.plane.endpoints("forward", *endpoints)

    def connect(self) -> socket.socket:
        return connect(self.address)


@contextmanager
def plane() -> Iterator[Plane]:
    one = Plane()
    try:
        yield one
    finally:
        one.close()


def listen(address: Address) -> socket.socket:
    """A blocking listener with a timeout, on a free port if the port is 0."""
    if isinstance(address, UnixAddress):
        server = socket.socket(socket.AF_UNIX)
        server.bind(address.path)
        server.listen(128)
    else:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        server = socket.create_server((address.host, address.port), family=family, backlog=128)
    server.settimeout(PATIENCE)
    return server


def address_of(server: socket.socket) -> Address:
    name = server.getsockname()
    return UnixAddress(name) if isinstance(name, str) else TcpAddress(name[0], name[1])


def connect(address: Address) -> socket.socket:
    if isinstance(address, UnixAddress):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(address.path)
        return client
    return socket.create_connection((address.host, address.port), timeout=PATIENCE)


def accept(server: socket.socket) -> socket.socket:
    client, _ = server.accept()
    client.settimeout(PATIENCE)
    return client


def read_all(sock: socket.socket) -> bytes:
    """Everything up to the end of the stream."""
    return b"".join(iter(lambda: sock.recv(1 << 20), b""))


def read_exactly(sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = sock.recv(min(1 << 20, count - len(data)))
        assert more, f"ended after {len(data)} of {count} bytes"
        data += more
    return bytes(data)


def reset(sock: socket.socket) -> None:
    """Close with an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
