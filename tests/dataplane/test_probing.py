"""Whether a plain address takes connections, asked of a data plane in its thread."""

from __future__ import annotations

import asyncio
import socket

from ferryman.addresses import TcpAddress
from ferryman.dataplane.threaded import ThreadedDataPlane


async def test_an_address_is_refused_until_somebody_listens() -> None:
    plane = ThreadedDataPlane()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = TcpAddress("127.0.0.1", server.getsockname()[1])
            assert await plane.probe(address, 0.1) is None
            client, _ = await asyncio.to_thread(server.accept)
            with client:
                assert client.recv(1) == b""
        failure = await plane.probe(address, 0.1)
        assert failure is not None
        assert failure.kind == "refused"
    finally:
        await plane.stop(0)
