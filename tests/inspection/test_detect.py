"""Which protocol it is, by the first bytes of either side."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.inspection.decoder import Start
from ferryman.inspection.detect import LINE_LIMIT, MODULES, detect, load

FIRST = [
    (b"GET / HTTP/1.1\r\n", "http/1.1"),
    (b"\r\nPOST /a HTTP/1.0\n", "http/1.1"),
    (b"CONNECT h:443 HTTP/1.1\r\n", "http/1.1"),
    (b"M-SEARCH * HTTP/1.1\r\n", "http/1.1"),
    (b"GET /" + b"x" * LINE_LIMIT, "http/1.1"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h2"),
    (b"\x16\x03\x01\x02\x00\x01", "tls"),
    (b"*1\r\n$4\r\nPING\r\n", "redis"),
    (b"PING\r\n", "redis"),
    (b"hello 3\r\n", "redis"),
    (b"get x\r\n", "redis"),
    (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "postgresql"),
    (b"\x00\x00\x00\x29\x00\x03\x00\x00user\0x\0", "postgresql"),
    (b"SSH-2.0-OpenSSH\r\n", "opaque"),
    (b"GET / HTTP/3.0\r\n", "opaque"),
    (b"hello\r\n", "opaque"),
    (b"\x16\x03\x09\x02\x00\x01", "opaque"),
    (b"\x00\x00\x00\x08\x00\x09\x00\x00", "opaque"),
    (b"*x", "opaque"),
    (b"\xff", "opaque"),
    (b"a" * 20, "opaque"),
]


@pytest.mark.parametrize(("up", "protocol"), FIRST)
def test_a_client_is_known_by_its_first_bytes(up: bytes, protocol: str) -> None:
    assert detect(up, b"") == protocol


@given(st.sampled_from(FIRST), st.binary(max_size=20))
def test_it_says_nothing_before_it_is_sure_and_never_changes_its_mind(
    case: tuple[bytes, str], more: bytes
) -> None:
    up, protocol = case
    said = {detect(up[:end], b"") for end in range(1, len(up), max(1, len(up) // 200))}
    assert said <= {None, protocol}
    if protocol != "opaque":
        assert detect(up + more, b"") == protocol


@given(st.binary(min_size=1, max_size=30), st.binary(max_size=30))
def test_it_never_raises_and_decides_in_the_end(up: bytes, down: bytes) -> None:
    detect(up, down)
    assert detect(up.ljust(LINE_LIMIT, b"\0"), down) is not None


@pytest.mark.parametrize(
    ("down", "protocol"),
    [
        (b"HTTP/1.1 400 Bad", "http/1.1"),
        (b"HTT", None),
        (b"220 smtp ready\r\n", "opaque"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", None),
        (b"\x4a\x00\x00\x00\x0a8.0", "opaque"),
        (b"", None),
    ],
)
def test_a_server_that_speaks_first(down: bytes, protocol: str | None) -> None:
    assert detect(b"", down) == protocol


@pytest.mark.parametrize("protocol", MODULES)
def test_every_protocol_has_a_decoder(protocol: str) -> None:
    assert load(protocol, Start()) is not None
    assert load("opaque", Start()) is None


def test_no_decoder_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from ferryman.inspection import sessions, feed; from ferryman.inspection.forms"
        " import make, Options; s = sessions.Sessions(); make('pretty', Options());"
        " s.receive(feed.Opened(1, 0, '', '', ''));"
        " s.receive(feed.Chunk(1, 0, 'up', b'SSH-2.0-x\\r\\n'));"
        f" print(*[m for m in {list(MODULES.values())!r} if m in sys.modules],"
        " *[m for m in ('brotli', 'zstandard') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "\n"
