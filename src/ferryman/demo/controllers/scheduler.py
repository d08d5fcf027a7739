"""Carries out ``scheduler_plan``: assigns pods to the node, or says why not."""

from __future__ import annotations

from contextlib import suppress

from ferryman.api.client import ObjectClient, Preconditions
from ferryman.api.resource import Name, Object
from ferryman.api.status import NotFound, StaleVersion
from ferryman.demo.controllers.objects import condition, deleting, merged_conditions
from ferryman.demo.controllers.scheduler_plan import plan
from ferryman.demo.events import Recorder
from ferryman.demo.kinds import NODES, PODS
from ferryman.reconcile import Result
from ferryman.runtime.clock import Clock

COMPONENT = "default-scheduler"
RETRY = 5.0


class Scheduler:
    """Its requests are pods."""

    def __init__(self, client: ObjectClient, clock: Clock, recorder: Recorder) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder

    async def reconcile(self, name: Name) -> Result | None:
        """Give one pod a node; look again in 5 s if none fits."""
        try:
            pod = await self._client.get(PODS, name.name, name.namespace)
        except NotFound:
            return None
        if pod["spec"].get("nodeName"):
            return None
        if deleting(pod):
            await self._remove(pod)
            return None
        node, why = plan(pod, (await self._client.list(NODES)).items)
        if not node:
            await self._say_why(pod, why)
            return Result(requeue_after=RETRY)
        pod["spec"]["nodeName"] = node
        bound = await self._client.update(PODS, pod, manager=COMPONENT)
        said = f"Successfully assigned {name.namespace}/{name.name} to {node}"
        await self._recorder.record(COMPONENT, bound, "Scheduled", said)
        return None

    async def _remove(self, pod: Object) -> None:
        """No kubelet will ever stop it."""
        meta = pod["metadata"]
        with suppress(NotFound, StaleVersion):
            await self._client.delete(
                PODS,
                meta["name"],
                meta["namespace"],
                preconditions=Preconditions(uid=meta["uid"]),
                grace_seconds=0,
            )

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
        conditions = merged_conditions(status.get("conditions") or (), [fresh], self._clock.now())
        pod["status"] = {**status, "conditions": conditions}
        await self._client.update(PODS, pod, subresource="status", manager=COMPONENT)
        await self._recorder.record(COMPONENT, pod, "FailedScheduling", why, warning=True)
