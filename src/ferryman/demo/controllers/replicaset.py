"""Carries out ``replicaset_plan``: creates and deletes pods, writes status.

Replication controllers do the same; that they select by a plain map is no matter here.
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from ferryman.api.resource import Name, Object, Resource
from ferryman.api.status import NotFound
from ferryman.demo.controllers.objects import owned_by, pod_of
from ferryman.demo.controllers.reconciler import Reconciler
from ferryman.demo.controllers.replicaset_plan import plan
from ferryman.demo.kinds import PODS, REPLICA_SETS, REPLICATION_CONTROLLERS
from ferryman.reconcile import Result


class ReplicaSetReconciler(Reconciler):
    """Its requests are replica sets."""

    resource: ClassVar[Resource] = REPLICA_SETS
    component: ClassVar[str] = "replicaset-controller"

    async def reconcile(self, name: Name) -> Result | None:
        """Make the pods of one replica set as many as they should be."""
        try:
            replica_set = await self.client.get(self.resource, name.name, name.namespace)
        except NotFound:
            return None
        listed = await self.client.list(PODS, name.namespace)
        todo = plan(replica_set, owned_by(listed.items, replica_set), self.clock.now())
        for _ in range(todo.create):
            await self._create(replica_set)
        for pod in todo.delete:
            await self._delete(replica_set, pod)
        with suppress(NotFound):
            await self.client.apply_status(
                self.resource, name.name, todo.status, name.namespace, manager=self.component
            )
        waiting = todo.status.get("readyReplicas", 0) > todo.status.get("availableReplicas", 0)
        return Result(requeue_after=1.0) if waiting else None

    async def _create(self, replica_set: Object) -> None:
        pod = pod_of(replica_set, self.resource)
        pod["metadata"]["generateName"] = f"{replica_set['metadata']['name']}-"
        made = await self.client.create(PODS, pod, manager=self.component)
        said = f"Created pod: {made['metadata']['name']}"
        await self.recorder.record(self.component, replica_set, "SuccessfulCreate", said)

    async def _delete(self, replica_set: Object, pod: Object) -> None:
        if await self.delete_pod(pod):
            said = f"Deleted pod: {pod['metadata']['name']}"
            await self.recorder.record(self.component, replica_set, "SuccessfulDelete", said)


class ReplicationControllerReconciler(ReplicaSetReconciler):
    """Its requests are replication controllers."""

    resource: ClassVar[Resource] = REPLICATION_CONTROLLERS
    component: ClassVar[str] = "replication-controller"
