"""The library on a real demo cluster, with asyncio and without, and the fixture of the docs."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import ferryman
from ferryman.api.conditions import find_condition
from ferryman.dataplane.contract import Closed, DialFailed, Opened
from ferryman.errors import UserError
from tests.support.demo import Demo, running_demo
from tests.support.forwarding import get

PATIENCE = 20.0
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


async def test_async_with_forwards_and_tells_what_happens(demo: Demo) -> None:
    async with asyncio.timeout(PATIENCE):
        async with ferryman.forward(
            "deployment/example-go", 8000, kubeconfig=demo.kubeconfig
        ) as fwd:
            events = fwd.events()
            status = await fwd.ready()
            assert [e.state for e in status.endpoints] == ["Active"]
            assert fwd.host == "127.0.0.1"
            assert fwd.ports == {8000: fwd.port}
            pod = await asyncio.to_thread(get, fwd.port)
            assert pod == status.endpoints[0].pod
            told = []
            async for event in events:
                told.append(event)
                if isinstance(event, Closed):
                    break
            assert [type(e) for e in told if isinstance(e, Opened | Closed)] == [Opened, Closed]
        assert [type(e) async for e in events if isinstance(e, Opened)] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", fwd.port), 5)


def test_with_does_the_same_in_a_thread_of_its_own(demo: Demo) -> None:
    threads = set(threading.enumerate())
    with ferryman.forward("svc/example-go", ":http", ":80", kubeconfig=demo.kubeconfig) as fwd:
        events = fwd.events()
        assert fwd.ready(PATIENCE).conditions
        assert fwd.ports["http"] == fwd.port != fwd.ports[80]
        assert get(fwd.ports[80]).startswith("example-go-")
        assert next(e for e in events if isinstance(e, Closed)).down > 0
    assert list(events) == []
    for thread in set(threading.enumerate()) - threads:  # a name's look-up may last a moment more
        thread.join(PATIENCE)
        assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="has been left"):
        fwd.ready()


def test_what_cannot_be_is_raised_on_entering(demo: Demo) -> None:
    with pytest.raises(ferryman.FerrymanError, match='"exampel-go" not found') as error:
        with ferryman.forward("deploy/exampel-go", 8000, kubeconfig=demo.kubeconfig):
            pytest.fail("it was entered")
    assert error.value.hint == "did you mean deployment/example-go?"


@pytest.mark.parametrize(
    ("target", "ports", "message"),
    [
        ("deploy/x", (), "no port to forward to"),
        ("deploy/x/y", (80,), "more than one slash"),
        ("deploy/x", ("a:b:c",), "invalid port format"),
        ("deploy/x", ("80", "80:81"), "asked for twice"),
    ],
)
async def test_what_is_misspelt_is_raised_on_entering(
    demo: Demo, target: str, ports: tuple[int | str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        async with ferryman.forward(target, *ports, kubeconfig=demo.kubeconfig):
            pytest.fail("it was entered")


async def test_an_error_in_the_block_is_the_blocks_own(demo: Demo) -> None:
    with pytest.raises(ZeroDivisionError):
        async with ferryman.forward("deploy/web", 80, kubeconfig=demo.kubeconfig):
            raise ZeroDivisionError


async def test_leaving_resets_what_is_open_at_once(demo: Demo) -> None:
    async with ferryman.forward("deploy/example-go", 8000, kubeconfig=demo.kubeconfig) as fwd:
        reader, writer = await asyncio.open_connection("127.0.0.1", fwd.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        began = time.monotonic()
    assert time.monotonic() - began < 2
    with pytest.raises(ConnectionResetError):
        await reader.readuntil(b"what never comes")
    writer.close()


async def test_cancelling_the_entry_leaves_nothing(demo: Demo) -> None:
    async def enter() -> None:
        async with ferryman.forward(
            "deploy/not-yet", 8000, kubeconfig=demo.kubeconfig, wait=True
        ) as fwd:
            entered.set_result(fwd.port)
            await fwd.ready()

    entered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        entering = group.create_task(enter())
        port = await entered
        entering.cancel()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


async def test_status_tells_why_it_is_not_ready(demo: Demo) -> None:
    async with asyncio.timeout(PATIENCE):
        async with ferryman.forward(
            "deploy/not-yet", 8000, kubeconfig=demo.kubeconfig, wait=True
        ) as fwd:
            ready = find_condition(fwd.status.conditions, "Ready")
            assert ready is not None
            assert (ready.status, ready.reason) == ("False", "TargetNotFound")
            assert 'deployments.apps "not-yet" not found' in ready.message


async def test_a_relay_carries_and_tells(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()

    path = str(tmp_path / "echo.sock")
    server = await asyncio.start_unix_server(echo, path)
    async with server, asyncio.timeout(PATIENCE), ferryman.relay(0, path) as relay:
        events = relay.events()
        assert {str(address) for address in relay.addresses} == {
            f"127.0.0.1:{relay.port}",
            f"[::1]:{relay.port}",
        }
        reader, writer = await asyncio.open_connection(relay.host, relay.port)
        writer.write(b"hello")
        assert await reader.read() == b"hello"
        writer.close()
        async for event in events:
            if isinstance(event, Closed):
                break


def test_a_relay_without_asyncio_waits_for_its_target() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = taken.getsockname()[1]
    with ferryman.relay(0, target, hold="30s") as relay:
        events = relay.events()
        with socket.create_connection((relay.host, relay.port), 5) as client:
            assert isinstance(next(events), DialFailed)
            with socket.create_server(("127.0.0.1", target)) as server:
                server.settimeout(PATIENCE)
                accepted, _ = server.accept()
                accepted.sendall(b"late")
                accepted.close()
            assert client.recv(10) == b"late"


def test_a_relay_takes_addresses_as_socat_writes_them() -> None:
    with ferryman.relay("TCP-LISTEN:0,bind=127.0.0.1,fork", "SYSTEM:'echo hi'") as relay:
        with socket.create_connection((relay.host, relay.port), 5) as client:
            assert client.recv(10) == b"hi\n"
    with ferryman.relay("UDP-LISTEN:0,bind=127.0.0.1,fork", "PIPE") as relay:
        with pytest.raises(UserError, match="no TCP address"):
            assert relay.port


def test_an_address_that_is_taken_is_raised() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match="in use"), ferryman.relay(port, 80):
            pytest.fail("it was entered")


def test_a_unix_socket_has_no_port(tmp_path: Path) -> None:
    with ferryman.relay(str(tmp_path / "x.sock"), 80) as relay:
        assert str(relay.addresses[0]) == str(tmp_path / "x.sock")
        with pytest.raises(UserError, match="no TCP address"):
            _ = relay.port


# -- the documentation --


def test_the_fixture_of_the_documentation_works(demo: Demo, tmp_path: Path) -> None:
    text = (ROOT / "docs/library.md").read_text()
    [example] = re.findall(r"```python\n(# test_shop.py\n.*?)```", text, re.DOTALL)
    (tmp_path / "test_shop.py").write_text(example)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-W", "error", "test_shop.py"],
        cwd=tmp_path,
        env={**os.environ, "KUBECONFIG": demo.kubeconfig},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "2 passed" in done.stdout, done.stdout


# -- the package --


def test_importing_the_package_costs_next_to_nothing() -> None:
    probe = (
        "import sys; before = set(sys.modules); import ferryman; print(*set(sys.modules)-before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, env=os.environ
    )
    assert "ferryman" in done.stdout.split()
    assert not {"asyncio", "msgspec", "ssl", "socket", "typing", "ferryman.library"} & set(
        done.stdout.split()
    )


def test_every_public_name_is_there_and_no_other() -> None:
    for name in ferryman.__all__:
        assert getattr(ferryman, name).__name__ if name != "Event" else ferryman.Event
    with pytest.raises(AttributeError, match="nonsense"):
        _ = ferryman.nonsense
