"""Carries out ``replicaset_plan``: creates and deletes pods, writes status."""

from __future__ import annotations

from contextlib import suppress

from ferryman.api.client import ObjectClient, Preconditions
from ferryman.api.resource import Name, Object
from ferryman.api.status import NotFound, StaleVersion
from ferryman.demo.controllers.objects import owned_by, pod_of
from ferryman.demo.controllers.replicaset_plan import plan
from ferryman.demo.events import Recorder
from ferryman.demo.kinds import PODS, REPLICA_SETS
from ferryman.reconcile import Result
from ferryman.runtime.clock import Clock

COMPONENT = "replicaset-controller"


class ReplicaSetReconciler:
    """Reads live, as ``deployment`` says."""

    def __init__(self, client: ObjectClient, clock: Clock, recorder: Recorder) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder

    async def reconcile(self, name: Name) -> Result | None:
        """Make the pods of one replica set as many as they should be."""
        try:
            replica_set = await self._client.get(REPLICA_SETS, name.name, name.namespace)
        except NotFound:
            return None
        listed = await self._client.list(PODS, name.namespace)
        todo = plan(replica_set, owned_by(listed.items, replica_set), self._clock.now())
        for _ in range(todo.create):
            await self._create(replica_set)
        for pod in todo.delete:
            await self._delete(replica_set, pod)
        with suppress(NotFound):
            await self._client.apply_status(
                REPLICA_SETS, name.name, todo.status, name.namespace, manager=COMPONENT
            )
        waiting = todo.status.get("readyReplicas", 0) > todo.status.get("availableReplicas", 0)
        return Result(requeue_after=1.0) if waiting else None

    async def _create(self, replica_set: Object) -> None:
        pod = pod_of(replica_set, REPLICA_SETS)
        pod["metadata"]["generateName"] = f"{replica_set['metadata']['name']}-"
        made = await self._client.create(PODS, pod, manager=COMPONENT)
        said = f"Created pod: {made['metadata']['name']}"
        await self._recorder.record(COMPONENT, replica_set, "SuccessfulCreate", said)

    async def _delete(self, replica_set: Object, pod: Object) -> None:
        meta = pod["metadata"]
        with suppress(NotFound, StaleVersion):
            await self._client.delete(
                PODS,
                meta["name"],
                meta["namespace"],
                preconditions=Preconditions(uid=meta["uid"]),
            )
            said = f"Deleted pod: {meta['name']}"
            await self._recorder.record(COMPONENT, replica_set, "SuccessfulDelete", said)
