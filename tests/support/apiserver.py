"""A small API on loopback: boats (namespaced, with status and scale) and harbours (cluster-scoped).

``serving`` runs it over TLS on a MemoryStore; ``kubeconfig`` writes the file that a real client
needs to find it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import h11

from ferryman.api.openapi import OBJECT_META
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind, Scheme
from ferryman.api.status import Cause
from ferryman.apiserver import certificates
from ferryman.apiserver.app import Subresources, create_app
from ferryman.apiserver.authentication import User, token_of
from ferryman.apiserver.server import Server
from ferryman.runtime.clock import Clock, SystemClock
from ferryman.store.memory import MemoryStore

TOKEN = "a-token-for-tests"
USER = User("skipper", "u-1", ("crew", "system:authenticated"))

BOATS = Resource("ferries.example", "v1", "boats", "Boat", True)
HARBOURS = Resource("ferries.example", "v1", "harbours", "Harbour", False)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", False)
EVENTS = Resource("", "v1", "events", "Event", True)

_STRING = {"type": "string"}
_STRINGS = {"type": "object", "additionalProperties": _STRING}


def _schema(description: str, **properties: Object) -> Object:
    return {
        "type": "object",
        "description": description,
        "properties": {
            "apiVersion": _STRING,
            "kind": _STRING,
            "metadata": OBJECT_META,
            **properties,
        },
    }


def _default_boat(obj: Object) -> None:
    obj.setdefault("spec", {}).setdefault("replicas", 1)


def _boat_causes(obj: Object) -> Iterable[Cause]:
    spec = obj.get("spec", {})
    if not spec.get("captain"):
        yield Cause("spec.captain", "Required value", "FieldValueRequired")
    for i, berth in enumerate(spec.get("berths", ())):
        if berth.get("beds", 1) < 1:
            yield Cause(f"spec.berths[{i}].beds", "Invalid value: must be positive")


def _captain(obj: Object, _: datetime) -> str:
    return str(obj.get("spec", {}).get("captain", "<none>"))


BOAT = Kind(
    resource=BOATS,
    short_names=("bt",),
    categories=("all",),
    subresources=frozenset({"status", "scale"}),
    selectable_fields=frozenset({"spec.captain"}),
    columns=(
        Column("Captain", _captain),
        Column("Berths", lambda o, _: len(o["spec"].get("berths", ())), kind="integer"),
        Column("Sails", lambda o, _: o["spec"].get("replicas", 0), wide=True, kind="integer"),
    ),
    schema=_schema(
        "A boat crosses the water.",
        spec={
            "type": "object",
            "description": "What the boat should be like.",
            "properties": {
                "captain": {"type": "string", "description": "Who steers."},
                "replicas": {"type": "integer", "format": "int32"},
                "selector": {
                    "type": "object",
                    "properties": {"matchLabels": _STRINGS},
                },
                "berths": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "x-kubernetes-patch-strategy": "merge",
                    "x-kubernetes-patch-merge-key": "name",
                    "items": {
                        "type": "object",
                        "properties": {"name": _STRING, "beds": {"type": "integer"}},
                    },
                },
            },
        },
        status={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    ),
    default=_default_boat,
    validate=_boat_causes,
)
HARBOUR = Kind(
    resource=HARBOURS,
    subresources=frozenset(),
    schema=_schema(
        "A harbour shelters boats.",
        spec={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    ),
)
NAMESPACE = Kind(resource=NAMESPACES, short_names=("ns",), subresources=frozenset({"status"}))
EVENT = Kind(
    resource=EVENTS,
    subresources=frozenset(),
    selectable_fields=frozenset(
        f"involvedObject.{field}" for field in ("apiVersion", "kind", "name", "namespace", "uid")
    ),
)
SCHEME = Scheme((BOAT, HARBOUR, NAMESPACE, EVENT))


def boat(name: str, captain: str = "Ann", namespace: str = "default", **spec: Any) -> Object:
    """A boat as a person would write it."""
    return {
        "apiVersion": "ferries.example/v1",
        "kind": "Boat",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"captain": captain, **spec},
    }


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to a request."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        """The values of a header, joined."""
        return ", ".join(value for key, value in self.headers if key == name)


class Connection:
    """A client's end of HTTP/1.1, on h11, one request after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.http = h11.Connection(h11.CLIENT)

    async def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request and take the whole answer."""
        await self.send(method, path, body, **headers)
        head = await self.event()
        assert isinstance(head, h11.Response), head
        data = b""
        while isinstance(event := await self.event(), h11.Data):
            data += bytes(event.data)
        if self.http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            self.http.start_next_cycle()
        return _answer(head, data)

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> None:
        """Send a request; ``authorization`` is there unless it is said otherwise."""
        data = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        sent = {"host": "localhost", "authorization": f"Bearer {TOKEN}"}
        if data:
            sent["content-length"] = str(len(data))
        sent |= {key.replace("_", "-"): value for key, value in headers.items()}
        pairs = [(key.encode(), value.encode("latin-1")) for key, value in sent.items() if value]
        request = h11.Request(method=method, target=path, headers=pairs)
        wire = self.http.send(request) or b""
        if data:
            wire += self.http.send(h11.Data(data=data)) or b""
        self.writer.write(wire + (self.http.send(h11.EndOfMessage()) or b""))
        await self.writer.drain()

    async def event(self) -> Any:
        """The next thing that the server says."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.reader.read(65536))
        return event

    async def rest(self) -> bytes:
        """What still comes until the connection ends, cleanly or not."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while chunk := await self.reader.read(65536):
                data += chunk
        return data

    async def watch(self, path: str, **headers: str) -> AsyncIterator[Any]:
        """The events of a watch, until the server ends it."""
        await self.send("GET", path, **headers)
        head = await self.event()
        assert isinstance(head, h11.Response), head
        assert head.status_code == 200
        pending = b""
        while isinstance(event := await self.event(), h11.Data):
            *lines, pending = (pending + bytes(event.data)).split(b"\n")
            for line in lines:
                yield json.loads(line)
        assert isinstance(event, h11.EndOfMessage), event
        assert not pending


def _answer(head: h11.Response, body: bytes) -> Answer:
    headers = [(key.decode().lower(), value.decode("latin-1")) for key, value in head.headers]
    return Answer(head.status_code, headers, body)


@dataclass(frozen=True, slots=True)
class Api:
    """An API that is being served."""

    server: Server
    store: MemoryStore
    certificate: certificates.ServerCertificate

    @property
    def url(self) -> str:
        return self.server.url

    def context(self) -> ssl.SSLContext:
        """What a client trusts it with."""
        return ssl.create_default_context(cadata=self.certificate.authority.decode())

    def kubeconfig(self, folder: Path, token: str = TOKEN) -> Path:
        """Write a kubeconfig file for it."""
        path = folder / "kubeconfig"
        named = {"name": "ferries"}
        cluster = {
            "server": self.url,
            "certificate-authority": str(self.certificate.certificate.parent / "ca.crt"),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "ferries",
            "clusters": [{**named, "cluster": cluster}],
            "users": [{**named, "user": {"token": token}}],
            "contexts": [{**named, "context": {"cluster": "ferries", "user": "ferries"}}],
        }
        path.write_text(json.dumps(config))
        return path

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection of an HTTP client that trusts the server."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.server.port, ssl=self.context(), limit=2**20
        )
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        async with self.connection() as connection:
            return await connection.request(method, path, body, **headers)


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    scheme: Scheme = SCHEME,
    clock: Clock | None = None,
    subresources: Subresources | None = None,
    history: int = 4096,
    store: MemoryStore | None = None,
) -> AsyncIterator[Api]:
    """Serve a store, one of its own if none is given, until the block ends."""
    clock = clock or SystemClock()
    store = store or MemoryStore(scheme, clock, history)
    app = create_app(
        scheme,
        store,
        authenticate=token_of(TOKEN, USER),
        subresources=subresources,
        clock=clock,
    )
    certificate = certificates.make(folder, SystemClock().now())
    async with Server(app, tls=certificate.context()) as server:
        yield Api(server, store, certificate)
