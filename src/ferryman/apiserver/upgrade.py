"""Connections that stop being HTTP: an endpoint answers with ``TakeOver`` and has the transport.

The request goes through the application like any other, so it is authenticated, authorised and
routed by the same code before anybody takes over; there is no second way in. ``server`` serves
with ``HttpProtocol``, which tracks the connections that were taken, to end them with the rest.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from dataclasses import dataclass, field

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ferryman.api.status import BadRequest

_EXTENSION = "ferryman.take_over"


class TakeOver(Response):
    """Writes ``head`` as it is; from then on the connection is ``protocol``'s.

    ``head`` is a whole HTTP head, such as a 101. The protocol gets ``connection_made`` with the
    transport (plain or TLS), then what the client sent too early, then everything else; it must
    close the transport in the end. Without a protocol the connection is closed after ``head``.
    Answers 400 if the client did not ask for an upgrade.
    """

    def __init__(self, head: bytes, protocol: asyncio.Protocol | None = None) -> None:
        super().__init__()
        self._head = head
        self._protocol = protocol

    async def __call__(self, scope: Scope, receive: Receive, _: Send) -> None:
        http: HttpProtocol | None = scope.get("extensions", {}).get(_EXTENSION, {}).get("protocol")
        if http is None:
            raise BadRequest("you must request an upgrade of the connection here")
        # The request's body, empty as it is, must be over: what follows is not HTTP.
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.request":
            http.take_over(self._head, self._protocol)


@dataclass(slots=True)
class Connections:
    """What a server knows about its connections.

    ``admitting`` is False while no new one may come in, even from a handshake that had begun.
    ``lost`` is set whenever an HTTP connection ends. ``taken`` forgets a transport by itself.
    """

    state: ServerState = field(default_factory=ServerState)
    taken: weakref.WeakSet[asyncio.Transport] = field(default_factory=weakref.WeakSet)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    admitting: bool = False

    def cut(self) -> None:
        """End all of them, now."""
        for connection in list(self.state.connections):
            connection.transport.abort()
        for transport in list(self.taken):
            transport.abort()


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, with upgrades left to the application.

    A request's state (``request.state.closing``) has the event that says the server is stopping.
    """

    def __init__(self, config: Config, connections: Connections) -> None:
        super().__init__(config, connections.state, {"closing": connections.closing})
        self.logger = _LOGGER
        self._all = connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        super().connection_made(transport)
        if not self._all.admitting:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._all.lost.set()

    def take_over(self, head: bytes, protocol: asyncio.Protocol | None) -> None:
        """Give the connection away, in the middle of a request that was not answered yet."""
        # For uvicorn, this request has had its answer and this connection is over.
        self.cycle.response_started = self.cycle.response_complete = True
        self.connections.discard(self)
        if self.transport.is_closing():
            return
        early, _ = self.conn.trailing_data
        self.transport.write(head)
        if protocol is None:
            self.transport.close()
            return
        self._all.taken.add(self.transport)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        if early:
            protocol.data_received(early)
        self.flow.resume_reading()

    def _get_upgrade(self) -> bytes | None:
        """Asked by uvicorn about each request; it must believe that no upgrade is wanted."""
        if super()._get_upgrade() is not None:
            self.scope["extensions"] = {_EXTENSION: {"protocol": self}}
        return None

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for what is no HTTP; amid an answer there is no room for another."""
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.abort()
        else:
            super().send_400_response(msg)


def _not_cancelled(record: logging.LogRecord) -> bool:
    """``server`` cancels what does not end in time; that is no news."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


_LOGGER = logging.getLogger("ferryman.apiserver.http")
_LOGGER.setLevel(logging.ERROR)  # uvicorn warns about every garbled request: the client is told
_LOGGER.addFilter(_not_cancelled)
