import os
import socket
import sys
from pathlib import Path

import pytest

from ferryman.addresses import TcpAddress, UnixAddress
from ferryman.dataplane.holder import holder_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="proc(5) is Linux'")
ME = f"(pid {os.getpid()})"


def listening(host: str, port: int = 0) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
    ],
)
def test_who_listens_on_an_address_or_on_its_wildcard_is_named(held: str, asked: str) -> None:
    with listening(held) as server:
        assert holder_of(TcpAddress(asked, server.getsockname()[1])).endswith(ME)


@pytest.mark.parametrize(
    ("held", "asked"), [("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "::1"), ("::1", "127.0.0.1")]
)
def test_who_has_the_port_elsewhere_is_not_blamed(held: str, asked: str) -> None:
    with listening(held) as server:
        assert holder_of(TcpAddress(asked, server.getsockname()[1])) == ""


def test_who_listens_on_a_unix_socket_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "x.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert holder_of(UnixAddress(path)).endswith(ME)
    assert holder_of(UnixAddress(path)) == ""
