from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman.addresses import Address, TcpAddress, UnixAddress
from tests.support.plane import Plane, plane


@pytest.fixture(params=["native", "portable"], name="plane")
def _plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plane]:
    """Every test of the data plane runs with epoll and splice, and without."""
    if request.param == "portable":
        monkeypatch.setenv("FERRYMAN_PORTABLE", "1")
    with plane() as one:
        yield one


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Address]:
    """An address of each family to listen on, and another one for the server behind."""
    return {
        "tcp4": TcpAddress("127.0.0.1", 0),
        "tcp6": TcpAddress("::1", 0),
        "unix": UnixAddress(str(tmp_path / "front.sock")),
        "unix behind": UnixAddress(str(tmp_path / "behind.sock")),
    }
