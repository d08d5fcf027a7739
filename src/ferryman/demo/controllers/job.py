"""Carries out ``job_plan``: creates and deletes pods, writes status."""

from __future__ import annotations

from contextlib import suppress

from ferryman.api.resource import Name, Object
from ferryman.api.status import NotFound
from ferryman.demo.controllers.job_plan import plan
from ferryman.demo.controllers.objects import owned_by, pod_of
from ferryman.demo.controllers.reconciler import Reconciler
from ferryman.demo.kinds import JOBS, PODS
from ferryman.reconcile import Result

COMPONENT = "job-controller"


class JobReconciler(Reconciler):
    """Its requests are jobs."""

    async def reconcile(self, name: Name) -> Result | None:
        """Have one job's pods run, and count how they ended."""
        try:
            job = await self.client.get(JOBS, name.name, name.namespace)
        except NotFound:
            return None
        listed = await self.client.list(PODS, name.namespace)
        todo = plan(job, owned_by(listed.items, job), self.clock.now())
        for _ in range(todo.create):
            await self._create(job)
        for pod in todo.delete:
            if await self.delete_pod(pod):
                said = f"Deleted pod: {pod['metadata']['name']}"
                await self.recorder.record(COMPONENT, job, "SuccessfulDelete", said)
        with suppress(NotFound):
            await self.client.apply_status(
                JOBS, name.name, todo.status, name.namespace, manager=COMPONENT
            )
        return None

    async def _create(self, job: Object) -> None:
        pod = pod_of(job, JOBS)
        pod["metadata"]["generateName"] = f"{job['metadata']['name']}-"
        made = await self.client.create(PODS, pod, manager=COMPONENT)
        said = f"Created pod: {made['metadata']['name']}"
        await self.recorder.record(COMPONENT, job, "SuccessfulCreate", said)
