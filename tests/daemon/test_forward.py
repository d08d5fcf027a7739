"""The forward in this process, with a demo cluster in the same: everything real, nothing spawned
but the pods.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ferryman.access.kubeconfig import Access, load
from ferryman.api.kinds.relay import RelayStatus
from ferryman.daemon.forward import Wish, forward
from ferryman.dataplane.contract import Closed, DialFailed, Event, Opened
from ferryman.demo.cluster import Cluster
from ferryman.demo.kinds import PODS
from ferryman.errors import FerrymanError
from ferryman.kube.targets import Target

PATIENCE = 20.0
DEPLOYMENT = Target("deployment", "default", "example-go")
BULK = 16 << 20
BOTH = ("127.0.0.1", "::1")


class Witness:
    """An observer that remembers, and the two events that stop a forward."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.now = asyncio.Event()
        self.begun: list[RelayStatus] = []
        self.seen: list[RelayStatus] = []
        self.events: list[Event] = []
        self.drained = 0
        self._news = asyncio.Event()

    def forwarding(self, wish: Wish, status: RelayStatus) -> None:
        self.begun.append(status)
        self._news.set()

    def status(self, wish: Wish, status: RelayStatus) -> None:
        self.seen.append(status)
        self._news.set()

    def event(self, wish: Wish | None, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    def draining(self, connections: int) -> None:
        self.drained = connections
        self._news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await self._news.wait()
                self._news.clear()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster() as cluster:
        await cluster.ready()
        yield cluster


@pytest.fixture
def access(cluster: Cluster, tmp_path: Path) -> Access:
    return access_to(cluster.kubeconfig, tmp_path)


def access_to(kubeconfig: str, folder: Path) -> Access:
    file = folder / "kubeconfig"
    file.write_text(kubeconfig)
    return load(str(file), None, {})


def wish(target: Target = DEPLOYMENT, remote: int | str = 8000, hold: str = "30s") -> Wish:
    return Wish(target, ((0, remote),), BOTH, hold)


async def exchange(port: int, path: str = "/") -> str:
    """One GET; the body, or empty if the connection ended without an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    return answer.partition(b"\r\n\r\n")[2].decode().strip()


async def test_it_begins_carries_and_ends_on_request(cluster: Cluster, access: Access) -> None:
    witness = Witness()
    async with asyncio.TaskGroup() as group:
        group.create_task(forward(access, [wish()], witness, witness))
        await witness.until(lambda: witness.begun)
        [port] = witness.begun[0].ports
        assert port.target_port == 8000
        assert port.addresses == (f"127.0.0.1:{port.port}", f"[::1]:{port.port}")
        assert (await exchange(port.port)).startswith("example-go-")
        await witness.until(lambda: any(isinstance(e, Closed) for e in witness.events))
        assert [e for e in witness.events if isinstance(e, Opened)]
        witness.stopping.set()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port.port)


async def test_what_is_open_may_end_unless_told_otherwise(cluster: Cluster, access: Access) -> None:
    witness = Witness()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(forward(access, [wish()], witness, witness))
        await witness.until(lambda: witness.begun)
        port = witness.begun[0].ports[0].port
        idle = group.create_task(kept(port))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /bytes/{BULK} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        await witness.until(lambda: sum(isinstance(e, Opened) for e in witness.events) == 2)
        witness.stopping.set()
        assert b" 200 OK" in head
        assert len(await reader.read()) == BULK
        writer.close()
        assert not running.done()
        await witness.until(lambda: witness.drained)
        witness.now.set()
        await idle


async def kept(port: int) -> None:
    """An exchange on a connection that stays open until it is reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def lost(port: int, path: str) -> None:
    """An exchange that ends in a reset."""
    with pytest.raises(ConnectionResetError):
        await exchange(port, path)


@pytest.mark.parametrize(
    ("target", "remote", "message"),
    [
        (Target("deployment", "default", "nope"), 80, 'deployments.apps "nope" not found'),
        (Target("service", "default", "example-go"), 81, "does not have a service port 81"),
        (Target("deployment", "default", "example-go"), "nope", "not have a named port 'nope'"),
    ],
)
async def test_what_cannot_be_is_told_at_once(
    cluster: Cluster, access: Access, target: Target, remote: int | str, message: str
) -> None:
    witness = Witness()
    with pytest.raises(FerrymanError) as error:
        async with asyncio.timeout(PATIENCE):
            await forward(access, [wish(target, remote)], witness, witness)
    assert message in error.value.message
    assert witness.begun == []


async def test_a_port_that_is_taken_is_told_at_once(cluster: Cluster, access: Access) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wanted = Wish(DEPLOYMENT, ((port, 8000),), BOTH)
        witness = Witness()
        with pytest.raises(FerrymanError, match=f"in use on 127.0.0.1:{port}"):
            async with asyncio.timeout(PATIENCE):
                await forward(access, [wanted], witness, witness)


async def test_a_wrong_token_is_told_at_once(cluster: Cluster, tmp_path: Path) -> None:
    access = access_to(cluster.kubeconfig.replace(cluster.token, "wrong"), tmp_path)
    witness = Witness()
    with pytest.raises(FerrymanError, match="Unauthorized"):
        async with asyncio.timeout(PATIENCE):
            await forward(access, [wish()], witness, witness)


async def test_a_cluster_that_does_not_answer_is_told_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    access = access_to(
        f"""
apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: c}}}}]
clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
""",
        tmp_path,
    )
    witness = Witness()
    with pytest.raises(FerrymanError, match="refused"):
        async with asyncio.timeout(PATIENCE):
            await forward(access, [wish()], witness, witness)


async def test_a_connection_that_waits_too_long_is_reset(cluster: Cluster, access: Access) -> None:
    target = Target("pod", "default", "later")
    container = {"name": "app", "image": "example-go", "ports": [{"containerPort": 8000}]}
    await cluster.store.create(
        PODS,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "later", "namespace": "default"},
            "spec": {"containers": [container], "nodeSelector": {"nowhere": "true"}},
        },
    )
    witness = Witness()
    async with asyncio.TaskGroup() as group:
        group.create_task(forward(access, [wish(target, hold="200ms")], witness, witness))
        await witness.until(lambda: witness.begun)
        await lost(witness.begun[0].ports[0].port, "/")
        await witness.until(lambda: any(isinstance(e, DialFailed) for e in witness.events))
        [failed] = [e for e in witness.events if isinstance(e, DialFailed)]
        assert (failed.kind, failed.final) == ("held", True)
        witness.stopping.set()
