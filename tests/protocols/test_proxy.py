"""Both ways through a proxy as transcripts: ``>`` is what we say, ``<`` what the proxy does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import FerrymanError, PeerError, Unavailable, UserError
from ferryman.protocols.proxy import Passage, Proxy, passage

HTTP = Proxy("http", "p", 3128)
SOCKS = Proxy("socks5", "p", 1080)
WITH_PASSWORD = Proxy("socks5", "p", 1080, "jane", "s3cret")

CONNECT = b"CONNECT h:6443 HTTP/1.1\r\nHost: h:6443\r\n\r\n"
BY_NAME = b"\x05\x01\x00\x03\x01h\x19\x2b"
BOUND = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"

Transcript = list[tuple[str, bytes]]

OPENED: list[tuple[str, Proxy, str, Transcript]] = [
    (
        "CONNECT",
        HTTP,
        "h",
        [(">", CONNECT), ("<", b"HTTP/1.1 200 OK\r\n\r\n")],
    ),
    (
        "CONNECT of HTTP/1.0, as squid answers, with headers",
        HTTP,
        "h",
        [(">", CONNECT), ("<", b"HTTP/1.0 200 Connection established\r\nVia: squid\r\n\r\n")],
    ),
    (
        "CONNECT to an IPv6 address with a password",
        Proxy("http", "p", 3128, "jane", "s3:cret"),
        "fd00::1",
        [
            (
                ">",
                CONNECT.replace(b"h:", b"[fd00::1]:")[:-2]
                + b"Proxy-Authorization: Basic amFuZTpzMzpjcmV0\r\n\r\n",
            ),
            ("<", b"HTTP/1.1 200 OK\r\n\r\n"),
        ],
    ),
    (
        "SOCKS5 by name",
        SOCKS,
        "h",
        [(">", b"\x05\x01\x00"), ("<", b"\x05\x00"), (">", BY_NAME), ("<", BOUND)],
    ),
    (
        "SOCKS5 to IPv4, answered with a name",
        SOCKS,
        "10.0.0.1",
        [
            (">", b"\x05\x01\x00"),
            ("<", b"\x05\x00"),
            (">", b"\x05\x01\x00\x01\x0a\x00\x00\x01\x19\x2b"),
            ("<", b"\x05\x00\x00\x03\x02ab\x00\x50"),
        ],
    ),
    (
        "SOCKS5 to IPv6, answered with IPv6",
        SOCKS,
        "::2",
        [
            (">", b"\x05\x01\x00"),
            ("<", b"\x05\x00"),
            (">", b"\x05\x01\x00\x04" + bytes(15) + b"\x02\x19\x2b"),
            ("<", b"\x05\x00\x00\x04" + bytes(18)),
        ],
    ),
    (
        "SOCKS5 with a password",
        WITH_PASSWORD,
        "h",
        [
            (">", b"\x05\x02\x00\x02"),
            ("<", b"\x05\x02"),
            (">", b"\x01\x04jane\x06s3cret"),
            ("<", b"\x01\x00"),
            (">", BY_NAME),
            ("<", BOUND),
        ],
    ),
    (
        "SOCKS5 that wants no password although there is one",
        WITH_PASSWORD,
        "h",
        [(">", b"\x05\x02\x00\x02"), ("<", b"\x05\x00"), (">", BY_NAME), ("<", BOUND)],
    ),
]


@pytest.mark.parametrize("step", [1, 2, 1000])
@pytest.mark.parametrize(
    ("proxy", "host", "transcript"), [t[1:] for t in OPENED], ids=[t[0] for t in OPENED]
)
def test_a_way_opens(proxy: Proxy, host: str, transcript: Transcript, step: int) -> None:
    way = passage(proxy, host, 6443)
    for number, (who, data) in enumerate(transcript):
        if who == ">":
            said = way.data_to_send()
            assert _folded(said) == _folded(data)
            continue
        last = number == len(transcript) - 1
        for start in range(0, len(data), step):
            part = data[start : start + step]
            assert way.receive(part) is (last and start + step >= len(data))
    assert way.data_to_send() == b""


def _folded(head: bytes) -> bytes:
    """HTTP does not care about the case of header names."""
    return head.lower() if head[:1] == b"C" else head


@pytest.mark.parametrize(
    ("proxy", "answers", "kind", "message"),
    [
        (HTTP, [b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n"], UserError, "does not let us in"),
        (HTTP, [b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"], Unavailable,
         "the proxy http://p:3128 does not lead to h:6443: HTTP 403"),
        (HTTP, [b"HTTP/1.1 502 Bad\r\n\r\npage", b""], Unavailable, "HTTP 502"),
        (HTTP, [b"HTTP/1.1 200 OK\r\n\r\nhello"], PeerError, "spoke without being asked"),
        (HTTP, [b"SSH-2.0-OpenSSH\r\n\r\n"], PeerError, "not an answer in HTTP"),
        (HTTP, [b""], PeerError, "the proxy http://p:3128"),
        (SOCKS, [b""], Unavailable, "hung up"),
        (SOCKS, [b"HT"], PeerError, "does not speak SOCKS5"),
        (SOCKS, [b"\x05\xff"], UserError, "does not let us in"),
        (SOCKS, [b"\x05\x02"], PeerError, "a method that was not offered"),
        (WITH_PASSWORD, [b"\x05\x01"], PeerError, "a method that was not offered"),
        (WITH_PASSWORD, [b"\x05\x02", b"\x01\x01"], UserError, "does not let us in"),
        (SOCKS, [b"\x05\x00", b"\x05\x05\x00\x01\x00"], Unavailable,
         "the proxy socks5://p:1080 does not lead to h:6443: connection refused"),
        (SOCKS, [b"\x05\x00", b"\x05\x63\x00\x01\x00"], Unavailable, "reply 99"),
        (SOCKS, [b"\x05\x00", b"\x04\x00\x00\x01\x00"], PeerError, "does not speak SOCKS5"),
        (SOCKS, [b"\x05\x00", b"\x05\x00\x00\x09\x00"], PeerError, "an address of an unknown type"),
        (SOCKS, [b"\x05\x00", BOUND + b"!"], PeerError, "spoke without being asked"),
    ],
)  # fmt: skip
def test_a_way_that_stays_shut_says_why(
    proxy: Proxy, answers: list[bytes], kind: type[FerrymanError], message: str
) -> None:
    way = passage(proxy, "h", 6443)
    with pytest.raises(kind) as error:
        _hear(way, answers)
    assert message in str(error.value)
    assert "s3cret" not in str(error.value)


def _hear(way: Passage, answers: list[bytes]) -> None:
    for answer in answers:
        way.data_to_send()
        way.receive(answer)


@given(st.sampled_from([HTTP, SOCKS, WITH_PASSWORD]), st.lists(st.binary(max_size=300), max_size=8))
def test_hostile_bytes_end_in_our_errors_only(proxy: Proxy, parts: list[bytes]) -> None:
    way = passage(proxy, "h", 6443)
    try:
        for part in parts:
            if way.receive(part):
                break
    except FerrymanError:
        pass


@pytest.mark.parametrize("host", ["h" * 256, "", "ä" * 200])
def test_names_that_socks_cannot_say_are_refused(host: str) -> None:
    with pytest.raises(UserError, match="1 to 255 bytes"):
        passage(SOCKS, host, 1)


def test_a_host_that_http_cannot_say_is_refused() -> None:
    with pytest.raises(UserError, match="cannot be said in HTTP"):
        passage(HTTP, "h\r\nx: y", 1)


def test_a_proxys_password_does_not_show() -> None:
    assert "s3cret" not in f"{WITH_PASSWORD} {WITH_PASSWORD!r}"
    assert str(Proxy("http", "::1", 8)) == "http://[::1]:8"
