"""Owners of any kind, asked of a cluster once; by its discovery, so custom resources, too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ferryman.api.resource import Object, Resource
from ferryman.api.status import NotFound
from ferryman.controllers.kubernetesdiscovery.membership import Ancestor
from ferryman.controllers.kubernetesdiscovery.owners import Owners
from ferryman.errors import Unavailable
from ferryman.kube.kinds import Kinds
from ferryman.runtime.clock import ManualClock

AT = "2026-01-01T00:00:00Z"


def ref(kind: str, name: str, api_version: str = "example.io/v1", uid: str = "") -> Object:
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid or f"u-{name}"}


class Api:
    """Serves what is in ``objects``; counts."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.asked: list[str] = []
        self.documents: dict[str, Any] = {
            "/api": {"versions": []},
            "/apis": {"groups": [{"versions": [{"groupVersion": "example.io/v1"}]}]},
            "/apis/example.io/v1": {
                "resources": [
                    {"name": "rockets", "kind": "Rocket", "namespaced": True},
                    {"name": "rockets/status", "kind": "Rocket", "namespaced": True},
                    {"name": "fleets", "kind": "Fleet", "namespaced": False},
                ]
            },
        }
        self.failing = False

    def put(self, plural: str, name: str, namespace: str, *owners: Object, uid: str = "") -> None:
        meta = {"name": name, "uid": uid or f"u-{name}", "ownerReferences": list(owners)}
        self.objects[plural, name, namespace] = {"metadata": {**meta, "creationTimestamp": AT}}

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        self.asked.append(f"{resource.plural}/{name}")
        if self.failing:
            raise Unavailable("away")
        if (resource.plural, name, namespace) not in self.objects:
            raise NotFound(name)
        return self.objects[resource.plural, name, namespace]

    async def get_raw(self, path: str, accept: str) -> bytes:
        return json.dumps(self.documents[path]).encode()


def pod(*owners: Object, name: str = "p") -> Object:
    meta = {"name": name, "namespace": "n", "uid": f"u-{name}", "ownerReferences": list(owners)}
    return {"metadata": meta}


def owners_of(api: Any) -> Owners:
    return Owners(api, Kinds(api.get_raw, ManualClock()))


async def line(owners: Owners, seen: Object) -> list[str]:
    found = await owners.lines([seen])
    return [ancestor.name for ancestor in found[seen["metadata"]["uid"]]]


async def test_a_custom_resources_pod_is_followed_to_its_cluster_scoped_top() -> None:
    api = Api()
    api.put("rockets", "apollo", "n", ref("Fleet", "nasa"))
    api.put("fleets", "nasa", "")
    owners = owners_of(api)
    seen = pod(ref("Rocket", "apollo"))
    assert await line(owners, seen) == ["apollo", "nasa"]
    assert owners.created(seen) == AT
    asked = list(api.asked)
    assert await line(owners, pod(ref("Rocket", "apollo"), name="q")) == ["apollo", "nasa"]
    assert api.asked == asked == ["rockets/apollo", "fleets/nasa"]
    owners.forget()
    await line(owners, seen)
    assert api.asked == [*asked, *asked]


@pytest.mark.parametrize(
    "owner",
    [ref("Rocket", "gone"), ref("Unheard", "of"), ref("Thing", "x", "gone.io/v1")],
    ids=["an owner that is gone", "a kind that is not served", "a group that is not served"],
)
async def test_what_cannot_be_read_counts_by_its_reference(owner: Object) -> None:
    owners = owners_of(Api())
    seen = pod(owner)
    found = await owners.lines([seen])
    assert found == {"u-p": (Ancestor(owner["uid"], owner["name"]),)}
    assert owners.created(seen) is None
    assert await owners.lines([seen]) == found


async def test_a_namesake_is_not_the_owner() -> None:
    api = Api()
    api.put("rockets", "apollo", "n", ref("Fleet", "nasa"), uid="another")
    assert await line(owners_of(api), pod(ref("Rocket", "apollo"))) == ["apollo"]


async def test_a_circle_of_owners_ends() -> None:
    api = Api()
    api.put("rockets", "a", "n", ref("Rocket", "b"))
    api.put("rockets", "b", "n", ref("Rocket", "a"))
    assert await line(owners_of(api), pod(ref("Rocket", "a"))) == ["a", "b"]


async def test_a_pod_without_owners_costs_nothing() -> None:
    api = Api()
    owners = owners_of(api)
    assert await line(owners, pod()) == []
    assert owners.created(pod()) is None
    assert api.asked == []


async def test_trouble_is_raised_and_nothing_is_remembered() -> None:
    api = Api()
    api.put("rockets", "apollo", "n")
    api.failing = True
    owners = owners_of(api)
    with pytest.raises(Unavailable):
        await owners.lines([pod(ref("Rocket", "apollo"))])
    api.failing = False
    assert await line(owners, pod(ref("Rocket", "apollo"))) == ["apollo"]
