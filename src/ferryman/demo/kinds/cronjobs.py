"""Cron jobs: a job whenever the clock says so."""

from __future__ import annotations

from collections.abc import Iterator

from ferryman.api.columns import AGE, NAME
from ferryman.api.openapi import OBJECT_META
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.api.status import Cause
from ferryman.api.validation import bad, required, unsupported
from ferryman.demo.kinds.cells import status_of
from ferryman.demo.kinds.jobs import JOB_SPEC, default_job, job_causes
from ferryman.demo.kinds.podspec import pod_spec_causes
from ferryman.demo.kinds.schema import (
    ANYTHING,
    BOOLEAN,
    INTEGER,
    LONG,
    STRING,
    TIME,
    array,
    kind_schema,
    struct,
)
from ferryman.demo.schedule import parse_schedule
from ferryman.errors import UserError

CRON_JOBS = Resource("batch", "v1", "cronjobs", "CronJob", True)

_SPEC = struct(
    "When, and what the jobs are like.",
    required=("schedule", "jobTemplate"),
    schedule=STRING,
    timeZone=STRING,
    startingDeadlineSeconds=LONG,
    concurrencyPolicy=STRING,
    suspend=BOOLEAN,
    successfulJobsHistoryLimit=INTEGER,
    failedJobsHistoryLimit=INTEGER,
    jobTemplate=struct(required=("spec",), metadata=OBJECT_META, spec=JOB_SPEC),
)

_STATUS = struct(active=array(ANYTHING), lastScheduleTime=TIME, lastSuccessfulTime=TIME)


def _default(cron_job: Object) -> None:
    spec = cron_job.get("spec")
    if spec is None:
        return
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    default_job(spec["jobTemplate"]["spec"])


def _causes(cron_job: Object) -> Iterator[Cause]:
    spec = cron_job.get("spec")
    if spec is None:
        yield required("spec")
        return
    try:
        parse_schedule(spec["schedule"])
    except UserError as error:
        yield bad("spec.schedule", spec["schedule"], error.message)
    policies = ("Allow", "Forbid", "Replace")
    if spec["concurrencyPolicy"] not in policies:
        yield unsupported("spec.concurrencyPolicy", spec["concurrencyPolicy"], policies)
    job = spec["jobTemplate"]["spec"]
    yield from job_causes(job, "spec.jobTemplate.spec")
    at = "spec.jobTemplate.spec.template.spec"
    yield from pod_spec_causes(job["template"].get("spec"), at)


CRON_JOB = Kind(
    resource=CRON_JOBS,
    short_names=("cj",),
    categories=("all",),
    columns=(
        NAME,
        Column("Schedule", lambda o, _: str(o["spec"].get("schedule", ""))),
        Column("Suspend", lambda o, _: str(o["spec"].get("suspend", False))),
        Column("Active", lambda o, _: len(status_of(o).get("active") or ()), kind="integer"),
        AGE,
    ),
    schema=kind_schema(
        CRON_JOBS,
        "CronJob represents the configuration of a single cron job.",
        spec=_SPEC,
        status=_STATUS,
    ),
    default=_default,
    validate=_causes,
)
