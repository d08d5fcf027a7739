"""Reads the owners of objects, and theirs, up to where they end; remembers them by uid.

An ownerReference names an object but not what owns that one, so each has to be got once: a pod of
an Argo Rollout belongs to a ReplicaSet, which belongs to the Rollout. ``owners`` answers questions
about what is known; whoever watches the pods runs this and looks again when it has news.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from ferryman.api.client import ObjectClient
from ferryman.api.resource import Object
from ferryman.api.status import Forbidden, NotFound
from ferryman.errors import FerrymanError
from ferryman.kube.kinds import Kinds
from ferryman.kube.owners import Reference, ancestry
from ferryman.runtime.backoff import Backoff
from ferryman.runtime.clock import Clock


async def read_owner(
    client: ObjectClient, kinds: Kinds, reference: Reference, namespace: str
) -> Object | None:
    """The owner that an object of the namespace names; None if it is gone, or a namesake's now."""
    kind = str(reference.get("kind", ""))
    resource = await kinds.of(str(reference.get("apiVersion", "")), kind)
    if resource is None:
        return None
    try:
        name = str(reference.get("name", ""))
        found = await client.get(resource, name, namespace if resource.namespaced else "")
    except NotFound:
        return None
    return found if found["metadata"].get("uid") == reference.get("uid") else None


class OwnerTree:
    """The owners of a namespace's objects. ``objects`` gives those whose owners matter now.

    What is above ``top`` (a uid, perhaps not known yet) does not matter, and is not read.
    """

    def __init__(
        self,
        client: ObjectClient,
        kinds: Kinds,
        namespace: str,
        objects: Callable[[], Iterable[Object]],
        top: Callable[[], str],
        changed: Callable[[], None],
        clock: Clock,
    ) -> None:
        self.error: FerrymanError | None = None
        """Why the last attempt to read an owner failed; it is tried again."""
        self.refused: Forbidden | None = None
        """Why the owner of some object is not told to us: perhaps of one that matters."""
        self._client = client
        self._kinds = kinds
        self._namespace = namespace
        self._objects = objects
        self._top = top
        self._changed = changed
        self._clock = clock
        self._known: dict[str, Object] = {}
        self._gone: set[str] = set()
        self._news = asyncio.Event()

    @property
    def known(self) -> Mapping[str, Object]:
        """The owners that were read, by uid."""
        return MappingProxyType(self._known)

    @property
    def complete(self) -> bool:
        """Whether nobody's owner is still to be read."""
        return not self._missing()

    def look(self) -> None:
        """There may be objects with owners that are not known."""
        self._news.set()

    async def run(self) -> None:
        """Read what is missing, whenever there is news; until cancelled."""
        backoff = Backoff()
        while True:
            await self._news.wait()
            self._news.clear()
            missing = self._missing()
            if not missing:
                self._prune()
                continue
            try:
                for reference in missing.values():
                    await self._read(reference)
                self.error = None
                backoff.reset()
            except FerrymanError as error:
                self.error = error
                self._changed()
                await self._clock.sleep(backoff.next())
            else:
                self._changed()
            self._news.set()  # what was read has owners too

    def _missing(self) -> dict[str, Reference]:
        known = {*self._known, *self._gone, self._top()}
        return {
            uid: reference
            for obj in self._objects()
            for reference in ancestry(obj, self._known)
            if (uid := str(reference.get("uid", ""))) not in known
        }

    async def _read(self, reference: Reference) -> None:
        """Get one owner. One that is gone, or another under its name, owns nothing any more."""
        uid, found = str(reference["uid"]), None
        try:
            found = await read_owner(self._client, self._kinds, reference, self._namespace)
        except Forbidden as error:
            self.refused = error  # asking again and again changes no role
        if found is not None:
            self._known[uid] = found
        else:
            self._gone.add(uid)

    def _prune(self) -> None:
        """Forget the owners of nobody."""
        needed = {
            str(r.get("uid", "")) for obj in self._objects() for r in ancestry(obj, self._known)
        }
        self._known = {uid: owner for uid, owner in self._known.items() if uid in needed}
        self._gone &= needed
