"""What happens when connections, servers and credentials misbehave; on real sockets."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ferryman.access.credentials import ClientCertificate, Credentials, Fixed, Headers, bearer
from ferryman.access.kubeconfig import Access
from ferryman.api.status import (
    Forbidden,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)
from ferryman.apiclient import transport
from ferryman.apiclient.http_client import HttpClient
from ferryman.apiclient.transport import Timeouts
from ferryman.apiserver import certificates
from ferryman.errors import FerrymanError, PeerError, Unavailable, UserError
from ferryman.kube.resources import PODS
from ferryman.runtime.tls import TLSSettings
from tests.support.scripted_server import Request, head, scripted

POD = {"metadata": {"name": "a", "namespace": "ns"}}
QUICK = Timeouts(connect=5, quiet=0.2)


def access(
    url: str, credentials: Credentials | None = None, tls: TLSSettings | None = None
) -> Access:
    return Access("dev", "c", "default", url, tls, credentials or Fixed())


async def answer_pod(request: Request) -> None:
    await request.answer(200, POD)


class Renewable:
    """Credentials that count how often they were renewed."""

    expires: float | None = None

    def __init__(self, pairs: ClientCertificate | None = None) -> None:
        self.renewed = 0
        self.pairs = pairs

    async def headers(self, refresh: bool = False) -> Headers:
        self.renewed += refresh
        return bearer(f"token-{self.renewed}")

    async def certificate(self) -> ClientCertificate | None:
        return self.pairs if self.renewed else None


async def test_requests_follow_one_another_on_one_connection() -> None:
    async with scripted(answer_pod) as server, HttpClient(access(server.url)) as client:
        for _ in range(3):
            assert (await client.get(PODS, "a", "ns"))["metadata"] == POD["metadata"]
        assert server.connections == 1
        assert server.requests[0].headers["host"] == f"127.0.0.1:{server.port}"
        assert server.requests[0].headers["user-agent"] == "ferryman"
        assert "accept-encoding" not in server.requests[0].headers


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    both = asyncio.Barrier(2)

    async def handle(request: Request) -> None:
        await both.wait()
        await request.answer(200, POD)

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        await asyncio.gather(client.get(PODS, "a", "ns"), client.get(PODS, "b", "ns"))
        assert server.connections == 2


async def test_the_path_of_the_server_comes_before_every_path() -> None:
    async with scripted(answer_pod) as server:
        async with HttpClient(access(server.url + "/k8s/clusters/c-1/")) as client:
            await client.get(PODS, "a", "ns")
        assert server.requests[0].target == "/k8s/clusters/c-1/api/v1/namespaces/ns/pods/a"


async def test_a_get_survives_a_kept_alive_connection_that_dies() -> None:
    async def handle(request: Request) -> None:
        if (request.connection, len(server.requests)) == (1, 2):
            request.hang_up()
        else:
            await request.answer(200, POD)

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        for _ in range(3):
            await client.get(PODS, "a", "ns")
        assert [r.connection for r in server.requests] == [1, 1, 2, 2]


async def test_a_write_on_a_connection_that_dies_is_not_repeated() -> None:
    async def handle(request: Request) -> None:
        if request.method == "GET":
            await request.answer(200, POD)
        else:
            request.reset()

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        await client.get(PODS, "a", "ns")
        with pytest.raises(Unavailable, match="ended an idle connection"):
            await client.create(PODS, {"metadata": {"name": "a", "namespace": "ns"}})
        assert [r.method for r in server.requests] == ["GET", "POST"]


async def test_a_get_on_a_fresh_connection_is_not_repeated() -> None:
    async def handle(request: Request) -> None:
        request.hang_up()

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        with pytest.raises(Unavailable, match="ended the connection before it answered"):
            await client.get(PODS, "a", "ns")
        assert len(server.requests) == 1


async def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    async def handle(request: Request) -> None:
        await request.answer(200, POD)
        request.hang_up()

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        await client.get(PODS, "a", "ns")
        await server.left.wait()
        await client.create(PODS, {"metadata": {"name": "a", "namespace": "ns"}})
        assert [r.connection for r in server.requests] == [1, 2]


async def test_a_server_that_wants_to_close_is_asked_on_a_new_connection() -> None:
    async def handle(request: Request) -> None:
        await request.answer(200, POD, {"connection": "close"})

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        await client.get(PODS, "a", "ns")
        await client.get(PODS, "a", "ns")
        assert server.connections == 2


async def test_an_old_idle_connection_and_a_suspected_one_are_not_used_again() -> None:
    async with scripted(answer_pod) as server:
        async with HttpClient(access(server.url), timeouts=Timeouts(idle=-1)) as client:
            await client.get(PODS, "a", "ns")
            await client.get(PODS, "a", "ns")
            assert server.connections == 2
        async with HttpClient(access(server.url)) as client:
            await client.get(PODS, "a", "ns")
            client.suspect()
            await client.get(PODS, "a", "ns")
            assert server.connections == 4


async def test_bytes_that_nobody_asked_for_end_a_connection() -> None:
    async def handle(request: Request) -> None:
        await request.answer(200, POD)
        await request.say(head(200, {"content-length": "0"}))

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        await client.get(PODS, "a", "ns")
        await server.left.wait()
        assert (await client.get(PODS, "a", "ns"))["metadata"] == POD["metadata"]
        assert server.connections == 2


async def test_bytes_that_come_while_nothing_is_asked_end_a_connection() -> None:
    async with scripted(answer_pod) as server, HttpClient(access(server.url)) as client:
        await client.get(PODS, "a", "ns")
        await server.requests[0].say(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await server.left.wait()
        await client.get(PODS, "a", "ns")
        assert server.connections == 2


def _says(data: bytes, then: str = "hang_up") -> Callable[[Request], Awaitable[None]]:
    async def handle(request: Request) -> None:
        await request.say(data)
        if then != "wait":
            getattr(request, then)()

    return handle


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("handle", "kind", "message"),
    [
        (_says(head(200, {"content-length": "9"}) + b"{"), Unavailable, "in the middle"),
        (_says(head(200, {"content-length": "9"}) + b"{", "reset"), Unavailable, "in the middle"),
        (
            _says(head(200, {"transfer-encoding": "chunked"}) + b"2\r\n{}\r\n"),
            Unavailable,
            "ended the connection in the middle",
        ),
        (_says(head(200, {"content-length": "9"}), "wait"), Unavailable, "stopped in the middle"),
        (_says(b"", "wait"), Unavailable, "did not answer within 0.2 s"),
        (_says(b"SSH-2.0-OpenSSH\r\n\r\n"), PeerError, "not an answer in HTTP"),
        (_says(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000), PeerError, "not an answer in HTTP"),
        (_says(head(200, {"content-length": "2"}) + b"<>"), PeerError, "sent no JSON"),
        (_says(head(200, {"content-length": "2"}) + b"[]"), PeerError, "is no object"),
        (_says(head(200, {"content-length": "2"}) + b"{}"), PeerError, "it has no name"),
        (
            _says(head(101, {"upgrade": "x", "connection": "upgrade"})),
            PeerError,
            "not an answer in HTTP",
        ),
        (_says(head(200, {"content-length": "99"}) + b" " * 99), PeerError, "larger than any"),
    ],
)
async def test_an_answer_that_is_none_is_told_apart_from_none_in_time(
    handle: Callable[[Request], Awaitable[None]],
    kind: type[FerrymanError],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport.Answer.read_all, "__defaults__", (90,))
    async with scripted(handle) as server:
        async with HttpClient(access(server.url), timeouts=QUICK) as client:
            with pytest.raises(kind, match=message):
                await client.get(PODS, "a", "ns")
            assert len(server.requests) == 1


async def test_a_body_until_the_connection_ends_is_whole() -> None:
    handle = _says(head(200, {}) + b'{"metadata": {"name": "a"}}')
    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        assert (await client.get(PODS, "a", "ns"))["metadata"] == {"name": "a"}


async def test_a_slow_body_is_waited_for_as_long_as_it_moves() -> None:
    async def handle(request: Request) -> None:
        await request.say(head(200, {"transfer-encoding": "chunked"}))
        for byte in b'{"metadata": {"name": "slow"}}':
            await request.chunk(bytes([byte]))
            await asyncio.sleep(0.02)
        await request.say(b"0\r\n\r\n")

    async with scripted(handle) as server:
        async with HttpClient(access(server.url), timeouts=QUICK) as client:
            assert (await client.get(PODS, "slow", "ns"))["metadata"] == {"name": "slow"}


async def test_a_401_is_tried_once_more_with_renewed_credentials() -> None:
    async def handle(request: Request) -> None:
        good = request.headers["authorization"] == "bearer token-1"
        await request.answer(200 if good else 401, POD if good else {"reason": "Unauthorized"})

    credentials = Renewable()
    async with scripted(handle) as server, HttpClient(access(server.url, credentials)) as client:
        assert (await client.create(PODS, POD))["metadata"] == POD["metadata"]
        await client.get(PODS, "a", "ns")
        assert credentials.renewed == 1
        assert len(server.requests) == 3


async def test_requests_that_are_refused_together_renew_credentials_once() -> None:
    all_came = asyncio.Barrier(3)

    async def handle(request: Request) -> None:
        good = request.headers["authorization"] == "bearer token-1"
        if not good:
            await all_came.wait()
        await request.answer(200 if good else 401, POD)

    credentials = Renewable()
    async with scripted(handle) as server, HttpClient(access(server.url, credentials)) as client:
        await asyncio.gather(*(client.get(PODS, "a", "ns") for _ in range(3)))
        assert credentials.renewed == 1


async def test_a_401_for_credentials_that_stay_the_same_is_final() -> None:
    async def handle(request: Request) -> None:
        await request.answer(401, {"reason": "Unauthorized", "message": "who are you?"})

    fixed = access("", Fixed(bearer("t")))
    async with scripted(handle) as server:
        async with HttpClient(access(server.url, fixed.credentials)) as client:
            with pytest.raises(Unauthorized, match=r"who are you\?"):
                await client.get(PODS, "a", "ns")
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "message", "wait"),
    [
        (429, {"reason": "TooManyRequests"}, {"retry-after": "7"}, TooManyRequests, "429", 7),
        (503, b"<html>", {"retry-after": "1"}, ServiceUnavailable, "answered 503", 1),
        (502, b"<html>", {}, ServiceUnavailable, "answered 502", None),
        (503, b"", {"retry-after": "Wed, 21 Oct"}, ServiceUnavailable, "503", None),
        (403, {"reason": "Forbidden", "message": "no!"}, {}, Forbidden, "no!", None),
        (404, b"404 page not found", {}, NotFound, "answered 404", None),
        (404, {"message": "gone", "details": {"name": "a"}}, {}, NotFound, "gone", None),
    ],
)
async def test_an_error_answer_becomes_the_error_that_it_means(
    status: int, body: Any, headers: dict[str, str], kind: type[Any], message: str, wait: int | None
) -> None:
    async def handle(request: Request) -> None:
        await request.answer(status, body, headers)

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        for _ in range(2):
            with pytest.raises(kind, match=message) as error:
                await client.get(PODS, "a", "ns")
            assert error.value.details.get("retryAfterSeconds") == wait
        assert server.connections == 1  # it was an answer like any other


async def test_cancellation_closes_the_connection_that_was_in_use() -> None:
    asked = asyncio.Event()

    async def handle(request: Request) -> None:
        asked.set()

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(client.get(PODS, "a", "ns"))
            await asked.wait()
            task.cancel()
        await server.left.wait()


async def test_closing_ends_what_is_under_way() -> None:
    asked = asyncio.Event()

    async def handle(request: Request) -> None:
        asked.set()

    async with scripted(handle) as server:
        client = HttpClient(access(server.url))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_failure(client.get(PODS, "a", "ns")))
            await asked.wait()
            await client.close()
        assert isinstance(task.result(), Unavailable)
        await server.left.wait()
        with pytest.raises(Unavailable, match="was closed"):
            await client.get(PODS, "a", "ns")


async def _failure(request: Awaitable[Any]) -> Exception | None:
    try:
        await request
    except FerrymanError as error:
        return error
    return None


async def test_a_body_that_nobody_reads_is_not_read_from_the_socket() -> None:
    all_written = asyncio.Event()

    async def handle(request: Request) -> None:
        if request.target == "/small":
            await request.answer(200, POD)
            return
        await request.say(head(200, {"content-length": str(256 << 20)}))
        for _ in range(256):
            await request.say(bytes(1 << 20))
        all_written.set()

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        async with client.open("GET", "/large") as answer:
            for _ in range(50):
                await client.get_raw("/small")
            assert not all_written.is_set()
            total = 0
            while part := await answer.read():
                total += len(part)
            assert total == 256 << 20
        assert all_written.is_set()


async def test_a_stream_may_be_quiet_and_may_be_left() -> None:
    async def handle(request: Request) -> None:
        await request.say(head(200, {"transfer-encoding": "chunked"}))
        await request.chunk(b"first\n")
        await asyncio.sleep(0.3)
        await request.chunk(b"second\n")

    async with scripted(handle) as server:
        async with HttpClient(access(server.url), timeouts=QUICK) as client:
            lines = client.stream("/log")
            assert await anext(lines) == b"first\n"
            assert await anext(lines) == b"second\n"
            await lines.aclose()
            await server.left.wait()


async def test_it_is_told_when_a_server_answers_again() -> None:
    told: list[str] = []
    statuses = iter([200, 503, 429, 200, 200, 502, 404, 200])

    async def handle(request: Request) -> None:
        if request.target.endswith("hang"):
            request.reset()
            return
        status = next(statuses)
        await request.answer(status, b"{}")
        told.append(str(status))

    async with scripted(handle) as server, HttpClient(access(server.url)) as client:
        client.when_reached(lambda: told.append("reached"))
        for _ in range(8):
            with contextlib.suppress(FerrymanError):
                await client.get_raw("/x")
        with pytest.raises(Unavailable):
            await client.get_raw("/hang")
        statuses = iter([200])
        await client.get_raw("/x")
    assert told == [
        "200", "503", "429", "200", "reached", "200", "502", "404", "reached", "200", "200",
        "reached",
    ]  # fmt: skip


async def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[Any]:
        stream = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [
            (socket.AF_INET, *stream, ("127.0.0.2", server.port)),  # nobody listens there
            (socket.AF_INET, *stream, ("127.0.0.1", server.port)),
        ]

    async with scripted(answer_pod) as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        url = server.url.replace("127.0.0.1", "cluster.example")
        async with HttpClient(access(url)) as client:
            await client.get(PODS, "a", "ns")


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with scripted(answer_pod) as server:
        url = server.url
    async with HttpClient(access(url)) as client:
        with pytest.raises(
            Unavailable, match=r"cannot connect to 127\.0\.0\.1:\d+: Connection refused"
        ):
            await client.get(PODS, "a", "ns")
    async with HttpClient(access("http://no-such-host.invalid:1")) as client:
        with pytest.raises(Unavailable, match="cannot connect to no-such-host"):
            await client.get(PODS, "a", "ns")


@pytest.mark.parametrize("url", ["https://", "http://h:99999"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="not a server's URL"):
        HttpClient(access(url))


async def test_a_request_that_http_cannot_say_is_refused_without_its_secret() -> None:
    async with scripted(answer_pod) as server:
        credentials = Fixed((("authorization", "Bearer s3cret\r\nx: y"),))
        async with HttpClient(access(server.url, credentials)) as client:
            with pytest.raises(UserError) as error:
                await client.get(PODS, "a", "ns")
            assert "s3cret" not in repr(error.value)


@pytest.fixture
def certificate(tmp_path: Path) -> certificates.ServerCertificate:
    return certificates.make(tmp_path, datetime.now(UTC))


async def test_a_server_is_trusted_by_its_authority_and_its_name(
    certificate: certificates.ServerCertificate,
) -> None:
    trusted = TLSSettings(certificate.authority)
    async with scripted(answer_pod, certificate.context()) as server:
        for tls in (
            trusted,
            TLSSettings(certificate.authority, server_name="localhost"),
            TLSSettings(insecure=True),
        ):
            async with HttpClient(access(server.url, tls=tls)) as client:
                await client.get(PODS, "a", "ns")
        for tls in (TLSSettings(), TLSSettings(certificate.authority, server_name="elsewhere")):
            async with HttpClient(access(server.url, tls=tls)) as client:
                with pytest.raises(UserError, match=r"the certificate of .* is not trusted"):
                    await client.get(PODS, "a", "ns")


async def test_a_tls_handshake_that_never_ends_is_unavailable_in_time() -> None:
    async with scripted(answer_pod) as server:  # speaks no TLS: it waits for a request's head
        url, hasty = server.url.replace("http", "https"), Timeouts(connect=0.2)
        async with HttpClient(access(url, tls=TLSSettings()), timeouts=hasty) as client:
            with pytest.raises(Unavailable, match=r"did not answer within 0\.2 s"):
                await client.get(PODS, "a", "ns")


async def test_a_client_certificate_that_comes_with_renewed_credentials_is_used(
    certificate: certificates.ServerCertificate,
) -> None:
    chain, key = _client_certificate()
    context = certificate.context()
    context.load_verify_locations(cadata=chain.decode())
    context.verify_mode = ssl.CERT_OPTIONAL

    async def handle(request: Request) -> None:
        known = request.writer.get_extra_info("peercert")
        await request.answer(200 if known else 401, POD)

    tls = TLSSettings(certificate.authority)
    async with scripted(handle, context) as server:
        async with HttpClient(access(server.url, Renewable((chain, key)), tls)) as client:
            await client.get(PODS, "a", "ns")
            await client.get(PODS, "a", "ns")
        assert [r.connection for r in server.requests] == [1, 2, 2]


def _client_certificate() -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jane")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        made.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
