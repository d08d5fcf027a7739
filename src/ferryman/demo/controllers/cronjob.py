"""Carries out ``cronjob_plan``: creates jobs when they are due, writes status."""

from __future__ import annotations

from contextlib import suppress

from ferryman.api.client import Preconditions
from ferryman.api.resource import Name
from ferryman.api.status import AlreadyExists, NotFound
from ferryman.demo.controllers.cronjob_plan import plan
from ferryman.demo.controllers.objects import owned_by
from ferryman.demo.controllers.reconciler import Reconciler
from ferryman.demo.kinds import CRON_JOBS, JOBS
from ferryman.reconcile import Result

COMPONENT = "cronjob-controller"


class CronJobReconciler(Reconciler):
    """Its requests are cron jobs; it looks at each one every minute."""

    async def reconcile(self, name: Name) -> Result | None:
        """Make the job of this minute, if there is to be one."""
        try:
            cron_job = await self.client.get(CRON_JOBS, name.name, name.namespace)
        except NotFound:
            return None
        listed = await self.client.list(JOBS, name.namespace)
        todo = plan(cron_job, owned_by(listed.items, cron_job), self.clock.now())
        for job in todo.delete:
            with suppress(NotFound):
                await self.client.delete(
                    JOBS,
                    job["metadata"]["name"],
                    name.namespace,
                    preconditions=Preconditions(uid=job["metadata"]["uid"]),
                )
        if todo.create is not None:
            with suppress(AlreadyExists):
                await self.client.create(JOBS, todo.create, manager=COMPONENT)
                said = f"Created job {todo.create['metadata']['name']}"
                await self.recorder.record(COMPONENT, cron_job, "SuccessfulCreate", said)
        with suppress(NotFound):
            await self.client.apply_status(
                CRON_JOBS, name.name, todo.status, name.namespace, manager=COMPONENT
            )
        return Result(requeue_after=todo.wait)
