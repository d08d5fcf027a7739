"""UDP: a listener with a flow for each peer, and a socket that is connected to one.

There is no end of stream in UDP: an empty datagram means nothing, a flow ends when nothing was
said for ``IDLE`` seconds, or ``LAST_WORDS`` after the other end said its last. A datagram stays
one as long as both ends are UDP. What comes faster than it is taken is dropped, as UDP may.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable

from ferryman.addresses import TcpAddress
from ferryman.addresses.specs import Spec
from ferryman.dataplane.contract import HANGUP, READ, WRITE, Bind, ReadyCallback
from ferryman.dataplane.emulated import Emulated
from ferryman.dataplane.listeners import Accept, Told
from ferryman.dataplane.loop import Loop, Timer
from ferryman.dataplane.sockets import SocketSide

IDLE = 60.0
LAST_WORDS = 5.0
MOST_PEERS = 1024
"""When there are so many, the one that was silent for longest gives way to a new one."""
_LARGEST = 65507  # bytes of a datagram over IPv4
_QUEUE = 256 * 1024  # bytes of datagrams that wait for one flow
_BATCH = 64


class UdpSide:
    """A connected UDP socket."""

    fd: int | None = None  # datagrams are not spliced: their bounds would be lost

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self._loop = loop
        self._inner = SocketSide(loop, sock)
        self._on_ready: ReadyCallback | None = None
        self._timer: Timer | None = None
        self._said_last = False
        self._heard = 0.0
        self._ended = False

    def attach(self, on_ready: ReadyCallback) -> None:
        self._on_ready = on_ready
        self._inner.attach(on_ready)

    def want(self, mask: int) -> None:
        self._inner.want(mask)

    def recv_into(self, buffer: memoryview) -> int:
        if self._ended:
            return 0
        count = self._inner.recv_into(buffer)
        self._heard = self._loop.now()
        if not count:
            raise BlockingIOError  # an empty datagram is no end
        return count

    def send(self, data: memoryview) -> int:
        return self._inner.send(data[:_LARGEST])

    def shutdown(self) -> None:
        """No peer can be told; its answers are still heard, and for how long is known here only."""
        self._said_last = True
        self._heard = self._loop.now()
        self._timer = self._loop.call_later(LAST_WORDS, self._silent)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._inner.close()

    def abort(self, why: str) -> None:
        del why  # nobody can be told
        self.close()

    def half_closed(self) -> bool:
        return self._ended

    def departed(self) -> bool:
        return self._ended

    def _silent(self) -> None:
        left = self._heard + LAST_WORDS - self._loop.now()
        if left > 0:
            self._timer = self._loop.call_later(left, self._silent)
            return
        self._timer = None
        self._ended = True
        if self._on_ready is not None:
            self._on_ready(READ)


class PeerSide(Emulated):
    """One peer of a listener: what it sends waits in a queue; a ``Client``."""

    fd: int | None = None

    def __init__(self, listener: UdpListener, address: tuple[str, int]) -> None:
        super().__init__(listener.loop)
        self.address = address
        self.active = listener.loop.now()
        self._listener = listener
        self._queue: deque[bytes] = deque()
        self._waiting = 0
        self._stuck = False
        self._ended = False
        self._closed = False
        self._timer: Timer | None = self._loop.call_later(IDLE, self._look)

    def push(self, data: bytes) -> None:
        """A datagram came."""
        self.active = self._loop.now()
        if self._ended or self._waiting + len(data) > _QUEUE or not data:
            return
        self._queue.append(data)
        self._waiting += len(data)
        self._news()

    def end(self) -> None:
        """It is taken to be gone."""
        self._ended = True
        self._news()

    def free(self) -> None:
        """The listener's socket takes datagrams again."""
        self._stuck = False
        self._news()

    def recv_into(self, buffer: memoryview) -> int:
        if not self._queue:
            if self._ended:
                return 0
            raise BlockingIOError
        data = self._queue.popleft()
        self._waiting -= len(data)
        count = min(len(data), len(buffer))
        buffer[:count] = data[:count]
        return count

    def send(self, data: memoryview) -> int:
        self.active = self._loop.now()
        try:
            return self._listener.send(data[:_LARGEST], self)
        except BlockingIOError:
            self._stuck = True
            raise

    def shutdown(self) -> None:
        """No peer can be told: it may go on until it is silent."""

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._listener.left(self)

    def abort(self, why: str) -> None:
        del why
        self.close()

    def half_closed(self) -> bool:
        return self._ended

    def departed(self) -> bool:
        return self._ended and not self._queue

    def _possible(self) -> int:
        if self._closed:
            return 0
        return (
            (READ if self._queue or self._ended else 0)
            | (0 if self._stuck else WRITE)
            | (HANGUP if self._ended and not self._queue else 0)
        )

    def _look(self) -> None:
        left = self.active + IDLE - self._loop.now()
        self._timer = None
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self.end()


class UdpListener:
    """One socket, and the peers that it hears. Without ``fork`` it serves the first one only."""

    def __init__(
        self,
        loop: Loop,
        bind: Bind,
        sock: socket.socket,
        address: Spec,
        *,
        fork: bool,
        most: int,
        served: Callable[[object], bool],
        told: Told,
    ) -> None:
        self.loop = loop
        self.bind = bind
        self.address = address
        self.linger: Timer | None = None
        self._sock = sock
        self._fork = fork
        self._most = most
        self._served = served
        self._told = told
        self._accept: Accept | None = None
        self._peers: dict[tuple[str, int], PeerSide] = {}  # whoever spoke last is the last
        self._spent = self._closing = False
        self._mask = 0

    def lead_to(self, accept: Accept | None) -> None:
        self._accept = accept
        self._update()

    def close(self) -> None:
        """New peers are heard no more; the socket goes with the last flow."""
        self.lead_to(None)
        self._closing = True
        if self.linger is not None:
            self.linger.cancel()
        self._release()

    def send(self, data: memoryview, peer: PeerSide) -> int:
        """Send a datagram; raises BlockingIOError, then the peer is told when it can again."""
        try:
            return self._sock.sendto(data, peer.address)
        except BlockingIOError:
            self._update(stuck=True)
            raise

    def left(self, peer: PeerSide) -> None:
        """The peer's flow is over."""
        if self._peers.get(peer.address) is peer:
            del self._peers[peer.address]
        if self._spent and not self._peers:
            self.loop.call_soon(lambda: self._told(None, over=True))
        self._release()

    def _release(self) -> None:
        if self._closing and not self._peers and self._sock.fileno() >= 0:
            self._watch(0)
            self._sock.close()

    def _update(self, *, stuck: bool = False) -> None:
        heard = self._accept is not None or self._peers
        self._watch((READ if heard else 0) | (WRITE if stuck else 0))

    def _watch(self, mask: int) -> None:
        if mask and not self._mask:
            self.loop.add(self._sock.fileno(), mask, self._ready)
        elif mask:
            self.loop.modify(self._sock.fileno(), mask)
        elif self._mask:
            self.loop.remove(self._sock.fileno())
        self._mask = mask

    def _ready(self, mask: int) -> None:
        if mask & WRITE:
            self._update()
            for peer in list(self._peers.values()):
                peer.free()
        if mask & READ:
            for _ in range(_BATCH):
                try:
                    count, _, _, address = self._sock.recvmsg_into([self.loop.buffer])
                except BlockingIOError:
                    return
                except OSError:
                    continue  # an ICMP error about what was sent to somebody
                self._heard(bytes(self.loop.buffer[:count]), address)

    def _heard(self, data: bytes, address: tuple[str, int]) -> None:
        peer = self._peers.pop(address, None)
        if peer is None:
            peer = self._new(address)
            if peer is None:
                return
            self._peers[address] = peer
            peer.push(data)
            if self._accept is not None:
                self._accept(peer, str(TcpAddress(address[0], address[1])))
        else:
            self._peers[address] = peer
            peer.push(data)

    def _new(self, address: tuple[str, int]) -> PeerSide | None:
        """A side for a new peer, if it is to be served."""
        if self._accept is None or self._spent or not self._served(address):
            return None
        if len(self._peers) >= (self._most or MOST_PEERS):
            if self._most:
                return None
            next(iter(self._peers.values())).end()
            if len(self._peers) >= 2 * MOST_PEERS:
                return None  # their flows have not ended yet
        self._spent = not self._fork
        return PeerSide(self, address)
