"""Connections through a proxy, on asyncio: the proxy is asked, then the connection is handed over.

``protocols.proxy`` speaks; ``connection`` owns what comes out.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from ferryman.errors import FerrymanError, Unavailable
from ferryman.protocols.proxy import Passage


class Passing(asyncio.Protocol):
    """Asks the proxy; ``handed_over`` waits for its consent."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._through: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    async def handed_over(
        self, connection: asyncio.Protocol, context: ssl.SSLContext | None, server_name: str
    ) -> None:
        """Wait until the far end is reached; from then on the transport is ``connection``'s.

        TLS to the far end if there is a context. Raises what the proxy's answer means, or what TLS
        does; then, and when cancelled, the transport is closed.
        """
        assert self._transport is not None
        transport = self._transport
        try:
            await self._through
            if context is None:
                transport.set_protocol(connection)
            else:
                secured = await asyncio.get_running_loop().start_tls(
                    transport, connection, context, server_hostname=server_name
                )
                transport = cast(asyncio.Transport, secured)
            connection.connection_made(transport)
        except BaseException:
            transport.abort()
            raise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._passage.data_to_send())

    def data_received(self, data: bytes) -> None:
        if self._through.done() or self._transport is None:
            return
        try:
            through = self._passage.receive(data)
        except FerrymanError as error:
            self._through.set_exception(error)
            return
        if through:
            self._through.set_result(None)
        elif said := self._passage.data_to_send():
            self._transport.write(said)

    def eof_received(self) -> bool:
        self.data_received(b"")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._through.done():
            self._through.set_exception(Unavailable(f"the proxy hung up: {exc or 'no answer'}"))
