"""The API client through real proxies; the server's name is one that only the proxy can look up."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from ferryman.access.credentials import Fixed
from ferryman.access.kubeconfig import Access
from ferryman.access.proxies import parse
from ferryman.apiclient.http_client import HttpClient
from ferryman.apiclient.transport import Timeouts
from ferryman.errors import PeerError, Unavailable, UserError
from ferryman.kube.resources import PODS
from ferryman.runtime.tls import TLSSettings
from tests.support import certificates
from tests.support.proxies import (
    RunningProxy,
    connect_proxy,
    socks5_proxy,
    tls_proxy,
    trust_tls_proxies,
)
from tests.support.scripted_server import Request, scripted

MakeProxy = Callable[..., AbstractContextManager[RunningProxy]]

POD = {"metadata": {"name": "a", "namespace": "ns"}}
PROOF = ("jane", "s3cret")
both = pytest.mark.parametrize("make", [connect_proxy, tls_proxy, socks5_proxy])


@pytest.fixture(autouse=True)
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust_tls_proxies(tmp_path, monkeypatch)


def access(server: str, proxy: str, tls: TLSSettings | None = None) -> Access:
    return Access("dev", "c", "default", server, tls, Fixed(), parse(proxy, "the test"))


async def answer_pod(request: Request) -> None:
    await request.answer(200, POD)


def secured() -> tuple[ssl.SSLContext, TLSSettings]:
    made = certificates.loopback()
    return made.server_context(), TLSSettings(made.certificate, server_name="localhost")


@both
@pytest.mark.parametrize("proof", [None, PROOF])
@pytest.mark.parametrize("encrypted", [False, True])
async def test_requests_go_through_on_one_connection(
    make: MakeProxy, proof: tuple[str, str] | None, encrypted: bool
) -> None:
    context, tls = secured() if encrypted else (None, None)
    async with scripted(answer_pod, context) as server:
        with make({"cluster.test": server.port}, proof) as proxy:
            url = f"http{'s' if encrypted else ''}://cluster.test:6443"
            async with HttpClient(access(url, proxy.url, tls)) as client:
                for _ in range(3):
                    assert await client.get(PODS, "a", "ns")
            assert proxy.asked == ["cluster.test:6443"]
            assert server.requests[0].headers["host"] == "cluster.test:6443"


@both
async def test_a_proxy_that_does_not_let_us_in_is_an_error_to_be_mended(make: MakeProxy) -> None:
    with make({}, PROOF) as proxy:
        for url in (proxy.bare_url, proxy.url.replace("s3cret", "wr0ng")):
            async with HttpClient(access("http://cluster.test", url)) as client:
                with pytest.raises(UserError, match="does not let us in") as error:
                    await client.get(PODS, "a", "ns")
                assert "wr0ng" not in str(error.value)
        assert proxy.asked == []


@both
async def test_a_proxy_that_leads_nowhere_says_so_and_may_be_asked_again(make: MakeProxy) -> None:
    async with scripted(answer_pod) as server:
        closed = server.port
    with make({"cluster.test": closed}) as proxy:
        async with HttpClient(access("http://cluster.test", proxy.url)) as client:
            with pytest.raises(Unavailable, match=r"does not lead to cluster\.test:80"):
                await client.get(PODS, "a", "ns")


async def test_a_proxy_that_is_not_there_is_named() -> None:
    with connect_proxy() as proxy:
        url = proxy.url
    async with HttpClient(access("http://cluster.test", url)) as client:
        with pytest.raises(Unavailable, match=r"cannot connect to the proxy http://127.*refused"):
            await client.get(PODS, "a", "ns")


async def test_a_proxy_that_nobody_knows_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with tls_proxy() as proxy:
        tls = TLSSettings()
        async with HttpClient(access("https://cluster.test", proxy.url, tls)) as client:
            said = rf"certificate of the proxy {proxy.bare_url} is not trusted: self-signed"
            with pytest.raises(UserError, match=said):
                await client.get(PODS, "a", "ns")
        assert proxy.asked == []


async def test_the_server_behind_a_proxy_is_verified() -> None:
    context, _ = secured()
    async with scripted(answer_pod, context) as server:
        with connect_proxy({"cluster.test": server.port}) as proxy:
            tls = TLSSettings(certificates.loopback().certificate)  # for localhost only
            async with HttpClient(access("https://cluster.test", proxy.url, tls)) as client:
                with pytest.raises(UserError, match=r"certificate of cluster\.test:443"):
                    await client.get(PODS, "a", "ns")


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", PeerError, "not an answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nHello", PeerError, "spoke without being asked"),
        (b"", PeerError, "the proxy"),
        (None, Unavailable, r"the proxy http://127.* did not answer within 0.2 s"),
    ],
)
async def test_what_is_no_proxy_is_told_apart_and_left(
    said: bytes | None, kind: type[Exception], message: str
) -> None:
    left = asyncio.Event()

    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if said is not None:
            writer.write(said)
            writer.write_eof()
        await reader.read()
        left.set()
        writer.close()

    listener = await asyncio.start_server(misbehave, "127.0.0.1", 0)
    async with listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        quick = Timeouts(connect=0.2 if said is None else 10.0)
        async with HttpClient(access("http://c", url), timeouts=quick) as client:
            with pytest.raises(kind, match=message):
                await client.get(PODS, "a", "ns")
        await left.wait()


async def test_a_status_is_not_written_to_a_successor_of_the_same_name() -> None:
    """The object is replaced between the two requests."""
    gets: list[Any] = []

    async def handle(request: Request) -> None:
        uid = "old" if not gets else "new"
        if request.method == "GET":
            gets.append(request)
            await request.answer(200, {"metadata": {"name": "a", "uid": uid}})
        else:
            assert b'"value":"old"' in request.body.replace(b" ", b"")
            await request.answer(422, {"reason": "Invalid", "message": "testing value failed"})

    async with scripted(handle) as server:
        direct = Access("dev", "c", "default", server.url, None, Fixed())
        async with HttpClient(direct) as client:
            with pytest.raises(Exception, match="deleted, and another one made") as error:
                await client.apply_status(PODS, "a", {"phase": "x"}, "ns", manager="me")
            assert type(error.value).__name__ == "StaleVersion"
