"""What the controllers of pods act with; each of them is a ``Reconciler`` beside its plan.

They read live, through the client, because a plan made of what a cache saw may do everything twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from ferryman.api.client import ObjectClient, Preconditions
from ferryman.api.resource import Object
from ferryman.api.status import NotFound, StaleVersion
from ferryman.controllers.recording import Recorder
from ferryman.demo.kinds import PODS
from ferryman.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Reconciler:
    """The cluster's objects, its time, its events."""

    client: ObjectClient
    clock: Clock
    recorder: Recorder

    async def delete_pod(self, pod: Object, grace_seconds: int | None = None) -> bool:
        """Delete this very pod; whether there was anything left to delete."""
        meta = pod["metadata"]
        try:
            await self.client.delete(
                PODS,
                meta["name"],
                meta["namespace"],
                preconditions=Preconditions(uid=meta["uid"]),
                grace_seconds=grace_seconds,
            )
        except (NotFound, StaleVersion):
            return False
        return True
