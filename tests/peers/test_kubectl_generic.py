"""A real kubectl on an API that it has never heard of."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ferryman.api.resource import Object
from tests.support import peers
from tests.support.apiserver import BOATS, NAMESPACES, Api, boat, serving

HARBOUR = {
    "apiVersion": "ferries.example/v1",
    "kind": "Harbour",
    "metadata": {"name": "dover"},
    "spec": {"depth": 7},
}
BERTHS = [{"name": "bow", "beds": 2}, {"name": "stern", "beds": 1}]


@dataclass(frozen=True, slots=True)
class Said:
    """What kubectl said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """A printed table, cell by cell."""
        return [line.split() for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with a home of its own, on one API."""

    program: str
    home: Path
    config: Path
    api: Api

    async def __call__(self, *arguments: str, ok: bool = True) -> Said:
        """Run it to its end; fails the test if it fails, unless that is what is looked for."""
        async with self.running(*arguments) as process:
            out, err = await process.communicate()
        said = Said(process.returncode or 0, out.decode(), err.decode())
        if ok:
            assert said.code == 0, said
        return said

    async def json(self, *arguments: str) -> Any:
        return json.loads((await self(*arguments, "-o", "json")).out)

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run it beside the test, which ends it."""
        process = await asyncio.create_subprocess_exec(
            self.program,
            "--cache-dir",
            str(self.home / "cache"),
            "--request-timeout=20s",
            *arguments,
            env={"HOME": str(self.home), "KUBECONFIG": str(self.config), "PATH": os.defpath},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    def file(self, *objects: Object) -> str:
        """A file to give to -f."""
        path = self.home / "objects.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        return str(path)


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    program = peers.require("kubectl")
    async with serving(tmp_path) as api:
        await api.store.create(NAMESPACES, {"metadata": {"name": "default"}})
        yield Kubectl(program, tmp_path, api.kubeconfig(tmp_path), api)


def red_kestrel(**spec: Any) -> Object:
    obj = boat("kestrel", **{"berths": BERTHS, **spec})
    obj["metadata"]["labels"] = {"colour": "red"}
    return obj


async def test_kubectl_learns_what_there_is(kubectl: Kubectl) -> None:
    rows = (await kubectl("api-resources")).rows
    assert ["boats", "bt", "ferries.example/v1", "true", "Boat"] in rows
    assert ["harbours", "ferries.example/v1", "false", "Harbour"] in rows
    named = (await kubectl("api-resources", "--categories=all", "-o", "name")).out.split()
    assert named == ["boats.ferries.example"]
    assert "ferries.example/v1" in (await kubectl("api-versions")).out.split()
    version = await kubectl("version")
    assert "Server Version: v1.37.0+ferryman" in version.out
    assert "WARNING" not in version.err


async def test_kubectl_learns_who_it_is(kubectl: Kubectl) -> None:
    assert ["Username", "skipper"] in (await kubectl("auth", "whoami")).rows
    assert (await kubectl("auth", "can-i", "delete", "boats")).out.strip() == "yes"
    assert "*.*" in (await kubectl("auth", "can-i", "--list")).out


async def test_a_wrong_token_is_told_in_words(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.api.kubeconfig(tmp_path, token="wrong")
    said = await kubectl("get", "boats", ok=False)
    assert said.code == 1
    assert "You must be logged in to the server" in said.err


async def test_kubectl_explains_fields_at_any_depth(kubectl: Kubectl) -> None:
    said = (await kubectl("explain", "boat.spec")).out
    assert "What the boat should be like." in said
    assert "Who steers." in said
    assert "beds" in (await kubectl("explain", "bt.spec.berths")).out
    assert "KIND:       Harbour" in (await kubectl("explain", "harbours")).out


async def test_kubectl_prints_the_columns_of_the_kind(kubectl: Kubectl) -> None:
    for name, captain in (("kestrel", "Zoe"), ("gull", "Ann")):
        await kubectl.api.store.create(BOATS, boat(name, captain))
    header, *rows = (await kubectl("get", "boats")).rows
    assert header == ["NAME", "CAPTAIN", "BERTHS", "AGE"]
    assert [row[:3] for row in rows] == [["gull", "Ann", "0"], ["kestrel", "Zoe", "0"]]
    assert all(row[3].endswith("s") for row in rows)
    wide = (await kubectl("get", "bt", "kestrel", "-o", "wide")).rows
    assert wide[0] == ["NAME", "CAPTAIN", "BERTHS", "AGE", "SAILS"]
    assert (await kubectl("get", "boats", "-A")).rows[1][:2] == ["default", "gull"]
    by_captain = await kubectl("get", "boats", "--sort-by=.spec.captain", "--no-headers")
    assert [row[0] for row in by_captain.rows] == ["gull", "kestrel"]
    paged = await kubectl("get", "boats", "--chunk-size=1", "--no-headers")
    assert [row[0] for row in paged.rows] == ["gull", "kestrel"]
    assert (await kubectl("get", "boats", "-o", "name")).out.split() == [
        "boat.ferries.example/gull",
        "boat.ferries.example/kestrel",
    ]
    assert "captain: Zoe" in (await kubectl("get", "boat", "kestrel", "-o", "yaml")).out
    assert (await kubectl("get", "all")).rows[1][0] == "gull"


async def test_kubectl_selects(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", kubectl.file(red_kestrel(), boat("gull", "Bo")))
    assert (await kubectl("get", "bt", "-l", "colour=red", "-o", "name")).out.endswith("kestrel\n")
    said = await kubectl("get", "bt", "--field-selector=spec.captain=Bo", "-o", "name")
    assert said.out.endswith("gull\n")
    refused = await kubectl("get", "bt", "--field-selector=spec.mood=fine", ok=False)
    assert "field label not supported: spec.mood" in refused.err
    labelled = await kubectl("get", "bt", "kestrel", "-L", "colour")
    assert labelled.rows[0][-1] == "COLOUR"
    assert labelled.rows[1][-1] == "red"


async def test_kubectl_watches_what_comes_after_its_list(kubectl: Kubectl) -> None:
    store = kubectl.api.store
    obj = await store.create(BOATS, boat("kestrel"))
    async with kubectl.running("get", "boats", "-w", "--output-watch-events") as process:
        assert process.stdout is not None
        assert (await process.stdout.readline()).split()[0] == b"EVENT"
        assert (await process.stdout.readline()).split()[:2] == [b"ADDED", b"kestrel"]
        obj["spec"]["captain"] = "Bo"
        await store.update(BOATS, obj)
        changed = (await process.stdout.readline()).split()
        assert changed[:3] == [b"MODIFIED", b"kestrel", b"Bo"]
        await store.delete(BOATS, "kestrel", "default")
        assert (await process.stdout.readline()).split()[:2] == [b"DELETED", b"kestrel"]


async def test_kubectl_describes_an_object_and_its_events(kubectl: Kubectl) -> None:
    obj = await kubectl.api.store.create(BOATS, boat("kestrel"))
    meta = obj["metadata"]
    for uid, reason in ((meta["uid"], "Moored"), ("of-another", "Sunk")):
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": "kestrel-", "namespace": "default"},
            "involvedObject": {
                "kind": "Boat",
                "apiVersion": "ferries.example/v1",
                "name": "kestrel",
                "namespace": "default",
                "uid": uid,
            },
            "type": "Normal",
            "reason": reason,
            "message": "two ropes",
        }
        await kubectl("create", "-f", kubectl.file(event))
    said = (await kubectl("describe", "boat", "kestrel")).out
    assert "Captain:   Ann" in said
    assert "Moored" in said
    assert "two ropes" in said
    assert "Sunk" not in said
    assert "Moored" in (await kubectl("events", "--for", "boat.ferries.example/kestrel")).out


async def test_kubectl_creates_and_is_told_what_is_wrong(kubectl: Kubectl) -> None:
    said = await kubectl("create", "-f", kubectl.file(red_kestrel(), HARBOUR))
    assert said.out.splitlines() == [
        "boat.ferries.example/kestrel created",
        "harbour.ferries.example/dover created",
    ]
    again = await kubectl("create", "-f", kubectl.file(red_kestrel()), ok=False)
    assert "AlreadyExists" in again.err
    wrong = kubectl.file(boat("wrong", "", colour="red"))
    unknown = await kubectl("create", "-f", wrong, ok=False)
    assert 'unknown field "spec.colour"' in unknown.err
    invalid = await kubectl("create", "--validate=warn", "-f", wrong, ok=False)
    assert 'Warning: unknown field "spec.colour"' in invalid.err
    assert 'The Boat "wrong" is invalid: spec.captain: Required value' in invalid.err


async def test_kubectl_applies_and_prunes_fields_and_list_items(kubectl: Kubectl) -> None:
    assert "created" in (await kubectl("apply", "-f", kubectl.file(red_kestrel()))).out
    assert "unchanged" in (await kubectl("apply", "-f", kubectl.file(red_kestrel()))).out
    added = '{"spec":{"berths":[{"name":"theirs"}]}}'
    await kubectl("patch", "boat", "kestrel", "-p", added)
    changed = kubectl.file(red_kestrel(berths=[{"name": "bow", "beds": 3}]))
    different = await kubectl("diff", "-f", changed, ok=False)
    assert different.code == 1
    assert "+  - beds: 3" in different.out
    dry = await kubectl("apply", "-f", changed, "--dry-run=server")
    assert "configured (server dry run)" in dry.out
    await kubectl("apply", "-f", changed)
    applied = await kubectl.json("get", "boat", "kestrel")
    berths = applied["spec"]["berths"]
    assert {"name": "bow", "beds": 3} in berths
    assert {"name": "theirs"} in berths
    assert "stern" not in {berth["name"] for berth in berths}
    await kubectl("apply", "-f", changed)
    assert await kubectl.json("get", "boat", "kestrel") == applied, "nothing was written"


@pytest.mark.parametrize(
    ("how", "patch"),
    [
        ("strategic", '{"spec":{"berths":[{"name":"aft","beds":9}]}}'),
        ("merge", '{"spec":{"captain":"Bo"}}'),
        ("json", '[{"op":"replace","path":"/spec/captain","value":"Bo"}]'),
    ],
)
async def test_kubectl_patches_in_every_way(kubectl: Kubectl, how: str, patch: str) -> None:
    await kubectl("create", "-f", kubectl.file(red_kestrel()))
    await kubectl("patch", "boat", "kestrel", "--type", how, "-p", patch)
    spec = (await kubectl.json("get", "boat", "kestrel"))["spec"]
    names = [berth["name"] for berth in spec["berths"]]
    assert (spec["captain"], names) == (
        ("Ann", ["aft", "bow", "stern"]) if how == "strategic" else ("Bo", ["bow", "stern"])
    )


async def test_kubectl_labels_annotates_replaces_and_meets_conflicts(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", kubectl.file(red_kestrel()))
    await kubectl("label", "boat", "kestrel", "size=small", "colour-")
    await kubectl("annotate", "boat", "kestrel", "note=hello")
    read = await kubectl.json("get", "boat", "kestrel")
    assert read["metadata"]["labels"] == {"size": "small"}
    read["spec"]["captain"] = "Bo"
    edited = kubectl.file(read)
    await kubectl("replace", "-f", edited)
    stale = await kubectl("replace", "-f", edited, ok=False)
    assert "the object has been modified" in stale.err


async def test_kubectl_writes_status_and_waits_for_it(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", kubectl.file(red_kestrel()))
    patch = '{"status":{"afloat":"yes"},"spec":{"captain":"nobody"}}'
    waiting = ("wait", "boat", "kestrel", "--for=jsonpath={.status.afloat}=yes", "--timeout=20s")
    async with asyncio.TaskGroup() as group:
        waited = group.create_task(kubectl(*waiting))
        changing = ("patch", "boat", "kestrel", "--subresource=status", "--type=merge", "-p")
        group.create_task(kubectl(*changing, patch))
    assert "condition met" in waited.result().out
    assert (await kubectl.json("get", "boat", "kestrel"))["spec"]["captain"] == "Ann"


async def test_kubectl_scales(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", kubectl.file(red_kestrel()))
    assert "scaled" in (await kubectl("scale", "boat/kestrel", "--replicas=4")).out
    await kubectl("scale", "boat/kestrel", "--current-replicas=4", "--replicas=5")
    refused = await kubectl(
        "scale", "boat/kestrel", "--current-replicas=4", "--replicas=6", ok=False
    )
    assert "Expected replicas to be 4, was 5" in refused.err
    scale = await kubectl.json("get", "boat", "kestrel", "--subresource=scale")
    assert scale["spec"]["replicas"] == 5


async def test_kubectl_deletes_and_waits_for_finalizers(kubectl: Kubectl) -> None:
    held = red_kestrel()
    held["metadata"]["finalizers"] = ["ferries.example/unload"]
    await kubectl("create", "-f", kubectl.file(held, boat("gull"), HARBOUR))
    release = '{"metadata":{"finalizers":null}}'
    async with asyncio.TaskGroup() as group:
        deleted = group.create_task(kubectl("delete", "boat", "kestrel"))
        async for event in kubectl.api.store.watch(BOATS, resource_version="0"):
            if event.object["metadata"].get("deletionTimestamp"):  # type: ignore[union-attr]  # no bookmarks were asked for
                break
        assert not deleted.done()
        group.create_task(kubectl("patch", "boat", "kestrel", "--type=merge", "-p", release))
    assert 'boat.ferries.example "kestrel" deleted' in deleted.result().out
    assert "gull" in (await kubectl("delete", "boats", "--all")).out
    await kubectl("delete", "harbour", "dover", "--cascade=foreground", "--wait=false")
    missing = await kubectl("delete", "boat", "kestrel", ok=False)
    assert 'boats.ferries.example "kestrel" not found' in missing.err
    await kubectl("delete", "boat", "kestrel", "--ignore-not-found")


async def test_kubectl_gives_up_gracefully_on_what_is_not_served(kubectl: Kubectl) -> None:
    unknown = await kubectl("get", "planes", ok=False)
    assert 'the server doesn\'t have a resource type "planes"' in unknown.err
    typed = await kubectl("create", "namespace", "other", ok=False)
    assert "use a file (apply -f)" in typed.err
