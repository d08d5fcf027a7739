"""Carries out ``scheduler_plan``: assigns pods to the node, or says why not."""

from __future__ import annotations

from ferryman.api.resource import Name, Object
from ferryman.api.status import NotFound
from ferryman.demo.controllers.objects import condition, deleting, merged_conditions
from ferryman.demo.controllers.reconciler import Reconciler
from ferryman.demo.controllers.scheduler_plan import plan
from ferryman.demo.kinds import NODES, PODS
from ferryman.reconcile import Result

COMPONENT = "default-scheduler"
RETRY = 5.0


class Scheduler(Reconciler):
    """Its requests are pods."""

    async def reconcile(self, name: Name) -> Result | None:
        """Give one pod a node; look again in 5 s if none fits."""
        try:
            pod = await self.client.get(PODS, name.name, name.namespace)
        except NotFound:
            return None
        if pod["spec"].get("nodeName"):
            return None
        if deleting(pod):
            await self.delete_pod(pod, grace_seconds=0)  # no kubelet will ever stop it
            return None
        node, why = plan(pod, (await self.client.list(NODES)).items)
        if not node:
            await self._say_why(pod, why)
            return Result(requeue_after=RETRY)
        pod["spec"]["nodeName"] = node
        bound = await self.client.update(PODS, pod, manager=COMPONENT)
        said = f"Successfully assigned {name.namespace}/{name.name} to {node}"
        await self.recorder.record(COMPONENT, bound, "Scheduled", said)
        return None

    async def _say_why(self, pod: Object, why: str) -> None:
        before = condition(pod, "PodScheduled")
        if before.get("message") == why:
            return
        fresh = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": why,
        }
        status = pod.get("status") or {}
        conditions = merged_conditions(status.get("conditions") or (), [fresh], self.clock.now())
        pod["status"] = {**status, "conditions": conditions}
        await self.client.update(PODS, pod, subresource="status", manager=COMPONENT)
        await self.recorder.record(COMPONENT, pod, "FailedScheduling", why, warning=True)
