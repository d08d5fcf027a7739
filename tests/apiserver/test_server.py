"""The owner of the listener: loopback only, outages, an end without remains."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ferryman.apiserver import certificates
from ferryman.apiserver.server import Server
from ferryman.errors import UserError
from tests.support.apiserver import BOATS, Api, boat

LIST = "/apis/ferries.example/v1/namespaces/default/boats"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_only_loopback_is_served(host: str) -> None:
    with pytest.raises(UserError, match="not a loopback address"):
        Server(Starlette(), host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_url_says_where_it_listens(host: str) -> None:
    async with Server(Starlette(), host=host) as server:
        shown = f"[{host}]" if ":" in host else host
        assert server.url == f"http://{shown}:{server.port}"
        reader, writer = await asyncio.open_connection(host, server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 404")
        writer.close()
        await writer.wait_closed()


async def test_signals_stay_with_the_process(api: Api) -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is not None
    assert (await api.request("GET", "/version")).status == 200


async def test_a_taken_port_is_an_error(api: Api) -> None:
    with pytest.raises(OSError, match="in use"):
        await Server(Starlette(), port=api.server.port).start()


async def test_an_outage_refuses_and_cuts_and_ends_on_the_same_port(api: Api) -> None:
    port = api.server.port
    async with api.connection() as old:
        assert (await old.request("GET", "/version")).status == 200
        api.server.outage()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert await old.rest() == b""
    await api.server.restore()
    await api.server.restore()
    assert api.server.port == port
    assert (await api.request("GET", "/version")).status == 200


async def test_what_was_written_before_an_outage_is_there_after_it(api: Api) -> None:
    await api.store.create(BOATS, boat("kestrel"))
    api.server.outage()
    await api.server.restore()
    assert (await api.request("GET", f"{LIST}/kestrel")).status == 200


async def test_a_handshake_that_ends_in_an_outage_gets_nowhere(api: Api) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", api.server.port)) as raw:
        assert (await api.request("GET", "/version")).status == 200  # so raw was accepted before
        api.server.outage()
        raw.setblocking(False)
        answer = b""
        with contextlib.suppress(ConnectionError):
            reader, writer = await asyncio.open_connection(
                sock=raw.dup(), ssl=api.context(), server_hostname="localhost"
            )
            writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
        assert answer == b""
        assert await loop.sock_recv(raw, 1) == b""
    await api.server.restore()


async def test_stopping_lets_a_request_finish() -> None:
    began, may = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        began.set()
        await may.wait()
        return PlainTextResponse("done")

    server = Server(Starlette(routes=[Route("/", slow)]))
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await began.wait()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.stop(timeout=10))
        await asyncio.sleep(0)
        may.set()
        assert (await reader.read()).endswith(b"done")
    writer.close()
    await writer.wait_closed()


async def test_stopping_cuts_a_request_that_never_ends(caplog: pytest.LogCaptureFixture) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def endless(_: Request) -> Response:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return PlainTextResponse("never")

    server = Server(Starlette(routes=[Route("/", endless)]))
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await began.wait()
    await server.stop(timeout=0.01)
    assert cancelled.is_set()
    assert not caplog.records
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_stopping_ends_watches_properly_and_idle_connections(api: Api) -> None:
    async with api.connection() as idle, api.connection() as watching:
        await idle.request("GET", "/version")
        events = watching.watch(f"{LIST}?watch=1&resourceVersion=0")
        await api.store.create(BOATS, boat("kestrel"))
        assert (await anext(events))["type"] == "ADDED"
        async with asyncio.TaskGroup() as group:
            group.create_task(api.server.stop(timeout=10))
            assert [event async for event in events] == []  # and it ended with the last chunk
            assert await idle.reader.read() == b""


def test_the_certificate_is_for_loopback_and_its_key_is_private(tmp_path: Path) -> None:
    from cryptography import x509

    now = datetime.now(UTC)
    made = certificates.make(tmp_path, now)
    again = certificates.make(tmp_path, now)
    assert made.authority != again.authority
    assert stat.S_IMODE(again.key.stat().st_mode) == 0o600
    assert (tmp_path / "ca.crt").read_bytes() == again.authority
    certificate = x509.load_pem_x509_certificate(again.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert {str(a) for a in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
    assert b"PRIVATE" not in again.authority


async def test_strict_clients_trust_the_certificate(api: Api) -> None:
    context = api.context()
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default of Python 3.13
    for name in ("localhost", "127.0.0.1", "::1"):
        _, writer = await asyncio.open_connection(
            "127.0.0.1", api.server.port, ssl=context, server_hostname=name
        )
        writer.close()
        await writer.wait_closed()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(
            "127.0.0.1", api.server.port, ssl=context, server_hostname="example.com"
        )
