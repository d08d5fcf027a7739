"""Whether a cron job is to make a job now, and what its status is; pure.

Minutes that passed while nobody looked are not made up for, and old jobs are kept: a demo is young.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ferryman.api.conditions import rfc3339
from ferryman.api.resource import Object
from ferryman.demo.controllers.objects import condition, deleting, owner_reference
from ferryman.demo.kinds import CRON_JOBS
from ferryman.demo.schedule import parse_schedule


@dataclass(frozen=True, slots=True)
class Plan:
    """``create`` this job, ``delete`` these, write ``status``, look again after so many seconds."""

    create: Object | None
    delete: tuple[Object, ...]
    status: Object
    wait: float


def plan(cron_job: Object, jobs: Sequence[Object], now: datetime) -> Plan:
    """What is to be done, from all the jobs that the cron job owns."""
    spec, old = cron_job["spec"], cron_job.get("status") or {}
    minute = now.replace(second=0, microsecond=0)
    running = [job for job in jobs if not _over(job)]
    policy = spec.get("concurrencyPolicy", "Allow")
    due = (
        not spec.get("suspend")
        and not deleting(cron_job)
        and parse_schedule(spec["schedule"]).is_due(minute)
        and old.get("lastScheduleTime") != rfc3339(minute)
        and datetime.fromisoformat(cron_job["metadata"]["creationTimestamp"]) <= minute
        and not (policy == "Forbid" and running)
    )
    delete = tuple(running) if due and policy == "Replace" else ()
    active = [job for job in running if job not in delete]
    status = {
        "active": [_reference(job) for job in active],
        "lastScheduleTime": rfc3339(minute) if due else old.get("lastScheduleTime", ""),
    }
    return Plan(
        create=_job(cron_job, minute) if due else None,
        delete=delete,
        status={key: value for key, value in status.items() if value},
        wait=60.0 - now.second - now.microsecond / 1e6,
    )


def _over(job: Object) -> bool:
    return any(condition(job, kind).get("status") == "True" for kind in ("Complete", "Failed"))


def _reference(job: Object) -> Object:
    meta = job["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": meta["name"],
        "namespace": meta.get("namespace", ""),
        "uid": meta["uid"],
    }


def _job(cron_job: Object, minute: datetime) -> Object:
    """The job of that minute; its name follows from both, so there is one only."""
    template, meta = copy.deepcopy(cron_job["spec"]["jobTemplate"]), cron_job["metadata"]
    given = template.get("metadata") or {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{meta['name']}-{int(minute.timestamp()) // 60}",
            "namespace": meta.get("namespace", ""),
            "labels": given.get("labels") or {},
            "annotations": given.get("annotations") or {},
            "ownerReferences": [owner_reference(cron_job, CRON_JOBS)],
        },
        "spec": template["spec"],
    }
