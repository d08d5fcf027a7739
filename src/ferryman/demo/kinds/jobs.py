"""Jobs: pods that are to end well, so many times.

A job selects its pods by its own name (Kubernetes: by its uid, which nobody knows before the object
is there); a selector that a person brings is kept, as with ``manualSelector``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.api.status import Cause
from ferryman.api.validation import required, unsupported
from ferryman.demo.kinds.cells import SELECTOR, WORKLOAD_WIDE, status_of
from ferryman.demo.kinds.podspec import POD_TEMPLATE, default_template, template_causes
from ferryman.demo.kinds.schema import (
    ANYTHING,
    BOOLEAN,
    CONDITIONS,
    INTEGER,
    LABEL_SELECTOR,
    LONG,
    STRING,
    TIME,
    kind_schema,
    struct,
)

JOBS = Resource("batch", "v1", "jobs", "Job", True)
JOB_NAME = "batch.kubernetes.io/job-name"

JOB_SPEC = struct(
    "How often its pods are to end well, and what they are like.",
    required=("template",),
    parallelism=INTEGER,
    completions=INTEGER,
    completionMode=STRING,
    backoffLimit=INTEGER,
    activeDeadlineSeconds=LONG,
    ttlSecondsAfterFinished=INTEGER,
    suspend=BOOLEAN,
    manualSelector=BOOLEAN,
    podReplacementPolicy=STRING,
    selector=LABEL_SELECTOR,
    template=POD_TEMPLATE,
)

_STATUS = struct(
    active=INTEGER,
    ready=INTEGER,
    succeeded=INTEGER,
    failed=INTEGER,
    terminating=INTEGER,
    startTime=TIME,
    completionTime=TIME,
    conditions=CONDITIONS,
    uncountedTerminatedPods=ANYTHING,
)


def default_job(spec: Object) -> None:
    """Fill in, in place, what a job's spec leaves out, except its selector."""
    spec.setdefault("parallelism", 1)
    spec.setdefault("completions", 1)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("suspend", False)
    default_template(spec)


def _default(job: Object) -> None:
    spec = job.get("spec")
    if spec is None:
        return
    default_job(spec)
    if not spec.get("selector"):
        own = {JOB_NAME: job["metadata"].get("name", "")}
        spec["selector"] = {"matchLabels": own}
        labels = spec["template"]["metadata"].get("labels") or {}
        spec["template"]["metadata"]["labels"] = {**labels, **own, "job-name": own[JOB_NAME]}


def job_causes(spec: Object | None, at: str) -> Iterator[Cause]:
    """What the schema cannot say about a job's spec."""
    template = (spec or {}).get("template") or {}
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy not in ("OnFailure", "Never"):
        yield unsupported(f"{at}.template.spec.restartPolicy", policy, ("OnFailure", "Never"))


def _causes(job: Object) -> Iterator[Cause]:
    spec = job.get("spec")
    if spec is None:
        yield required("spec")
        return
    yield from template_causes(spec)
    yield from job_causes(spec, "spec")


def _completions(job: Object, _: datetime) -> str:
    return f"{status_of(job).get('succeeded', 0)}/{job['spec'].get('completions', 1)}"


def _status_text(job: Object, _: datetime) -> str:
    conditions = status_of(job).get("conditions") or ()
    over = [c["type"] for c in conditions if c.get("status") == "True"]
    return str(over[0]) if over else "Running"


JOB = Kind(
    resource=JOBS,
    categories=("all",),
    columns=(
        NAME,
        Column("Status", _status_text),
        Column("Completions", _completions),
        AGE,
        *WORKLOAD_WIDE,
        SELECTOR,
    ),
    schema=kind_schema(
        JOBS, "Job represents the configuration of a single job.", spec=JOB_SPEC, status=_STATUS
    ),
    default=_default,
    validate=_causes,
)
