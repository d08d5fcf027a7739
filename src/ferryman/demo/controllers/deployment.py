"""Carries out ``deployment_plan``: creates, scales and deletes replica sets, writes status."""

from __future__ import annotations

from contextlib import suppress

from ferryman.api.resource import Name
from ferryman.api.status import AlreadyExists, NotFound
from ferryman.demo.controllers.deployment_plan import REVISION, Plan, plan
from ferryman.demo.controllers.objects import owned_by
from ferryman.demo.controllers.reconciler import Reconciler
from ferryman.demo.kinds import DEPLOYMENTS, REPLICA_SETS
from ferryman.reconcile import Result

COMPONENT = "deployment-controller"


class DeploymentReconciler(Reconciler):
    """Its requests are deployments."""

    async def reconcile(self, name: Name) -> Result | None:
        """Make one deployment's replica sets what they should be next."""
        try:
            deployment = await self.client.get(DEPLOYMENTS, name.name, name.namespace)
        except NotFound:
            return None
        listed = await self.client.list(REPLICA_SETS, name.namespace)
        todo = plan(deployment, owned_by(listed.items, deployment), self.clock.now())
        await self._act(todo, name)
        for event in todo.events:
            await self.recorder.record(COMPONENT, deployment, "ScalingReplicaSet", event)
        have = (deployment["metadata"].get("annotations") or {}).get(REVISION, "0")
        if todo.revision != have and "deletionTimestamp" not in deployment["metadata"]:
            change = {"metadata": {"annotations": {REVISION: todo.revision}}}
            await self.client.patch(
                DEPLOYMENTS, name.name, "merge", change, name.namespace, manager=COMPONENT
            )
        await self.client.apply_status(
            DEPLOYMENTS, name.name, todo.status, name.namespace, manager=COMPONENT
        )
        return None

    async def _act(self, todo: Plan, name: Name) -> None:
        if todo.create is not None:
            with suppress(AlreadyExists):
                await self.client.create(REPLICA_SETS, todo.create, manager=COMPONENT)
        for replica_set in {*todo.scale, *todo.annotations}:
            change: dict[str, object] = {}
            if replica_set in todo.scale:
                change["spec"] = {"replicas": todo.scale[replica_set]}
            if replica_set in todo.annotations:
                change["metadata"] = {"annotations": dict(todo.annotations[replica_set])}
            await self.client.patch(
                REPLICA_SETS, replica_set, "merge", change, name.namespace, manager=COMPONENT
            )
        for replica_set in todo.delete:
            with suppress(NotFound):
                await self.client.delete(REPLICA_SETS, replica_set, name.namespace)
