"""TLS on either end of a relay, against Python's own on a blocking socket."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from pathlib import Path

import pytest

from ferryman.addresses import TcpAddress
from ferryman.dataplane.contract import Closed, DialFailed
from tests.support import certificates, tls_ends
from tests.support.plane import Plane, accept, address_of, connect, listen, read_all, read_exactly
from tests.support.written import LISTEN, front, relay_written

ANY = TcpAddress("127.0.0.1", 0)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def both(tmp_path: Path) -> str:
    return tls_ends.files(tmp_path)[0]


@pytest.fixture
def trusted(tmp_path: Path) -> str:
    return tls_ends.files(tmp_path)[1]


def secure(sock: socket.socket, version: ssl.TLSVersion = VERSIONS[1]) -> ssl.SSLSocket:
    return tls_ends.client_context(version).wrap_socket(sock, server_hostname="localhost")


@pytest.mark.parametrize("version", VERSIONS)
def test_bulk_goes_through_a_tls_listener_both_ways_unchanged(
    plane: Plane, both: str, version: ssl.TLSVersion
) -> None:
    up, down = os.urandom(6 << 20), os.urandom(6 << 20)
    with listen(ANY) as server:
        relay = f"OPENSSL-LISTEN:0,bind=127.0.0.1,fork,cert={both},verify=0"
        place = front(plane, relay, f"TCP:{address_of(server)}")
        with secure(connect(place), version) as client, accept(server) as behind:
            heard: list[bytes] = []
            threads = [
                threading.Thread(target=behind.sendall, args=(down,)),
                threading.Thread(target=lambda: heard.append(read_exactly(behind, len(up)))),
            ]
            for thread in threads:
                thread.start()
            assert tls_ends.exchange(client, up, len(down)) == down
            for thread in threads:
                thread.join(20)
            assert heard == [up]


def serve_one(server: socket.socket, said: list[bytes], answer: bytes) -> None:
    """A TLS server that answers once it has read the end, then ends too."""
    context = certificates.loopback().server_context()
    with context.wrap_socket(accept(server), server_side=True) as behind:
        said.append(read_all(behind))
        behind.sendall(answer)
        behind.unwrap()


def test_a_half_close_reaches_a_tls_server_and_its_late_answer_comes_back(
    plane: Plane, trusted: str
) -> None:
    said: list[bytes] = []
    with listen(ANY) as server:
        thread = threading.Thread(target=serve_one, args=(server, said, b"y" * 300_000))
        thread.start()
        place = front(plane, f"{LISTEN},fork", f"OPENSSL:{address_of(server)},cafile={trusted}")
        with connect(place) as client:
            client.sendall(b"x" * 300_000)
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"y" * 300_000
        thread.join(10)
    assert said == [b"x" * 300_000]
    assert plane.wait_for(Closed).reset == ""


def test_an_answer_that_is_on_its_way_survives_our_half_close(plane: Plane, trusted: str) -> None:
    """The records are in the kernel when close_notify goes out: ssl alone would fail on them."""
    with listen(ANY) as server:
        place = front(plane, f"{LISTEN},fork", f"SSL:{address_of(server)},cafile={trusted}")
        with connect(place) as client:
            raw = accept(server)
            behind = certificates.loopback().server_context().wrap_socket(raw, server_side=True)
            with behind:
                for _ in range(50):
                    behind.sendall(b"z" * 16000)
                client.shutdown(socket.SHUT_WR)
                assert read_all(behind) == b""
                behind.sendall(b"end")
                behind.unwrap()
            assert read_all(client) == b"z" * 800_000 + b"end"


def test_a_server_that_ends_without_close_notify_has_ended(plane: Plane, trusted: str) -> None:
    with listen(ANY) as server:
        place = front(plane, f"{LISTEN},fork", f"SSL:{address_of(server)},cafile={trusted}")
        with connect(place) as client:
            raw = accept(server)
            behind = certificates.loopback().server_context().wrap_socket(raw, server_side=True)
            behind.sendall(b"200 OK")
            behind.close()
            assert read_all(client) == b"200 OK"


def test_what_was_sent_before_the_end_is_still_delivered(plane: Plane, both: str) -> None:
    """The reader is slow: ciphertext waits in our memory when the other side is through."""
    payload = os.urandom(2 << 20)
    with listen(ANY) as server:
        relay = f"SSL-L:0,bind=127.0.0.1,fork,cert={both},verify=0,sndbuf=4096"
        place = front(plane, relay, str(address_of(server)))
        with secure(connect(place)) as client, accept(server) as behind:
            client.sendall(b"go")
            assert read_exactly(behind, 2) == b"go"

            def say_all() -> None:
                behind.sendall(payload)
                behind.close()

            sender = threading.Thread(target=say_all)
            sender.start()
            assert read_all(client) == payload
            sender.join(10)


def test_tls_to_tls(plane: Plane, both: str, trusted: str) -> None:
    inner = front(plane, f"SSL-L:0,bind=127.0.0.1,fork,cert={both},verify=0", "PIPE")
    outer = front(plane, f"SSL-L:0,bind=127.0.0.1,fork,cert={both},verify=0",
                  f"SSL:{inner},cafile={trusted},commonname=localhost")  # fmt: skip
    with secure(connect(outer)) as client:
        client.sendall(b"echo")
        assert read_exactly(client, 4) == b"echo"


def test_client_certificates_are_asked_for_unless_verify_is_off(
    plane: Plane, both: str, trusted: str
) -> None:
    inner = front(plane, f"SSL-L:0,bind=127.0.0.1,fork,cert={both},cafile={trusted}", "PIPE")
    shown = front(plane, f"{LISTEN},fork", f"SSL:{inner},cafile={trusted},cert={both}")
    with connect(shown) as client:
        client.sendall(b"known")
        assert read_exactly(client, 5) == b"known"
    unknown = front(plane, f"{LISTEN},fork", f"SSL:{inner},cafile={trusted}")
    with connect(unknown) as client:
        with contextlib.suppress(ConnectionResetError):
            assert read_all(client) == b""  # with TLS 1.3 a server refuses after the handshake


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "the certificate is not trusted: self"),
        (",cafile={ca},commonname=elsewhere.test", "is not trusted: Hostname mismatch"),
        (",cafile={ca},snihost=elsewhere.test", "add commonname=elsewhere.test"),
        (",cafile=/n/o", "cannot use the authorities in /n/o: no such file"),
        (",verify=0,cert=/n/o", "cannot use the certificate in /n/o: no such file"),
        (",verify=0,min-version=TLS9", "no such TLS version"),
    ],
)
def test_why_a_tls_server_was_not_reached(
    plane: Plane, both: str, trusted: str, options: str, words: str
) -> None:
    inner = front(plane, f"SSL-L:0,bind=127.0.0.1,fork,cert={both},verify=0", "PIPE")
    target = f"SSL:{inner}{options.format(ca=trusted)}"
    place = front(plane, f"{LISTEN},fork", target)
    with pytest.raises(ConnectionResetError), connect(place) as client:
        client.recv(1)
    assert words in plane.wait_for(DialFailed).message


def test_verify_off_trusts_anybody_and_a_plain_client_ends_alone(plane: Plane, both: str) -> None:
    inner = front(plane, f"SSL-L:0,bind=127.0.0.1,fork,cert={both},verify=0", "PIPE")
    place = front(plane, f"{LISTEN},fork", f"SSL:{inner},verify=0,snihost=any.test")
    with connect(inner) as plain, connect(place) as client:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        client.sendall(b"still here")
        assert read_exactly(client, 10) == b"still here"
        read_all(plain)  # an alert, and the end
        name = "{}:{}".format(*plain.getsockname())
    assert plane.wait_for(DialFailed).message == f"{name}: TLS failed: HTTP_REQUEST"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "a TLS listener needs a certificate"),
        (",cert=/n/o,verify=0", "cannot use the certificate in /n/o"),
        (",cert={both},verify=0,commonname=x", "commonname is for connecting"),
        (",cert={both},verify=0,ciphers=NOPE", "cannot use these TLS options"),
        (",cert={both},cafile=/n/o", "cannot use the authorities in /n/o"),
    ],
)
def test_why_a_tls_listener_cannot_be(plane: Plane, both: str, options: str, words: str) -> None:
    found = relay_written(plane, f"SSL-L:0,bind=127.0.0.1{options.format(both=both)}", "PIPE")
    assert words in str(found)
