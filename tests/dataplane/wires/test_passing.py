"""Wires through real proxies, to a server whose name only the proxy can look up."""

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from ferryman.access.proxies import parse
from ferryman.dataplane.contract import DialFailure
from ferryman.runtime.tls import TLSSettings
from tests.support import portforward_server as pods
from tests.support.portforward_server import ApiServer, pattern
from tests.support.proxies import (
    RunningProxy,
    connect_proxy,
    socks5_proxy,
    tls_proxy,
    trust_tls_proxies,
)
from tests.support.wires import Bench

MakeProxy = Callable[..., AbstractContextManager[RunningProxy]]

both = pytest.mark.parametrize("make", [connect_proxy, tls_proxy, socks5_proxy])


def through(bench: Bench, server: ApiServer, proxy: str, **more: object) -> None:
    settings = server.settings()
    tls = settings.tls and replace(settings.tls, server_name="localhost")
    bench.wires.cluster(
        replace(settings, host="cluster.test", port=6443, tls=tls, proxy=parse(proxy, "the test"))
    )


def failure_of(bench: Bench) -> str:
    client = bench.dial(pods.ECHO)
    bench.until(lambda: client.failure)
    assert isinstance(client.failure, DialFailure)
    assert client.failure.kind == "unavailable"
    assert not client.failure.delivered
    return client.failure.message


@both
@pytest.mark.parametrize("proof", [None, ("jane", "s3cret")])
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_wire_goes_through(
    make: MakeProxy,
    proof: tuple[str, str] | None,
    encrypted: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not encrypted:  # else the cluster's authority is trusted
        trust_tls_proxies(tmp_path, monkeypatch)
    with ApiServer(tls=encrypted) as server, make({"cluster.test": server.port}, proof) as proxy:
        bench = Bench()
        through(bench, server, proxy.url)
        try:
            client = bench.connect(pods.HELLO)
            bench.until(lambda: client.data)
            assert set(proxy.asked) == {"cluster.test:6443"}
            assert server.requests[0].headers["host"] == "cluster.test:6443"
        finally:
            bench.wires.close()
            bench.loop.close()


@pytest.mark.parametrize("outer", [False, True])
def test_bulk_goes_through_whole_in_both_directions(
    bench: Bench, server: ApiServer, outer: bool
) -> None:
    """With TLS inside TLS too, where the bytes go through memory."""
    data = pattern(3_000_000)
    make = tls_proxy if outer else connect_proxy
    with make({"cluster.test": server.port}) as proxy:
        through(bench, server, proxy.url)
        up = bench.connect(pods.DIGEST)
        left = memoryview(data)

        def send() -> bool:
            nonlocal left
            assert up.side is not None
            with contextlib.suppress(BlockingIOError):
                left = left[up.side.send(left[:100_000]) :]
            return not left

        bench.until(send)
        assert up.side is not None
        up.side.shutdown()
        bench.until(lambda: up.over)
        assert up.data.decode() == f"{len(data)} {hashlib.sha256(data).hexdigest()}"
        down = bench.dial(pods.FLOOD, say=b"3000000")
        bench.until(lambda: down.over)
        assert bytes(down.data) == pattern(3_000_000, 7)
        bench.wires.close()


def test_a_tls_proxy_that_nobody_knows_is_not_trusted(bench: Bench, server: ApiServer) -> None:
    with tls_proxy({"cluster.test": server.port}) as proxy:
        settings = replace(server.settings(), tls=TLSSettings(), host="cluster.test")
        bench.wires.cluster(replace(settings, proxy=parse(proxy.url, "the test")))
        message = failure_of(bench)
        assert message.startswith(f"the proxy {proxy.bare_url}: its certificate is not trusted")
        assert proxy.asked == []


@both
def test_a_proxy_that_refuses_is_named_and_its_password_is_not(
    bench: Bench, server: ApiServer, make: MakeProxy
) -> None:
    with make({}, ("jane", "s3cret")) as proxy:
        through(bench, server, proxy.url.replace("s3cret", "wr0ng"))
        message = failure_of(bench)
        assert f"the proxy {proxy.bare_url} does not let us in" in message
        assert "wr0ng" not in message


def test_a_proxy_that_is_not_there_is_named(bench: Bench, server: ApiServer) -> None:
    with connect_proxy() as proxy:
        pass
    through(bench, server, proxy.url)
    assert failure_of(bench) == f"proxy 127.0.0.1:{proxy.port}: connection refused"


def test_a_host_that_a_proxy_cannot_be_told_is_refused(bench: Bench, server: ApiServer) -> None:
    with socks5_proxy() as proxy:
        settings = replace(server.settings(), host="h" * 256, proxy=parse(proxy.url, "the test"))
        bench.wires.cluster(settings)
        assert "1 to 255 bytes" in failure_of(bench)


@pytest.mark.parametrize("says", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nHello", b""])
def test_what_is_no_proxy_ends_the_dial_only(bench: Bench, server: ApiServer, says: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def misbehave() -> None:
            near, _ = listener.accept()
            with near:
                near.recv(4096)
                near.sendall(says)

        thread = threading.Thread(target=misbehave)
        thread.start()
        through(bench, server, f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert "the proxy" in failure_of(bench)
        thread.join()


def test_giving_up_while_the_proxy_thinks_leaves_nothing(bench: Bench, server: ApiServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        through(bench, server, f"http://127.0.0.1:{listener.getsockname()[1]}")
        bench.dial(pods.ECHO)
        near: list[socket.socket] = []
        thread = threading.Thread(target=lambda: near.append(listener.accept()[0]))
        thread.start()
        bench.until(lambda: near and near[0].recv(1, socket.MSG_PEEK))
        thread.join()
        bench.wires.close()
        with near[0]:
            near[0].settimeout(5)
            while near[0].recv(4096):
                pass  # ends, because our end was closed
