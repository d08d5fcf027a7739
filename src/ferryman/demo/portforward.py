"""The node's end of port-forward: answers upgrades and carries bytes between wires and pods.

All three wires come through ``protocols.answering``; this module knows ``ServerWire`` only. It does
what containerd 2.4 was seen to do: it accepts before it dials, tells failures on the error stream,
never half-closes the pod's socket, and gives the other direction one second when one has ended.
``half_close=True`` carries ends faithfully instead. One reader that does not read stops its whole
wire, as on a real node.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from ferryman.api.client import ObjectClient
from ferryman.api.resource import Name
from ferryman.api.status import ApiError, BadRequest, NotFound
from ferryman.apiserver.upgrade import TakeOver
from ferryman.demo.kinds import PODS
from ferryman.demo.kubelet.kubelet import Kubelet
from ferryman.demo.kubelet.sandbox import Sandbox, Stage
from ferryman.errors import PeerError
from ferryman.protocols.answering import V4_BASE64, Refused, answer
from ferryman.protocols.multiplex import (
    Data,
    Finished,
    GoneAway,
    PairAwaited,
    PairOpened,
    PairReset,
    ServerWire,
)
from ferryman.protocols.transports import SPDY, TUNNEL, V4
from ferryman.runtime.tasks import Tasks

LINGER = 1.0
"""Seconds that one direction may go on after the other has ended (containerd)."""
STREAM_CREATION = 30.0
"""Seconds within which a pair's second stream has to come (kubelet)."""
WIRES = {"tunnel": (TUNNEL,), "spdy": (SPDY,), "channels": (V4, V4_BASE64)}
"""What can be spoken, and the names that the protocol has on the wire."""
FRAME = 32768
"""Bytes from the pod in one frame at most, as a node sends them."""
READ = 262144
HIGH_WATER = 1 << 20
"""Bytes waiting for a reader on either side before its writer is paused."""


@dataclass(slots=True)
class WireStats:
    """How many wires there were and are, and the pairs on them."""

    wires_opened: int = 0
    wires_open: int = 0
    pairs_opened: int = 0
    dials_failed: int = 0


class PortForwarder:
    """Answers requests for the portforward subresource of pods."""

    def __init__(
        self,
        client: ObjectClient,
        kubelet: Kubelet,
        tasks: Tasks,
        *,
        half_close: bool = False,
    ) -> None:
        self.stats = WireStats()
        self.speaks = frozenset(WIRES)
        """The names of ``WIRES`` that are spoken; a test makes an older server of it."""
        self._client = client
        self._kubelet = kubelet
        self._tasks = tasks
        self._half_close = half_close

    async def answer(self, request: Request, name: Name) -> Response:
        """The 101 with the connection's new protocol, or why not."""
        pod = await self._client.get(PODS, name.name, name.namespace)
        if not pod["spec"].get("nodeName"):
            raise BadRequest(f"pod {name.name} does not have a host assigned")
        try:
            sandbox = self._kubelet.find(name, pod["metadata"]["uid"]).sandbox
        except NotFound as error:
            raise ApiError(error.message) from error  # the kubelet's own 500
        judged = answer(request.method, request.url.query, request.headers.raw)
        if isinstance(judged, Refused):
            return TakeOver(judged.response)
        if not any(judged.protocol in WIRES[name] for name in self.speaks):
            return Response(status_code=403)  # what a server says to a protocol that it never met
        return TakeOver(judged.response, WireProtocol(self, judged.wire, sandbox))

    def spawn_dial(self, pair: PodSide) -> None:
        """Dial for a pair, as a task of the cluster's."""
        self._tasks.start(pair.dial(), "dial")

    @property
    def half_close(self) -> bool:
        """Whether ends are carried faithfully."""
        return self._half_close


class WireProtocol(asyncio.Protocol):
    """One wire: the client's connection, and a ``PodSide`` for each pair."""

    def __init__(self, owner: PortForwarder, wire: ServerWire, sandbox: Sandbox) -> None:
        self.machine = wire
        self.sandbox = sandbox
        self.writable = True
        self._owner = owner
        self._pairs: dict[int, PodSide] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._clogged: set[int] = set()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._owner.stats.wires_opened += 1
        self._owner.stats.wires_open += 1
        self.data_received(b"")  # v4 wires know their pairs already

    def data_received(self, data: bytes) -> None:
        try:
            for event in self.machine.receive(data):
                match event:
                    case Data(pair, view):
                        if side := self._pairs.get(pair):
                            side.write(view)
                    case PairOpened(pair, port):
                        self._open(pair, port)
                    case Finished(pair) | PairReset(pair):
                        if side := self._pairs.get(pair):
                            side.client_ended(reset=isinstance(event, PairReset))
                    case PairAwaited(pair):
                        self._await_pair(pair)
                    case GoneAway():
                        self._end()
                        return
        except PeerError:
            self._end()
            return
        self.flush()

    def eof_received(self) -> None:
        """The client is gone; TLS has no half-close, so the transport closes itself."""

    def connection_lost(self, _: Exception | None) -> None:
        self._owner.stats.wires_open -= 1
        for timer in self._timers.values():
            timer.cancel()
        for side in list(self._pairs.values()):
            side.abort()
        self._pairs.clear()

    def pause_writing(self) -> None:
        self.writable = False
        for side in self._pairs.values():
            side.pause_reading()

    def resume_writing(self) -> None:
        self.writable = True
        for side in self._pairs.values():
            side.resume_reading()

    def flush(self) -> None:
        """Write what the machine has to say."""
        buffers = self.machine.data_to_send()
        if buffers and self._transport is not None and not self._transport.is_closing():
            self._transport.write(buffers[0] if len(buffers) == 1 else b"".join(buffers))

    def drop(self, pair: int) -> None:
        """The pair is over."""
        self._pairs.pop(pair, None)
        self.clogged(pair, False)

    def clogged(self, pair: int, state: bool) -> None:
        """A pod does not read, or reads again: the whole wire waits for it."""
        before = bool(self._clogged)
        (self._clogged.add if state else self._clogged.discard)(pair)
        if self._transport is None or before == bool(self._clogged):
            return
        if self._transport.is_closing():
            return
        if self._clogged:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _open(self, pair: int, port: int) -> None:
        if timer := self._timers.pop(pair, None):
            timer.cancel()
        self._owner.stats.pairs_opened += 1
        side = PodSide(self, self._owner, pair, port)
        self._pairs[pair] = side
        self._owner.spawn_dial(side)

    def _await_pair(self, pair: int) -> None:
        loop = asyncio.get_running_loop()
        self._timers[pair] = loop.call_later(STREAM_CREATION, self._time_out, pair)

    def _time_out(self, pair: int) -> None:
        self._timers.pop(pair, None)
        self.machine.time_out(pair)
        self.flush()

    def _end(self) -> None:
        self.flush()
        if self._transport is not None:
            self._transport.close()


class PodSide(asyncio.BufferedProtocol):
    """The pod's end of one pair: dials, copies, and ends as containerd does."""

    def __init__(self, wire: WireProtocol, owner: PortForwarder, pair: int, port: int) -> None:
        self._wire = wire
        self._owner = owner
        self._pair = pair
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []  # what came before the pod was reached
        self._waiting_size = 0
        self._client_over = False
        self._pod_over = False
        self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self._buffer = bytearray(READ)
        self._view = memoryview(self._buffer)

    async def dial(self) -> None:
        """Reach the pod's port, or tell the client why not."""
        sandbox = self._wire.sandbox
        match sandbox.stage:
            case Stage.SILENT:
                return  # seen under load: accepted, and never heard of again
            case Stage.CLOSED:
                self._fail(f'network namespace for sandbox "{sandbox.id}" is closed', gone=True)
                return
            case Stage.GONE:
                self._fail(f'failed to find sandbox "{sandbox.id}" in store: not found', gone=True)
                return
            case Stage.UP:
                pass
        try:
            host, number = sandbox.address(self._port)
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: self, host, number)
        except OSError as error:
            self._fail(_dial_error(sandbox, self._port, error))

    # From the client to the pod.

    def write(self, data: memoryview) -> None:
        """Bytes from the client."""
        if self._over:
            return
        if self._transport is not None:
            self._transport.write(bytes(data))
            return
        self._waiting.append(bytes(data))
        self._waiting_size += len(data)
        if self._waiting_size > HIGH_WATER:
            self._wire.clogged(self._pair, True)

    def client_ended(self, *, reset: bool) -> None:
        """The client's FIN, or its RST, which containerd cannot tell from a FIN."""
        if self._client_over or self._over:
            return
        self._client_over = True
        if self._owner.half_close:
            if reset:
                self.abort()
            elif self._pod_over:
                self._succeed()
            elif self._transport is not None:
                self._transport.write_eof()
            return
        self._one_direction_ended()

    # From the pod to the client: what asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._over:  # the wire ended while this was dialled
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        if not self._wire.writable:
            self._transport.pause_reading()
        self._wire.clogged(self._pair, False)  # before writing, which may clog it again
        # Not writelines: up to 3.12.8 and 3.13.1 it never pauses us (CVE-2024-12254).
        self._transport.write(b"".join(self._waiting))
        self._waiting.clear()
        if self._client_over and self._owner.half_close:
            self._transport.write_eof()

    def get_buffer(self, _: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        send = self._wire.machine.send
        for start in range(0, count, FRAME):
            send(self._pair, self._view[start : min(start + FRAME, count)])
        self._wire.flush()

    def eof_received(self) -> bool:
        self._pod_over = True
        if self._owner.half_close:
            if self._client_over:
                self._succeed()
            else:
                self._wire.machine.finish(self._pair)
                self._wire.flush()
        else:
            self._one_direction_ended()
        return True  # the other direction goes on

    def connection_lost(self, error: Exception | None) -> None:
        if self._over:
            return
        if error is None:
            self._succeed()
        else:
            self._fail(_copy_error(self._wire.sandbox, self._port, error))

    def pause_writing(self) -> None:
        self._wire.clogged(self._pair, True)

    def resume_writing(self) -> None:
        self._wire.clogged(self._pair, False)

    # Both.

    def pause_reading(self) -> None:
        """The client does not read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """The client reads again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """The wire is gone, or a reset is carried faithfully: RST to the pod."""
        self._finish(_reset)
        self._wire.machine.reset(self._pair)

    def _one_direction_ended(self) -> None:
        if self._client_over and self._pod_over:
            self._succeed()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._succeed)

    def _succeed(self) -> None:
        if not self._over:
            self._finish(_close)
            self._wire.machine.succeed(self._pair)
            self._wire.flush()

    def _fail(self, why: str, *, gone: bool = False) -> None:
        if self._over:
            return
        sandbox = self._wire.sandbox
        self._owner.stats.dials_failed += 1
        self._finish(_close)
        text = f"error forwarding port {self._port} to pod {sandbox.id}, uid : {why}"
        self._wire.machine.fail(self._pair, text, gone=gone)
        self._wire.flush()

    def _finish(self, close: Callable[[asyncio.Transport], None]) -> None:
        self._over = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            close(self._transport)
        self._wire.drop(self._pair)


def _close(transport: asyncio.Transport) -> None:
    """Close once everything is written."""
    transport.close()


def _reset(transport: asyncio.Transport) -> None:
    """Close with an RST: SO_LINGER with no time."""
    found = transport.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _dial_error(sandbox: Sandbox, port: int, error: OSError) -> str:
    """In containerd's words, which clients are known to read."""
    why = "connection refused" if isinstance(error, ConnectionRefusedError) else error.strerror
    return (
        f'failed to execute portforward in network namespace "{sandbox.namespace}": '
        f'failed to connect to localhost:{port} inside namespace "{sandbox.namespace}", '
        f"IPv4: dial tcp4 127.0.0.1:{port}: connect: {why} "
        "IPv6 dial tcp6: address localhost: no suitable address found "
    )


def _copy_error(sandbox: Sandbox, port: int, error: Exception) -> str:
    why = "connection reset by peer" if isinstance(error, ConnectionResetError) else str(error)
    return (
        f'failed to execute portforward in network namespace "{sandbox.namespace}": '
        f"read tcp4 127.0.0.1->127.0.0.1:{port}: read: {why}"
    )
