"""Carries out ``daemonset_plan``: creates and deletes pods on nodes, writes status."""

from __future__ import annotations

from contextlib import suppress

from ferryman.api.resource import Name, Object
from ferryman.api.status import NotFound
from ferryman.demo.controllers.daemonset_plan import plan
from ferryman.demo.controllers.objects import owned_by, pod_of
from ferryman.demo.controllers.reconciler import Reconciler
from ferryman.demo.controllers.statefulset_plan import REVISION
from ferryman.demo.kinds import DAEMON_SETS, NODES, PODS
from ferryman.reconcile import Result

COMPONENT = "daemonset-controller"


class DaemonSetReconciler(Reconciler):
    """Its requests are daemon sets."""

    async def reconcile(self, name: Name) -> Result | None:
        """Have one daemon set's pod on every node."""
        try:
            daemon_set = await self.client.get(DAEMON_SETS, name.name, name.namespace)
        except NotFound:
            return None
        listed = await self.client.list(PODS, name.namespace)
        nodes = await self.client.list(NODES)
        pods = owned_by(listed.items, daemon_set)
        todo = plan(daemon_set, pods, nodes.items, self.clock.now())
        for node in todo.create:
            await self._create(daemon_set, node, todo.revision)
        for pod in todo.delete:
            if await self.delete_pod(pod):
                said = f"Deleted pod: {pod['metadata']['name']}"
                await self.recorder.record(COMPONENT, daemon_set, "SuccessfulDelete", said)
        with suppress(NotFound):
            await self.client.apply_status(
                DAEMON_SETS, name.name, todo.status, name.namespace, manager=COMPONENT
            )
        return None

    async def _create(self, daemon_set: Object, node: str, revision: str) -> None:
        pod = pod_of(daemon_set, DAEMON_SETS, {REVISION: revision})
        pod["metadata"]["generateName"] = f"{daemon_set['metadata']['name']}-"
        pod["spec"]["nodeName"] = node  # Kubernetes: an affinity to it
        made = await self.client.create(PODS, pod, manager=COMPONENT)
        said = f"Created pod: {made['metadata']['name']}"
        await self.recorder.record(COMPONENT, daemon_set, "SuccessfulCreate", said)
