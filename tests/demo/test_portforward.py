"""The node's end of a wire, on real sockets, against our own client's machine."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from ferryman.controllers.recording import Recorder
from ferryman.demo.kinds import SCHEME
from ferryman.demo.kubelet.kubelet import Kubelet
from ferryman.demo.kubelet.sandbox import Sandbox, Stage
from ferryman.demo.network import MappedNetwork
from ferryman.demo.portforward import PortForwarder, WireProtocol
from ferryman.protocols.channels import ChannelsClient, ChannelsServer
from ferryman.protocols.multiplex import (
    Accepted,
    ClientWire,
    Data,
    ErrorEnded,
    ErrorText,
    Finished,
    GoneAway,
    PairReset,
    ServerWire,
)
from ferryman.protocols.portforward import PortForwardClient, PortForwardServer
from ferryman.protocols.websocket import Tunnel
from ferryman.runtime.clock import SystemClock
from ferryman.runtime.tasks import Tasks
from ferryman.store.memory import MemoryStore
from tests.support.wire_client import WireClient

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Machines = Callable[[int], tuple[ClientWire, ServerWire]]


def spdy(_: int) -> tuple[ClientWire, ServerWire]:
    return PortForwardClient(), PortForwardServer()


def tunnelled(_: int) -> tuple[ClientWire, ServerWire]:
    return (
        PortForwardClient(Tunnel(client=True)),
        PortForwardServer(Tunnel(client=False)),
    )


def channels(port: int) -> tuple[ClientWire, ServerWire]:
    return ChannelsClient(port), ChannelsServer([port])


MULTIPLEXED = [spdy, tunnelled]
ALL = [spdy, tunnelled, channels]


class Direct(MappedNetwork):
    """Every port of a pod is the same port of 127.0.0.1."""

    def dial(self, pod_ip: str, port: int) -> tuple[str, int] | None:
        return "127.0.0.1", port


class Node:
    """A forwarder and a sandbox."""

    def __init__(self, forwarder: PortForwarder, sandbox: Sandbox) -> None:
        self.forwarder = forwarder
        self.sandbox = sandbox

    @asynccontextmanager
    async def wire(self, machines: Machines, port: int) -> AsyncIterator[WireClient]:
        """A wire to the sandbox; ``port`` is for v4, which names it in the request."""
        client, server = machines(port)
        lost = asyncio.Event()

        class Tracked(WireProtocol):
            def connection_lost(self, error: Exception | None) -> None:
                super().connection_lost(error)
                lost.set()

        listener = await asyncio.get_running_loop().create_server(
            lambda: Tracked(self.forwarder, server, self.sandbox), "127.0.0.1", 0
        )
        async with listener:
            reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
            try:
                yield WireClient(client, reader, writer)
            finally:
                writer.transport.abort()
                await lost.wait()


@asynccontextmanager
async def running_node(*, half_close: bool = False) -> AsyncIterator[Node]:
    clock = SystemClock()
    network = Direct()
    async with Tasks() as tasks:
        store = MemoryStore(SCHEME, clock)
        kubelet = Kubelet(store, clock, Recorder(store, clock, "n"), network, tasks, "n")
        yield Node(PortForwarder(store, kubelet, half_close=half_close), Sandbox(network))


@asynccontextmanager
async def pod_program(handler: Handler) -> AsyncIterator[int]:
    """A program that listens like a pod's; its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers only once it has seen the end of what was sent."""
    data = await reader.read()
    writer.write(b"got %d" % len(data))


async def short(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says something and ends."""
    writer.write(b"bye")


@pytest.mark.parametrize("machines", ALL)
async def test_bytes_go_both_ways(machines: Machines) -> None:
    async with running_node() as node, pod_program(echo) as port:
        async with node.wire(machines, port) as client:
            pair = client.machine.open(port)
            sent = bytes(range(256)) * 4096
            client.machine.send(pair, sent)
            client.flush()
            await client.read(pair, len(sent))
            assert client.bytes_of(pair) == sent


@pytest.mark.parametrize("machines", MULTIPLEXED)
async def test_when_the_pod_ends_first_the_fin_waits_for_the_clients(machines: Machines) -> None:
    """As containerd does: else it comes a second later."""
    async with running_node() as node, pod_program(short) as port:
        async with node.wire(machines, port) as client:
            pair = client.machine.open(port)
            client.flush()
            await client.until(Data)
            assert client.ends_of() == []
            client.machine.finish(pair)
            client.flush()
            await client.until(ErrorEnded)
            assert client.bytes_of() == b"bye"
            assert client.ends_of() == [Finished(pair), ErrorEnded(pair)]


async def test_containerd_never_half_closes_the_pods_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ferryman.demo.podside.LINGER", 0.05)
    async with running_node() as node, pod_program(whole) as port:
        async with node.wire(spdy, port) as client:
            pair = client.machine.open(port)
            client.machine.send(pair, b"12345")
            client.machine.finish(pair)
            client.flush()
            await client.until(ErrorEnded)
            assert client.bytes_of() == b""  # the program waited for an end that never came
            assert client.ends_of() == [Finished(pair), ErrorEnded(pair)]


@pytest.mark.parametrize("machines", MULTIPLEXED)
async def test_a_faithful_node_half_closes_both_ways(machines: Machines) -> None:
    async def greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.write_eof()
        received.append(await reader.read())

    received: list[bytes] = []
    async with running_node(half_close=True) as node:
        async with pod_program(whole) as port, node.wire(machines, port) as client:
            pair = client.machine.open(port)
            client.machine.send(pair, b"12345")
            client.machine.finish(pair)
            client.flush()
            await client.until(ErrorEnded)
            assert client.bytes_of() == b"got 5"
        async with pod_program(greeting) as port, node.wire(machines, port) as client:
            pair = client.machine.open(port)
            client.flush()
            await client.until(Finished)
            assert client.ends_of() == [Finished(pair)]
            client.machine.send(pair, b"and on it goes")
            client.machine.finish(pair)
            client.flush()
            await client.until(ErrorEnded)
            assert client.bytes_of() == b"hello"
        assert received == [b"and on it goes"]


@pytest.mark.parametrize("machines", ALL)
async def test_a_refused_port_is_told_and_harms_no_other(machines: Machines) -> None:
    with socket.socket() as taken:  # bound, never listening: refused
        taken.bind(("127.0.0.1", 0))
        refused = taken.getsockname()[1]
        async with running_node() as node, pod_program(echo) as port:
            async with node.wire(machines, refused) as client:
                pair = client.machine.open(refused)
                client.flush()
                await client.until(ErrorEnded)
                (text,) = [e.text for e in client.events if isinstance(e, ErrorText)]
                assert text == (
                    f"error forwarding port {refused} to pod {node.sandbox.id}, uid : failed to "
                    f'execute portforward in network namespace "{node.sandbox.namespace}": failed '
                    f'to connect to localhost:{refused} inside namespace "{node.sandbox.namespace}"'
                    f", IPv4: dial tcp4 127.0.0.1:{refused}: connect: connection refused IPv6 dial "
                    "tcp6: address localhost: no suitable address found "
                )
                if machines in MULTIPLEXED:
                    assert client.ends_of(pair)[0] == Finished(pair)
                    other = client.machine.open(port)
                    client.machine.send(other, b"still here")
                    client.flush()
                    await client.until(Data, other)
                    assert client.bytes_of(other) == b"still here"
                else:
                    await client.until(GoneAway)
            assert node.forwarder.stats.dials_failed == 1


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (Stage.CLOSED, 'network namespace for sandbox "{id}" is closed'),
        (Stage.GONE, 'failed to find sandbox "{id}" in store: not found'),
    ],
)
async def test_a_sandbox_that_is_gone_is_told_with_resets(stage: Stage, text: str) -> None:
    async with running_node() as node, node.wire(spdy, 1) as client:
        node.sandbox.stage = stage
        pair = client.machine.open(8000)
        client.flush()
        await client.until(ErrorEnded)
        told = next(e.text for e in client.events if isinstance(e, ErrorText))
        assert told.endswith(text.format(id=node.sandbox.id))
        assert PairReset(pair) in client.ends_of()
        assert Finished(pair) not in client.ends_of()


async def test_a_dial_into_a_sandbox_that_is_just_going_is_never_answered() -> None:
    async with running_node() as node, pod_program(echo) as port:
        async with node.wire(spdy, port) as client:
            node.sandbox.stage = Stage.SILENT
            silent = client.machine.open(port)
            client.machine.send(silent, b"anybody?")
            client.flush()
            await client.until(Accepted, silent)
            node.sandbox.stage = Stage.UP
            other = client.machine.open(port)
            client.machine.send(other, b"here")
            client.flush()
            await client.until(Data, other)
            assert client.bytes_of(silent) == b""
            assert client.ends_of(silent) == []


async def test_an_rst_of_the_pod_is_told_as_an_error() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        taken = writer.get_extra_info("socket")
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with running_node() as node, pod_program(reset) as port:
        async with node.wire(spdy, port) as client:
            pair = client.machine.open(port)
            client.machine.send(pair, b"x")
            client.flush()
            await client.until(ErrorEnded)
            (text,) = [e.text for e in client.events if isinstance(e, ErrorText)]
            assert text.endswith("read: connection reset by peer")


@pytest.mark.parametrize("machines", ALL)
async def test_when_the_wire_breaks_the_pods_connections_are_reset(machines: Machines) -> None:
    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"!")
        try:
            await reader.read()
        except ConnectionResetError as error:
            ended.set_result(error)
        else:
            ended.set_result(None)

    async with running_node() as node, pod_program(listen) as port:
        async with node.wire(machines, port) as client:
            client.machine.open(port)
            client.flush()
            await client.until(Data)
        async with asyncio.timeout(10):
            assert isinstance(await ended, ConnectionResetError)
        assert node.forwarder.stats.wires_open == 0


@pytest.mark.parametrize("machines", ALL)
async def test_garbage_ends_the_wire_only(machines: Machines) -> None:
    async with running_node() as node, pod_program(echo) as port:
        async with node.wire(machines, port) as good:
            async with node.wire(machines, port) as bad:
                bad.writer.write(b"\xff" * 4096)
                async with asyncio.timeout(10):
                    while await bad.reader.read(65536):
                        pass
                pair = good.machine.open(port)
                good.machine.send(pair, b"fine")
                good.flush()
                await good.until(Data, pair)
                good.writer.transport.abort()


async def test_a_client_that_does_not_read_stops_the_pod_and_memory_stays_bounded() -> None:
    written = 0
    blocked = asyncio.Event()

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        block = bytes(1 << 20)
        while True:
            writer.write(block)
            try:
                async with asyncio.timeout(0.5):
                    await writer.drain()
            except TimeoutError:
                blocked.set()
                return
            written += len(block)

    async with running_node() as node, pod_program(flood) as port:
        async with node.wire(spdy, port) as client:
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]  # what is tested
            client.machine.open(port)
            client.flush()
            async with asyncio.timeout(20):
                await blocked.wait()
    assert written < 64 << 20  # kernel buffers and one high water, not the flood


async def test_a_pod_that_does_not_read_stops_the_wire() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"!")
        transport = writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
        await release.wait()

    release = asyncio.Event()
    async with running_node() as node, pod_program(deaf) as port:
        async with node.wire(spdy, port) as client:
            pair = client.machine.open(port)
            client.flush()
            await client.until(Data)
            sent = 0
            for _ in range(256):
                client.machine.send(pair, bytes(1 << 20))
                client.flush()
                sent += 1
                try:
                    async with asyncio.timeout(0.5):
                        await client.writer.drain()
                except TimeoutError:
                    break
            release.set()
    assert sent < 64
