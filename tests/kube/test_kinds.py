"""Kinds found by their names in what a server says of itself, in either form, as ours says it."""

import json
from typing import Any

import pytest

from ferryman.api.resource import Resource
from ferryman.api.status import ServiceUnavailable
from ferryman.apiserver.discovery import Discovery, Served
from ferryman.errors import PeerError, UserError
from ferryman.kube.kinds import Kinds
from ferryman.runtime.clock import ManualClock

PODS = Resource("", "v1", "pods", "Pod", True)
NODES = Resource("", "v1", "nodes", "Node", False)
EVENTS = Resource("", "v1", "events", "Event", True)
NEW_EVENTS = Resource("events.k8s.io", "v1", "events", "Event", True)
ROLLOUTS = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout", True)
SERVED = [
    Served(PODS, "pod", ("po",)),
    Served(NODES, "node", ("no",)),
    Served(EVENTS, "event", ("ev",)),
    Served(NEW_EVENTS, "event", ("ev",)),
    Served(ROLLOUTS, "rollout", ("ro",)),
]


class Server:
    """Answers as ours does; ``plain`` as servers did before 1.26. ``down`` are paths that fail."""

    def __init__(self, *served: Served, plain: bool = False) -> None:
        self.documents = Discovery(served or SERVED)
        self.plain = plain
        self.asked: list[str] = []
        self.down: set[str] = set()

    async def __call__(self, path: str, accept: str) -> bytes:
        self.asked.append(path)
        if path in self.down:
            raise ServiceUnavailable("it is down")
        return json.dumps(self._document(path, accept)).encode()

    def _document(self, path: str, accept: str) -> Any:
        aggregated = "APIGroupDiscoveryList" in accept and not self.plain
        if path == "/api":
            aggregate = self.documents.aggregated(legacy=True)
            return aggregate if aggregated else self.documents.versions()
        if path == "/apis":
            aggregate = self.documents.aggregated(legacy=False)
            return aggregate if aggregated else self.documents.groups()
        group, _, version = path.removeprefix("/apis/").removeprefix("/api/").rpartition("/")
        return self.documents.resources(group, version)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("text", "resource"),
    [
        ("rollout", ROLLOUTS),
        ("Rollouts", ROLLOUTS),
        ("ro", ROLLOUTS),
        ("rollouts.argoproj.io", ROLLOUTS),
        ("ro.v1alpha1.argoproj.io", ROLLOUTS),
        ("events", EVENTS),
        ("ev.v1", EVENTS),
        ("events.events.k8s.io", NEW_EVENTS),
        ("no", NODES),
    ],
)
async def test_a_kind_is_found_by_any_of_its_names(
    text: str, resource: Resource, plain: bool
) -> None:
    assert await Kinds(Server(plain=plain)).named(text) == resource


@pytest.mark.parametrize("plain", [False, True])
async def test_an_object_names_its_kind_exactly(plain: bool) -> None:
    kinds = Kinds(Server(plain=plain))
    assert await kinds.of("argoproj.io/v1alpha1", "Rollout") == ROLLOUTS
    assert await kinds.of("v1", "Pod") == PODS
    assert await kinds.of("argoproj.io/v1", "Rollout") is None


async def test_what_is_known_is_not_asked_again_and_what_came_later_is_found() -> None:
    clock, server = ManualClock(), Server(SERVED[0])
    kinds = Kinds(server, clock)
    for _ in range(3):
        await kinds.named("pod")
        with pytest.raises(UserError, match="doesn't have a resource type"):
            await kinds.named("rollout")
    assert server.asked == ["/api", "/apis"]
    server.documents = Discovery(SERVED)
    await clock.advance(5)
    assert await kinds.named("rollout") == ROLLOUTS


async def test_a_mistyped_kind_gets_a_near_name_of_the_cluster() -> None:
    with pytest.raises(UserError) as error:
        await Kinds(Server()).named("rolout")
    assert error.value.hint == "did you mean rollout?"


async def test_an_extension_that_is_down_hides_its_own_kinds_only() -> None:
    server = Server(plain=True)
    server.down.add("/apis/argoproj.io/v1alpha1")
    assert await Kinds(server).named("events.events.k8s.io") == NEW_EVENTS


async def test_a_server_that_cannot_be_asked_is_an_error_that_is_not_remembered() -> None:
    server = Server()
    server.down.add("/apis")
    kinds = Kinds(server)
    with pytest.raises(ServiceUnavailable):
        await kinds.named("rollout")
    server.down.clear()
    assert await kinds.named("rollout") == ROLLOUTS


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b'{"kind": "APIGroupDiscoveryList", "items": [1]}',
        b'{"kind": "APIGroupDiscoveryList", "items": [{"versions": [{}, {"resources": [{}]}]}]}',
        b'{"groups": [{"versions": [{}]}]}',
        b'{"versions": 7}',
    ],
)
async def test_what_is_no_list_of_kinds_is_the_peers_error(text: bytes) -> None:
    async def read(path: str, accept: str) -> bytes:
        return text

    with pytest.raises(PeerError):
        await Kinds(read).named("x")
