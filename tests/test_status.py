"""Status is truthful: what is wrong shows within a second, with its reason, and goes within one.

Each trouble is made on a real demo cluster and watched through the library.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
import urllib.error
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

import ferryman
from ferryman.access.kubeconfig import load
from ferryman.api.client import ObjectClient
from ferryman.api.conditions import Condition, find_condition
from ferryman.api.kinds.event import EVENTS
from ferryman.api.kinds.relay import (
    RELAYS,
    Listen,
    Port,
    RelaySpec,
    RelayStatus,
    Target,
    Workload,
    new_relay,
    status_of,
)
from ferryman.api.resource import Name, Object
from ferryman.apiclient.informer import Informer
from ferryman.daemon.wiring import in_process
from tests.support.demo import Demo, running_demo
from tests.support.forwarding import free_port

WITHIN = 1.0
PATIENCE = 20.0


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture(autouse=True)
def well(demo: Demo) -> Iterator[None]:
    """Whatever a test did to the demo is over when the next begins."""
    yield
    _reached(demo)
    demo.refuse()


class _Lag:
    """By how much short sleeps were late, in all."""

    def __init__(self) -> None:
        self.total = 0.0

    async def measure(self) -> None:
        while True:
            due = time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            self.total += max(0.0, time.monotonic() - due - 0.002)


class Watcher:
    """A forward's status as it changes, and how long each change takes."""

    def __init__(self, fwd: ferryman.Forward) -> None:
        self._fwd = fwd
        self._changes = fwd.events()

    @property
    def status(self) -> RelayStatus:
        return self._fwd.status

    async def change(self) -> None:
        """Wait for news."""
        await anext(self._changes)

    async def until(self, condition: Callable[[RelayStatus], object]) -> float:
        """How many seconds it takes until the status is so, less those that this machine, busy
        with others, kept us waiting.
        """
        began, lag = time.monotonic(), _Lag()
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            measuring = group.create_task(lag.measure())
            while not condition(self.status):
                await self.change()
            measuring.cancel()
        return time.monotonic() - began - lag.total

    async def shows(self, kind: str, status: str, reason: str, text: str) -> None:
        """A condition comes to be so, soon, and Ready says the same."""
        took = await self.until(lambda s: _is(s, kind, status, reason))
        found = self.condition(kind)
        assert text in found.message, found
        assert took < WITHIN, f"{reason} took {took:.2f} s"
        assert self.condition("Ready").reason == reason

    async def goes(self) -> None:
        """All is well again, soon."""
        took = await self.until(lambda s: _is(s, "Ready", "True", "Ready"))
        assert took < WITHIN, f"it took {took:.2f} s"

    def condition(self, kind: str) -> Condition:
        found = find_condition(self.status.conditions, kind)
        assert found is not None
        return found


def _is(status: RelayStatus, kind: str, so: str, reason: str) -> bool:
    found = find_condition(status.conditions, kind)
    return found is not None and (found.status, found.reason) == (so, reason)


@asynccontextmanager
async def forwarding(
    demo: Demo, port: int = 8000
) -> AsyncIterator[tuple[ferryman.Forward, Watcher]]:
    async with ferryman.forward("deploy/example-go", port, kubeconfig=demo.kubeconfig) as fwd:
        watcher = Watcher(fwd)
        await watcher.until(lambda s: _is(s, "Ready", "True", "Ready"))
        yield fwd, watcher


@asynccontextmanager
async def client(fwd: ferryman.Forward) -> AsyncIterator[asyncio.StreamReader]:
    """A connection that asks for something, and waits."""
    reader, writer = await asyncio.open_connection(fwd.host, fwd.port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        yield reader
    finally:
        writer.close()


def pod_of(demo: Demo, app: str) -> str:
    [pod] = [p for p in demo.pods(f"app={app}") if "deletionTimestamp" not in p["metadata"]]
    return str(pod["metadata"]["name"])


async def test_a_port_that_is_refused_inside_the_pod(demo: Demo) -> None:
    async with forwarding(demo, port=8999) as (fwd, status), client(fwd):
        await status.shows("Reachable", "False", "DialRefused", "port 8999")
        [port] = fwd.status.ports
        assert "refuses connections" in port.error
        assert status.condition("TargetReady").status == "True"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere pods have no addresses of their own")
async def test_a_refused_port_that_opens_when_nobody_tries_any_more(demo: Demo) -> None:
    async with forwarding(demo, port=8998) as (fwd, status):
        async with client(fwd):
            await status.shows("Reachable", "False", "DialRefused", "port 8998")
        [pod] = [p for p in demo.pods("app=example-go") if "deletionTimestamp" not in p["metadata"]]
        with socket.create_server((pod["status"]["podIP"], 8998)):
            await status.goes()
        assert not fwd.status.ports[0].error


async def test_a_rule_for_wires_that_is_missing(demo: Demo) -> None:
    demo.refuse("get:pods/portforward", "create:pods/portforward")
    try:
        async with forwarding(demo) as (fwd, status), client(fwd) as reader:
            await status.shows(
                "Reachable",
                "False",
                "Forbidden",
                "may not create pods/portforward in the namespace",
            )
            demo.refuse()
            await status.goes()
            assert b"200 OK" in await reader.read()
    finally:
        demo.refuse()


async def test_a_rule_for_pods_that_is_missing(demo: Demo) -> None:
    async with forwarding(demo) as (_, status):
        demo.refuse("list:pods", "watch:pods")
        try:
            demo.outage(0.05)  # as long as a watch lasts, nobody is asked
            await status.shows("Reachable", "False", "Forbidden", "may not watch pods")
        finally:
            demo.refuse()
        await status.goes()


async def test_a_cluster_that_is_away(demo: Demo) -> None:
    async with forwarding(demo) as (_, status):
        demo.outage(2)
        await status.shows("Reachable", "False", "ClusterUnreachable", "127.0.0.1")
        await asyncio.to_thread(_reached, demo)
        await status.goes()


def _reached(demo: Demo) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            demo.stats()
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.01)
        else:
            return


async def test_a_credential_that_has_expired(demo: Demo) -> None:
    async with forwarding(demo) as (fwd, status):
        demo.expire(2)
        async with client(fwd) as reader:
            await status.shows("Reachable", "False", "Unauthorized", "Unauthorized")
            await asyncio.to_thread(_reached, demo)
            await status.goes()
            assert b"200 OK" in await reader.read()


@asynccontextmanager
async def relays(demo: Demo) -> AsyncIterator[tuple[ObjectClient, Callable[..., Watching]]]:
    """A store with the Relay controller over it, and how to watch one relay's status."""
    access = load(demo.kubeconfig, None, {})
    async with in_process(access, lambda _: None) as parts, asyncio.TaskGroup() as group:
        informer = Informer(parts.relays, RELAYS)
        task = group.create_task(informer.run())
        await informer.synced.wait()
        yield parts.relays, lambda name: Watching(informer, name)
        task.cancel()


class Watching(Watcher):
    """The same of a Relay in a store."""

    def __init__(self, informer: Informer, name: str) -> None:
        self._informer = informer
        self._name = Name(name)
        self._news = asyncio.Event()
        informer.subscribe(lambda _: self._news.set())

    @property
    def status(self) -> RelayStatus:
        relay = self._informer.objects.get(self._name)
        return status_of(relay) if relay is not None else RelayStatus()

    async def change(self) -> None:
        self._news.clear()
        await self._news.wait()


def relay(name: str, port: int, cluster: str = "") -> Object:
    workload = Workload(cluster=cluster, kind="deployment", name="example-go")
    listen = Port(name="main", listen=Listen(hosts=("127.0.0.1",), port=port), target_port=8000)
    return new_relay(name, RelaySpec(ports=(listen,), target=Target(workload=workload)))


async def test_an_address_that_another_relay_has_claimed(demo: Demo) -> None:
    port = free_port()
    async with relays(demo) as (store, watching):
        await store.create(RELAYS, relay("first", port))
        await watching("first").goes()
        await store.create(RELAYS, relay("second", port))
        second = watching("second")
        await second.shows("Bound", "False", "PortClaimed", "is claimed by relay/first")
        await store.delete(RELAYS, "first")
        await second.goes()


async def test_an_address_that_another_program_has(demo: Demo) -> None:
    async with relays(demo) as (store, watching):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            await store.create(RELAYS, relay("late", taken.getsockname()[1]))
            late = watching("late")
            await late.shows("Bound", "False", "AddressInUse", f"(pid {os.getpid()})")
        await late.goes()


async def test_faults_are_done_to_connections_and_taken_back_while_it_listens(demo: Demo) -> None:
    async with relays(demo) as (store, watching):
        await store.create(RELAYS, relay("odd", 0))
        odd = watching("odd")
        await odd.goes()
        port = odd.status.ports[0].port

        async def asked() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return await reader.read()
            except ConnectionResetError:
                return b""
            finally:
                writer.close()

        async def come_to(answered: bool, faults: list[str]) -> None:
            await store.patch(RELAYS, "odd", "merge", {"spec": {"faults": faults}})
            async with asyncio.timeout(PATIENCE):
                while (await asked()).startswith(b"HTTP/1.1 200 OK") != answered:
                    pass  # the controller is about to hear of it

        await come_to(True, [])
        await come_to(False, ["reset@20,down"])
        await come_to(True, [])
        assert odd.status.ports[0].port == port


async def test_events_tell_what_a_person_would_ask_about(demo: Demo) -> None:
    async with relays(demo) as (store, watching):
        await store.create(RELAYS, relay("told", 0))
        told = watching("told")
        await told.goes()
        first = pod_of(demo, "example-go")
        demo.request("DELETE", f"/api/v1/namespaces/default/pods/{first}")
        await told.until(lambda s: _is(s, "TargetReady", "False", "NoReadyPod"))
        await told.until(lambda s: _is(s, "Ready", "True", "Ready"))
        second = pod_of(demo, "example-go")
        await told.until(lambda s: len(s.endpoints) == 1)
        events = (await store.list(EVENTS)).items
    said = [(e["type"], e["reason"], e["message"].partition(":")[0]) for e in events]
    assert said[0][1] == "Bound"
    assert [one for one in said if one[1].startswith("Pod")] == [
        ("Normal", "PodChosen", f"connections go to pod/{first}"),
        ("Normal", "PodLeaving", f"pod/{first} is going away"),
        ("Normal", "PodChosen", f"connections go to pod/{second}"),
        ("Normal", "PodReady", f"pod/{second} is ready"),
    ]
    assert "NoReadyPod" in [reason for kind, reason, _ in said if kind == "Warning"]
    assert {e["involvedObject"]["name"] for e in events} == {"told"}


async def test_a_cluster_that_there_is_not(demo: Demo) -> None:
    async with relays(demo) as (store, watching):
        made = await store.create(RELAYS, relay("lost", 0, "nowhere"))
        lost = watching("lost")
        await lost.shows("Reachable", "False", "ClusterUnreachable", "no cluster 'nowhere'")
        made["spec"]["target"]["workload"]["cluster"] = "ferryman-demo"
        await store.update(RELAYS, made | {"metadata": await _metadata(store, "lost")})
        await lost.goes()


async def _metadata(store: ObjectClient, name: str) -> Object:
    found: Object = (await store.get(RELAYS, name))["metadata"]
    return found


async def test_a_pod_that_goes_and_the_next_that_comes(demo: Demo) -> None:
    async with forwarding(demo) as (fwd, status):
        before = pod_of(demo, "example-go")
        demo.request("DELETE", f"/api/v1/namespaces/default/pods/{before}")
        await status.shows("TargetReady", "False", "NoReadyPod", "is")
        states = {e.pod: e.state for e in fwd.status.endpoints}
        assert states[before] == "Draining"
        await status.until(lambda s: _is(s, "Ready", "True", "Ready"))
        chosen = next(e for e in fwd.status.endpoints if e.state == "Active")
        assert (chosen.pod, chosen.reason) == (pod_of(demo, "example-go"), "ready")
