"""What tests of the wires share: an API server on loopback, and wires to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.plane import Forward, plane
from tests.support.portforward_server import ApiServer
from tests.support.wires import Bench


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture(params=["native", "portable"])
def bench(
    server: ApiServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    if request.param == "portable":
        monkeypatch.setenv("FERRYMAN_PORTABLE", "1")
    made = Bench()
    made.wires.cluster(server.settings())
    yield made
    made.wires.close()
    made.loop.close()


@pytest.fixture
def forward(server: ApiServer) -> Iterator[Forward]:
    with plane() as one:
        yield Forward(one, server.settings())
