from __future__ import annotations

import pytest

from ferryman.protocols.http.framing import Exchanges


@pytest.mark.parametrize(
    ("request_head", "answer_head", "persistent"),
    [
        (b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n", b"HTTP/1.1 200 OK\r\n", False),
        (b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\nconnection: Foo, Close\r\n", False),
        (b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\nConnection: closely\r\n", True),
        (b"GET / HTTP/1.0\r\n", b"HTTP/1.0 200 OK\r\n", False),
        (b"GET / HTTP/1.1\r\n", b"HTTP/1.0 200 OK\r\n", False),
        (
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n",
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n",
            True,
        ),
    ],
)
def test_a_connection_persists_unless_somebody_says_it_ends(
    request_head: bytes, answer_head: bytes, persistent: bool
) -> None:
    exchanges = Exchanges()
    exchanges.sent(request_head + b"\r\n")
    exchanges.received(answer_head + b"Content-Length: 0\r\n\r\n")
    assert exchanges.complete is True
    assert exchanges.persistent is persistent
