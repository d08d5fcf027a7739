"""An API server that does nothing but port-forward, for tests of the wires: real sockets, TLS.

It runs in a thread of its own and answers with the node's ends of ``protocols``. What the "pods"
do is chosen by port (``APPS``); how the server misbehaves is chosen by its attributes, which a
test may change at any time. ``call`` runs something in the server's thread.
"""

from __future__ import annotations

import hashlib
import json
import queue
import selectors
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

from ferryman.dataplane.contract import ClusterSettings
from ferryman.errors import PeerError
from ferryman.protocols import answering
from ferryman.protocols.multiplex import (
    Data,
    Finished,
    GoneAway,
    PairOpened,
    PairReset,
    ServerEvent,
    ServerWire,
)
from ferryman.runtime.tls import TLSSettings
from tests.support import certificates

T = TypeVar("T")

REFUSED_TEXT = (
    "error forwarding port 9 to pod 3f2a, uid : failed to execute portforward in network namespace "
    '"/var/run/netns/cni-1": failed to connect to localhost:9 inside namespace "3f2a", IPv4: dial '
    "tcp4 127.0.0.1:9: connect: connection refused IPv6 dial tcp6: address localhost: no suitable "
    "address found "
)
GONE_TEXT = (
    'error forwarding port 9 to pod 3f2a, uid : failed to find sandbox "3f2a" in store: not found'
)
RESET_TEXT = "error forwarding port 9 to pod 3f2a, uid : read: connection reset by peer"

ECHO, HELLO, SILENT, REFUSE, GONE, FIN, CUT, TEXT, HALF, RESET, FLOOD, DIGEST, LATE = range(
    1001, 1014
)
"""Ports of pods, and what the application there does:

ECHO echoes and ends when the client does; HELLO speaks first; SILENT never does; REFUSE, GONE do
not exist; FIN ends without a word, HALF after a word, TEXT with an error after a word, RESET with
an RST; CUT takes the whole wire with it; FLOOD sends as many bytes as it is told; DIGEST says at
the end how many bytes of what came; LATE echoes but leaves the end to ``end_pairs``.
"""

_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]


@dataclass(slots=True)
class _App:
    port: int
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)  # noqa: UP037
    count: int = 0
    to_send: int = 0
    ended: bool = False


class _Connection:
    def __init__(self, server: ApiServer, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.handshaking = isinstance(sock, ssl.SSLSocket)
        self.head = bytearray()
        self.out = bytearray()
        self.wire: ServerWire | None = None
        self.apps: dict[int, _App] = {}
        self.closing = False
        self.request: Request | None = None
        self.waits = 0

    # -- bytes --

    def step(self) -> None:
        """Do all that can be done without waiting."""
        if self.handshaking:
            self.sock.do_handshake()  # type: ignore[attr-defined]  # SSLSocket
            self.handshaking = False
            self.server.resumed += bool(self.sock.session_reused)  # type: ignore[attr-defined]
        self.write_some()
        for _ in range(16):
            data = self.sock.recv(_CHUNK)
            if not data:
                raise ConnectionResetError
            self.read(data)
            self.write_some()

    def read(self, data: bytes) -> None:
        if self.wire is None:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end >= 0:
                self.upgrade(bytes(self.head[:end]), bytes(self.head[end + 4 :]))
            return
        self.take(self.wire.receive(data))

    def write_some(self) -> None:
        """A peer that does not read must not keep us from reading."""
        try:
            self.write()
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass  # ``out`` is not empty: we shall be told

    def write(self) -> None:
        while True:
            if self.wire is not None and not self.server.mute:
                if len(self.out) < 4 * _CHUNK:
                    self.flood(self.wire)
                for piece in self.wire.data_to_send():
                    self.out += piece
            if not self.out:
                break
            sent = self.sock.send(bytes(self.out[: 4 * _CHUNK]))
            del self.out[:sent]
        if self.closing:
            raise ConnectionResetError

    # -- HTTP --

    def upgrade(self, head: bytes, rest: bytes) -> None:
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split(" ")
        query = target.partition("?")[2]
        pairs = [line.split(": ", 1) for line in lines]
        self.request = Request(method, target, {name.lower(): value for name, value in pairs})
        self.server.requests.append(self.request)
        if self.server.unanswered:
            return
        refusal = self.server.refuse(self.request)
        if refusal is not None:
            self.out += refusal
            self.closing = True
            return
        headers = [(name.encode(), value.encode()) for name, value in pairs]
        answer = answering.answer(method, query, headers)
        self.out += answer.response
        if isinstance(answer, answering.Refused):
            self.closing = True
            return
        self.wire = answer.wire
        self.server.protocols.append(answer.protocol)
        self.take(self.wire.receive(rest))

    # -- what the pods do --

    def take(self, events: list[ServerEvent]) -> None:
        wire = self.wire
        assert wire is not None
        for event in events:
            if isinstance(event, PairOpened):
                self.opened(wire, event)
            elif isinstance(event, Data) and event.pair in self.apps:
                self.data(wire, event.pair, self.apps[event.pair], event.data)
            elif isinstance(event, Finished) and event.pair in self.apps:
                self.finished(wire, event.pair, self.apps[event.pair])
            elif isinstance(event, PairReset) and self.apps.pop(event.pair, None) is not None:
                self.server.resets += 1
                wire.reset(event.pair)
            elif isinstance(event, GoneAway):
                self.server.goodbyes += 1

    def opened(self, wire: ServerWire, event: PairOpened) -> None:
        self.server.opened.append(event.port)
        if event.port == REFUSE:
            wire.fail(event.pair, REFUSED_TEXT)
        elif event.port == GONE:
            wire.fail(event.pair, GONE_TEXT, gone=True)
        else:
            self.apps[event.pair] = _App(event.port)
            if event.port == HELLO:
                wire.send(event.pair, b"hello")

    def data(self, wire: ServerWire, pair: int, app: _App, data: memoryview) -> None:
        app.count += len(data)
        if app.port in (ECHO, HELLO, LATE):
            wire.send(pair, data)
        elif app.port == FIN:
            self.end(wire, pair)
        elif app.port == CUT:
            self.cut()
        elif app.port == TEXT:
            wire.send(pair, b"half an")
            wire.fail(pair, RESET_TEXT)
            del self.apps[pair]
        elif app.port == HALF:
            wire.send(pair, b"all")
            self.end(wire, pair)
        elif app.port == RESET:
            wire.reset(pair)
            del self.apps[pair]
        elif app.port == FLOOD:
            app.to_send += int(bytes(data))
        elif app.port == DIGEST:
            app.digest.update(data)

    def finished(self, wire: ServerWire, pair: int, app: _App) -> None:
        app.ended = True
        self.server.half_closed += 1
        if app.port == DIGEST:
            wire.send(pair, f"{app.count} {app.digest.hexdigest()}".encode())
        if app.port not in (SILENT, LATE) and not app.to_send:
            self.end(wire, pair)

    def end(self, wire: ServerWire, pair: int) -> None:
        wire.finish(pair)
        if not self.server.no_error_end:
            wire.succeed(pair)
        del self.apps[pair]

    def end_pairs(self) -> None:
        if self.wire is not None:
            for pair, app in list(self.apps.items()):
                if app.ended:
                    self.end(self.wire, pair)
            self.write()

    def flood(self, wire: ServerWire) -> None:
        for pair, app in list(self.apps.items()):
            if app.to_send:
                chunk = min(app.to_send, _CHUNK // 2)
                wire.send(pair, pattern(chunk, app.count))
                app.count += chunk
                app.to_send -= chunk
                if not app.to_send:
                    self.end(wire, pair)

    def cut(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionResetError


def pattern(count: int, start: int = 0) -> bytes:
    """Bytes that tell where they belong, as FLOOD sends them (``start`` counts from its order)."""
    offset = start % 251
    return (bytes(range(251)) * (count // 251 + 2))[offset : offset + count]


class ApiServer:
    """Use it in a ``with``. Attributes may be set from the test's thread."""

    def __init__(self, *, tls: bool = True) -> None:
        self.refuse: Callable[[Request], bytes | None] = lambda _: None
        """A whole response for a request that is not to be upgraded."""
        self.unanswered = False
        """Requests get no answer."""
        self.mute = False
        """Wires are read, but nothing is said on them any more: a black hole."""
        self.no_error_end = False
        """Pairs end with a FIN on the data stream, and the error stream stays open."""
        self.requests: list[Request] = []
        self.protocols: list[str] = []
        self.opened: list[int] = []
        self.resets = 0
        self.half_closed = 0
        self.goodbyes = 0
        self.accepted = 0
        self.resumed = 0
        self._certificate = certificates.loopback() if tls else None
        self._context = self._certificate.server_context() if self._certificate else None
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._wake_in, self._wake_out = socket.socketpair()
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._connections: set[_Connection] = set()
        self._more: set[_Connection] = set()
        self._deaf = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="ApiServer")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._calls.put(self._stop)
        self._wake_out.send(b"\0")
        self._thread.join()

    def settings(
        self, key: str = "test", *, token: str = "good", **more: object
    ) -> ClusterSettings:
        """How to reach it."""
        tls = TLSSettings(ca=self._certificate.certificate) if self._certificate else None
        return ClusterSettings(
            key=key,
            host="127.0.0.1",
            port=self.port,
            tls=tls,
            headers=(("authorization", f"Bearer {token}"),),
            **more,  # type: ignore[arg-type]
        )

    @property
    def wires(self) -> int:
        """Connections that are open now."""
        return len(self._connections)

    def call(self, what: Callable[[], T]) -> T:
        """Run it in the server's thread."""
        done: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._calls.put(lambda: done.put(what()))
        self._wake_out.send(b"\0")
        return done.get(timeout=10)

    def end_pairs(self) -> None:
        """End those pairs of LATE whose client has."""

        def end() -> None:
            for connection in self._connections:
                connection.end_pairs()

        self.call(end)

    def answer(self, words: bytes) -> None:
        """Say this on every pair."""

        def answer() -> None:
            for connection in [c for c in self._connections if c.apps]:
                assert connection.wire is not None
                for pair in connection.apps:
                    connection.wire.send(pair, words)
                connection.write()

        self.call(answer)

    def part(self, words: bytes) -> None:
        """Say this on every pair, end it properly, and hang up without a word about the wire."""

        def part() -> None:
            for connection in [c for c in self._connections if c.apps]:
                assert connection.wire is not None
                for pair in list(connection.apps):
                    connection.wire.send(pair, words)
                    connection.end(connection.wire, pair)
                connection.write()
                self._drop(connection)

        self.call(part)

    def say(self, what: Callable[[ServerWire], None], garbage: bytes = b"") -> None:
        """Say something on every wire, and then bytes that mean nothing."""

        def say() -> None:
            for connection in self._connections:
                if connection.wire is not None:
                    what(connection.wire)
                    connection.write()
                    connection.out += garbage
                    connection.write()

        self.call(say)

    def cut_wires(self) -> None:
        """Reset every connection."""

        def cut() -> None:
            for connection in list(self._connections):
                self._step(connection, connection.cut)

        self.call(cut)

    def stop_reading(self) -> None:
        """Read no wire any more, from now on."""

        def stop() -> None:
            self._deaf = True
            for connection in self._connections:
                if connection.wire is not None:
                    self._watch(connection, 0)
            self._more.clear()

        self.call(stop)

    def read_again(self) -> None:
        """Read them again."""
        self._deaf = False

        def step() -> None:
            for connection in list(self._connections):
                self._step(connection, connection.step)

        self.call(step)

    def _run(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._woken)
        while not self._stopped:
            more, self._more = self._more & self._connections, set()
            for connection in more:
                self._step(connection, connection.step)
            for key, _ in self._selector.select(0 if self._more else None):
                if isinstance(key.data, _Connection):
                    if key.data in self._connections:
                        self._step(key.data, key.data.step)
                else:
                    key.data()
        for connection in list(self._connections):
            self._drop(connection)
        self._selector.close()
        for sock in (self._listener, self._wake_in, self._wake_out):
            sock.close()

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.accepted += 1
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        connection = _Connection(self, sock)
        self._connections.add(connection)
        self._watch(connection, selectors.EVENT_READ)

    def _step(self, connection: _Connection, step: Callable[[], None]) -> None:
        waits = selectors.EVENT_READ
        try:
            step()
            self._more.add(connection)  # inside TLS, where select does not see it
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except ssl.SSLWantWriteError:
            waits |= selectors.EVENT_WRITE
        except (OSError, PeerError):
            self._drop(connection)
            return
        if connection.out:
            waits |= selectors.EVENT_WRITE
        self._watch(connection, 0 if self._deaf and connection.wire else waits)

    def _watch(self, connection: _Connection, waits: int) -> None:
        """Be told of these events; of none if 0."""
        if waits == connection.waits:
            return
        if not connection.waits:
            self._selector.register(connection.sock, waits, connection)
        elif waits:
            self._selector.modify(connection.sock, waits, connection)
        else:
            self._selector.unregister(connection.sock)
        connection.waits = waits

    def _drop(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._watch(connection, 0)
        connection.sock.close()

    def _woken(self) -> None:
        self._wake_in.recv(4096)
        while not self._calls.empty():
            self._calls.get()()

    def _stop(self) -> None:
        self._stopped = True


def status(code: int, message: str, reason: str = "", *headers: str) -> bytes:
    """A refusal in the form of a Kubernetes Status."""
    body = json.dumps(
        {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code}
    ).encode()
    lines = [
        f"HTTP/1.1 {code} Refused",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
