"""Children's names, and whose they are; on the memory store."""

from __future__ import annotations

import pytest

from ferryman.api.client import Preconditions
from ferryman.api.kinds.portforward import (
    PORT_FORWARD,
    PORT_FORWARDS,
    Forward,
    PortForwardSpec,
    new_port_forward,
    spec_of,
)
from ferryman.api.resource import Name, Object, name_of
from ferryman.api.scheme import Scheme
from ferryman.api.status import StaleVersion
from ferryman.controllers.children import (
    NotOurs,
    child_name,
    controller_of,
    ensure_child,
    is_child,
    owner_reference,
)
from ferryman.runtime.clock import ManualClock
from ferryman.store.memory import MemoryStore


def test_a_childs_name_is_its_owners_and_never_too_long() -> None:
    assert child_name("pf", "web") == "pf-web"
    long = "a" * 250
    one, two = child_name(long, "pod-1"), child_name(long, "pod-2")
    assert len(one) <= 253
    assert one != two
    assert one == child_name(long, "pod-1")
    assert child_name("a" * 239 + ".", "b" * 20)[239] == "-"  # a name's part cannot end in a dot


def wanted(pod: str = "p", **annotations: str) -> Object:
    spec = PortForwardSpec(pod_name=pod, forwards=(Forward(container_port=1),))
    metadata = {"annotations": annotations} if annotations else {}
    return new_port_forward("child", spec, **metadata)


class Family:
    """An owner in a store, and the cache through which its child is seen."""

    def __init__(self) -> None:
        self.store = MemoryStore(Scheme([PORT_FORWARD]), ManualClock())
        self.known: dict[Name, Object] = {}

    async def owner(self, name: str = "owner") -> Object:
        obj = {**wanted(), "metadata": {"name": name}}
        return await self.store.create(PORT_FORWARDS, obj)

    async def ensure(self, child: Object, owner: Object) -> Object:
        await ensure_child(
            self.store, PORT_FORWARDS, self.known, child, owner, spec_of=spec_of, manager="m"
        )
        return await self.store.get(PORT_FORWARDS, "child")

    async def look(self) -> None:
        items = (await self.store.list(PORT_FORWARDS)).items
        self.known = {name_of(item): item for item in items}


async def test_a_child_is_made_once_kept_so_and_not_written_without_need() -> None:
    family = Family()
    owner = await family.owner()
    made = await family.ensure(wanted(a="1"), owner)
    assert is_child(made, PORT_FORWARDS, "owner")
    assert controller_of(made) == owner_reference(owner)
    assert await family.ensure(wanted(a="1"), owner) == made  # the cache is behind: success
    await family.look()
    assert await family.ensure(wanted(a="1"), owner) == made
    changed = await family.ensure(wanted("q", a="2"), owner)
    assert spec_of(changed).pod_name == "q"
    assert changed["metadata"]["annotations"] == {"a": "2"}
    with pytest.raises(StaleVersion):  # the cache is behind: the caller comes back
        await family.ensure(wanted("r"), owner)
    await family.store.delete(PORT_FORWARDS, "child", preconditions=Preconditions())
    await ensure_child(
        family.store, PORT_FORWARDS, family.known, wanted("r"), owner, spec_of=spec_of, manager="m"
    )  # just gone: its news will bring the caller back


async def test_a_child_outlives_its_owner_made_anew_and_annotations_of_others_stay() -> None:
    family = Family()
    await family.ensure(wanted(), await family.owner())
    note = {"metadata": {"annotations": {"mine": "x"}}}
    await family.store.patch(PORT_FORWARDS, "child", "merge", note)
    await family.store.delete(PORT_FORWARDS, "owner")
    again = await family.owner()
    await family.look()
    child = await family.ensure(wanted(a="1"), again)
    reference = controller_of(child)
    assert reference is not None
    assert reference["uid"] == again["metadata"]["uid"]
    assert child["metadata"]["annotations"] == {"mine": "x", "a": "1"}


async def test_what_belongs_to_another_is_not_taken() -> None:
    family = Family()
    await family.ensure(wanted(), await family.owner("one"))
    await family.look()
    with pytest.raises(NotOurs, match="belongs to somebody else"):
        await family.ensure(wanted(), await family.owner("two"))
