"""A whole cluster in this process: its API over TLS, its wires, how its pods die."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from ferryman.api.client import Added, Deleted, Modified
from ferryman.api.resource import Object, Resource
from ferryman.demo.cluster import Cluster
from ferryman.demo.kinds import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    EVENTS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
)
from ferryman.demo.network import MappedNetwork
from ferryman.protocols import transports
from ferryman.protocols.multiplex import (
    Data,
    ErrorText,
    Established,
    Opening,
)
from tests.support.wire_client import WireClient

POD = "cache-0"
PATH = "/api/v1/namespaces/default/pods/{}/portforward"
ECHO = 6379


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Cluster]:
    async with asyncio.timeout(60):
        async with Cluster(**options) as cluster:
            await cluster.ready()
            yield cluster


async def eventually(
    cluster: Cluster, resource: Resource, name: str, wanted: Callable[[Object], Any]
) -> Object:
    """The object, once it is as wanted; watched, not polled."""
    listed = await cluster.store.list(resource, "default")
    for found in listed.items:
        if found["metadata"]["name"] == name and wanted(found):
            return found
    changes = cluster.store.watch(resource, "default", resource_version=listed.resource_version)
    async with asyncio.timeout(20), contextlib.aclosing(cast(AsyncGenerator[Any, None], changes)):
        while True:
            event = await anext(changes)
            if isinstance(event, Added | Modified) and event.object["metadata"]["name"] == name:
                obj = event.object
            else:
                continue
            if wanted(obj):
                return obj


async def gone(cluster: Cluster, resource: Resource, prefix: str) -> None:
    """Return once no object's name begins so; watched, not polled."""
    listed = await cluster.store.list(resource, "default")
    left = {o["metadata"]["name"] for o in listed.items if o["metadata"]["name"].startswith(prefix)}
    changes = cluster.store.watch(resource, "default", resource_version=listed.resource_version)
    async with asyncio.timeout(20), contextlib.aclosing(cast(AsyncGenerator[Any, None], changes)):
        while left:
            event = await anext(changes)
            if isinstance(event, Deleted):
                left.discard(event.object["metadata"]["name"])


def is_ready(pod: Object) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True"


async def connect(cluster: Cluster) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cadata=cluster.authority.decode())
    port = int(cluster.url.rpartition(":")[2])
    return await asyncio.open_connection("127.0.0.1", port, ssl=context)


async def ask(
    cluster: Cluster, method: str, path: str, *headers: str, token: str | None = None
) -> tuple[int, Any]:
    """One request; status and JSON, or text."""
    reader, writer = await connect(cluster)
    token = cluster.token if token is None else token
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: x",
        "Content-Length: 0",
        f"Authorization: Bearer {token}",
    ]
    if not any(header.lower().startswith("connection") for header in headers):
        lines.append("Connection: close")
    writer.write("\r\n".join([*lines, *headers, "", ""]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    status = int(head.split(" ")[1])
    length = re.search(r"content-length: (\d+)", head)
    body = await reader.readexactly(int(length[1])) if length else b""
    writer.close()
    try:
        return status, json.loads(body)
    except ValueError:
        return status, body.decode()


@asynccontextmanager
async def wire(cluster: Cluster, opening: Opening) -> AsyncIterator[WireClient]:
    reader, writer = await connect(cluster)
    try:
        writer.write(opening.request)
        while (answer := opening.receive(await reader.read(65536))) is None:
            pass
        assert isinstance(answer, Established), answer
        client = WireClient(answer.wire, reader, writer)
        client.events += answer.events
        yield client
    finally:
        writer.transport.abort()


def openings(cluster: Cluster, pod: str = POD) -> list[Opening]:
    headers = (("authorization", f"Bearer {cluster.token}"),)
    path = PATH.format(pod)
    return [
        transports.tunnel("x", path, headers),
        transports.spdy("x", path, headers),
        transports.channels("x", path, ECHO, headers),
    ]


@pytest.mark.parametrize("network", [None, MappedNetwork], ids=["of the system", "mapped"])
async def test_every_wire_reaches_a_pod(network: type[MappedNetwork] | None) -> None:
    async with running(network=network() if network else None) as cluster:
        for opening in openings(cluster):
            async with wire(cluster, opening) as client:
                pair = client.machine.open(ECHO)
                client.machine.send(pair, b"hello")
                client.flush()
                await client.until(Data)
                assert client.bytes_of(pair) == b"hello"
        _, stats = await ask(cluster, "GET", "/demo/stats")
        assert stats["wires_opened"] == 3
        assert stats["pairs_opened"] == 3
        assert stats["requests"]["get pods/portforward"] == 2
        assert stats["requests"]["create pods/portforward"] == 1


UPGRADE = ("Connection: Upgrade", "Upgrade: SPDY/3.1")
VERSION = "X-Stream-Protocol-Version: portforward.k8s.io"
SOCKET = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
          "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")  # fmt: skip


async def test_what_cannot_be_forwarded_is_refused_as_a_server_does() -> None:
    async with running() as cluster:
        pending = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pending", "namespace": "default"},
            "spec": {
                "nodeSelector": {"disk": "tape"},
                "containers": [{"name": "a", "image": "web"}],
            },
        }
        await cluster.store.create(PODS, pending)
        path = PATH.format(POD)
        v4 = (*SOCKET, "Sec-WebSocket-Protocol: v4.channel.k8s.io")
        table = [
            ("POST", PATH.format("nopod"), (*UPGRADE, VERSION), 404, 'pods "nopod" not found'),
            ("POST", PATH.format("pending"), (*UPGRADE, VERSION), 400,
             "pod pending does not have a host assigned"),
            ("POST", path, UPGRADE, 400, 'header "X-Stream-Protocol-Version" is required'),
            ("POST", path, (*UPGRADE, "X-Stream-Protocol-Version: v9"), 403, ""),
            ("GET", path, v4, 400, 'query parameter "port" is required'),
            ("GET", path, (*SOCKET, "Sec-WebSocket-Protocol: chat"), 403, ""),
            ("GET", path, (), 400, "you must request an upgrade"),
        ]  # fmt: skip
        for method, where, headers, status, message in table:
            got, body = await ask(cluster, method, where, *headers)
            text = body["message"] if isinstance(body, dict) else body
            assert (got, message in text) == (status, True), (where, headers, got, body)


async def test_nobody_gets_a_wire_or_a_hook_without_the_token() -> None:
    async with running() as cluster:
        for method, path, headers in (
            ("POST", PATH.format(POD), (*UPGRADE, VERSION)),
            ("GET", PATH.format(POD) + f"?ports={ECHO}", SOCKET),
            ("POST", "/demo/outage?seconds=1", ()),
            ("POST", f"/demo/kill?pod={POD}", ()),
            ("GET", "/demo/stats", ()),
        ):
            for token in ("wrong", ""):
                status, _ = await ask(cluster, method, path, *headers, token=token)
                assert status == 401, (method, path)


async def test_hooks_refuse_what_makes_no_sense() -> None:
    async with running() as cluster:
        for path, status in (
            ("/demo/outage?seconds=never", 400),
            ("/demo/outage?seconds=-1", 400),
            ("/demo/outage?seconds=nan", 400),
            ("/demo/kill?pod=none", 404),
            ("/demo/kill", 404),
        ):
            assert (await ask(cluster, "POST", path))[0] == status, path


async def test_a_killed_container_comes_back_in_the_same_pod() -> None:
    async with running() as cluster:
        before = await cluster.store.get(PODS, POD, "default")
        status, killed = await ask(cluster, "POST", f"/demo/kill?pod={POD}")
        assert status == 200
        assert killed["pid"] > 1
        after = await eventually(
            cluster,
            PODS,
            POD,
            lambda pod: (
                pod["status"]["containerStatuses"][0]["restartCount"] == 1 and is_ready(pod)
            ),
        )
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["status"]["podIP"] == before["status"]["podIP"]
        ended = after["status"]["containerStatuses"][0]["lastState"]["terminated"]
        assert ended["exitCode"] == 137
        await ask(cluster, "POST", f"/demo/kill?pod={POD}")
        await eventually(cluster, PODS, POD, lambda pod: "CrashLoopBackOff" in json.dumps(pod))


async def test_a_wire_tells_how_its_pod_goes_away() -> None:
    """In this order: served, refused, closed, not found; and never that it was deleted."""
    async with running() as cluster:
        _, opening, _ = openings(cluster)
        pairs: list[int] = []
        async with wire(cluster, opening) as client:
            await cluster.store.delete(PODS, POD, "default")
            while not any(
                isinstance(e, ErrorText) and "not found" in e.text for e in client.events
            ):
                pairs.append(client.machine.open(ECHO))
                client.machine.send(pairs[-1], b"x")
                client.flush()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.004):
                        await client.receive()
        told = [stage for pair in pairs if (stage := _stage(client, pair))]
        stages = [stage for stage, _ in itertools.groupby(told)]
        assert [stage for stage in STAGES if stage in stages] == stages
        assert {"refused", "closed", "not found"} <= set(stages)
        fresh = await eventually(cluster, PODS, POD, is_ready)
        assert "deletionTimestamp" not in fresh["metadata"]


STAGES = {
    "served": "",
    "refused": "connection refused",
    "closed": "is closed",
    "not found": "in store: not found",
}


def _stage(client: WireClient, pair: int) -> str:
    for event in client.events:
        if isinstance(event, ErrorText) and event.pair == pair:
            return next(
                (stage for stage, text in STAGES.items() if text and text in event.text), ""
            )
    return "served" if client.bytes_of(pair) else ""  # broken off, or not told yet


async def test_an_outage_cuts_wires_and_ends_on_the_same_port() -> None:
    async with running() as cluster:
        _, opening, _ = openings(cluster)
        async with wire(cluster, opening) as client:
            status, _ = await ask(cluster, "POST", "/demo/outage?seconds=0.2")
            assert status == 200
            with pytest.raises((AssertionError, ConnectionError)):
                await client.until(Data)  # the wire ends
        while True:
            try:
                assert (await ask(cluster, "GET", "/api/v1/namespaces/default/pods"))[0] == 200
                break
            except OSError:
                await asyncio.sleep(0.01)
        pod = await cluster.store.get(PODS, POD, "default")
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


async def test_deleting_a_deployment_takes_everything_of_it() -> None:
    async with running() as cluster:
        await cluster.store.delete(DEPLOYMENTS, "web", "default")
        for resource in (REPLICA_SETS, PODS):
            await gone(cluster, resource, "web-")
        slices = await cluster.store.list(ENDPOINT_SLICES, "default")
        found = {s["metadata"]["labels"]["kubernetes.io/service-name"]: s for s in slices.items}
        assert found["web"]["endpoints"] == []
        assert len(found["example-go"]["endpoints"]) == 1


async def test_a_forced_delete_leaves_no_process() -> None:
    async with running() as cluster:
        await cluster.store.delete(PODS, POD, "default", grace_seconds=0)
        fresh = await eventually(cluster, PODS, POD, is_ready)
        assert "deletionTimestamp" not in fresh["metadata"]


async def test_a_pod_is_told_to_stop_and_killed_when_it_does_not() -> None:
    async with running() as cluster:
        await cluster.store.patch(
            STATEFUL_SETS,
            "cache",
            "merge",
            {"spec": {"template": {"spec": {"containers": [
                {"name": "cache", "image": "cache", "env": [{"name": "LINGER", "value": "60"}],
                 "ports": [{"containerPort": ECHO}],
                 "readinessProbe": {"tcpSocket": {"port": ECHO}}}]}}}},
            "default",
        )  # fmt: skip
        stubborn = await eventually(
            cluster, PODS, POD, lambda pod: "LINGER" in json.dumps(pod) and is_ready(pod)
        )
        await cluster.store.delete(PODS, POD, "default", grace_seconds=1)
        uid = stubborn["metadata"]["uid"]
        ended = await eventually(
            cluster,
            PODS,
            POD,
            lambda pod: "terminated" in json.dumps(pod["status"]) or pod["metadata"]["uid"] != uid,
        )
        assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


async def test_the_scheduler_gives_up_pods_that_are_deleted_before_they_have_a_node() -> None:
    async with running() as cluster:
        meta = {"name": "lost", "namespace": "default"}
        spec = {"nodeSelector": {"a": "b"}, "containers": [{"name": "a", "image": "web"}]}
        await cluster.store.create(
            PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
        )
        await eventually(cluster, PODS, "lost", lambda pod: pod["status"].get("conditions"))
        await cluster.store.delete(PODS, "lost", "default")
        await gone(cluster, PODS, "lost")
        events = await cluster.store.list(EVENTS, "default")
        assert "FailedScheduling" in {e["reason"] for e in events.items}
