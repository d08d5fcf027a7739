"""How many pods a job has to make, which it deletes, and what its status is; pure.

Without the waits between attempts that Kubernetes makes, and without indexes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ferryman.api.conditions import rfc3339
from ferryman.api.resource import Object
from ferryman.demo.controllers.objects import active, deleting, merged_conditions, phase, ready


@dataclass(frozen=True, slots=True)
class Plan:
    """``create`` so many pods, ``delete`` these, write ``status``."""

    create: int
    delete: tuple[Object, ...]
    status: Object


def plan(job: Object, pods: Sequence[Object], now: datetime) -> Plan:
    """What is to be done, from all the pods that the job owns."""
    spec, old = job["spec"], job.get("status") or {}
    running = [pod for pod in pods if active(pod)]
    succeeded = sum(phase(pod) == "Succeeded" for pod in pods)
    failed = sum(phase(pod) == "Failed" for pod in pods)
    completions = spec.get("completions", 1)
    complete = succeeded >= completions
    hopeless = not complete and failed > spec.get("backoffLimit", 6)
    fresh = [
        {"type": kind, "status": "True", "reason": reason}
        for kind, reason, holds in (
            ("Complete", "CompletionsReached", complete),
            ("Failed", "BackoffLimitExceeded", hopeless),
            ("Suspended", "JobSuspended", bool(spec.get("suspend"))),
        )
        if holds
    ]
    wanted = 0 if fresh else min(spec.get("parallelism", 1), completions - succeeded)
    status = {
        "active": len(running),
        "ready": sum(map(ready, running)),
        "succeeded": succeeded,
        "failed": failed,
        "startTime": old.get("startTime") or rfc3339(now),
        "conditions": merged_conditions(old.get("conditions") or (), fresh, now),
        "completionTime": (old.get("completionTime") or rfc3339(now)) if complete else "",
    }
    surplus = len(running) - wanted
    idle = deleting(job)
    return Plan(
        create=0 if idle else max(-surplus, 0),
        delete=() if idle else tuple(running[wanted:]) if surplus > 0 else (),
        status={k: v for k, v in status.items() if v or k == "ready"},
    )
