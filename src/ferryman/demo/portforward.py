"""The node's end of port-forward: answers upgrades, and shares a wire between its pairs.

All three wires come through ``protocols.answering``; this module knows ``ServerWire`` only. As a
node does, it accepts before anything is dialled, and one reader that does not read stops its whole
wire. ``podside`` has the pod's end of each pair; ``half_close=True`` makes it carry ends
faithfully, which no node with containerd does.
"""

from __future__ import annotations

import asyncio
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
from ferryman.demo.kubelet.sandbox import Sandbox
from ferryman.demo.podside import HIGH_WATER, PodSide
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

STREAM_CREATION = 30.0
"""Seconds within which a pair's second stream has to come (kubelet)."""
WIRES = {"tunnel": (TUNNEL,), "spdy": (SPDY,), "channels": (V4, V4_BASE64)}
"""What can be spoken, and the names that the protocol has on the wire."""


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
        *,
        half_close: bool = False,
    ) -> None:
        self.stats = WireStats()
        self.speaks = frozenset(WIRES)
        """The names of ``WIRES`` that are spoken; a test makes an older server of it."""
        self._client = client
        self._kubelet = kubelet
        self.half_close = half_close

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


class WireProtocol(asyncio.Protocol):
    """One wire: the client's connection, and a ``PodSide`` for each pair."""

    def __init__(self, owner: PortForwarder, wire: ServerWire, sandbox: Sandbox) -> None:
        self.machine = wire
        self.sandbox = sandbox
        self.writable = True
        self.half_close = owner.half_close
        self._owner = owner
        self._pairs: dict[int, PodSide] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._clogged: set[int] = set()
        self._transport: asyncio.Transport | None = None
        self._flushing = False

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

    def flush_soon(self) -> None:
        """As ``flush``, once for all who ask in this turn."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush_now)

    def dial_failed(self) -> None:
        """Count it."""
        self._owner.stats.dials_failed += 1

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

    def _flush_now(self) -> None:
        self._flushing = False
        self.flush()

    def _open(self, pair: int, port: int) -> None:
        if timer := self._timers.pop(pair, None):
            timer.cancel()
        self._owner.stats.pairs_opened += 1
        side = PodSide(self, pair, port)
        self._pairs[pair] = side
        side.dial()

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
