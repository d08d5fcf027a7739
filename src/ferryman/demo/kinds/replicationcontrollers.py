"""Replication controllers, which replica sets came to replace: their selector is a plain map."""

from __future__ import annotations

from collections.abc import Iterator

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.api.status import Cause
from ferryman.api.validation import required
from ferryman.demo.kinds.cells import SELECTOR, WORKLOAD_WIDE, status_of
from ferryman.demo.kinds.podspec import POD_TEMPLATE, default_template, template_causes
from ferryman.demo.kinds.schema import CONDITIONS, INTEGER, LONG, STRINGS, kind_schema, struct

REPLICATION_CONTROLLERS = Resource(
    "", "v1", "replicationcontrollers", "ReplicationController", True
)

_SPEC = struct(
    "How many pods, and what they are like.",
    required=("template",),
    replicas=INTEGER,
    minReadySeconds=INTEGER,
    selector=STRINGS,
    template=POD_TEMPLATE,
)

_STATUS = struct(
    observedGeneration=LONG,
    replicas=INTEGER,
    fullyLabeledReplicas=INTEGER,
    readyReplicas=INTEGER,
    availableReplicas=INTEGER,
    terminatingReplicas=INTEGER,
    conditions=CONDITIONS,
)


def _default(controller: Object) -> None:
    spec = controller.get("spec")
    if spec is None:
        return
    spec.setdefault("replicas", 1)
    default_template(spec)
    if not spec.get("selector"):
        spec["selector"] = dict(spec["template"]["metadata"].get("labels") or {})


def _causes(controller: Object) -> Iterator[Cause]:
    spec = controller.get("spec")
    if spec is None:
        yield required("spec")
        return
    yield from template_causes({**spec, "selector": {"matchLabels": spec["selector"]}})


REPLICATION_CONTROLLER = Kind(
    resource=REPLICATION_CONTROLLERS,
    short_names=("rc",),
    categories=("all",),
    columns=(
        NAME,
        Column("Desired", lambda o, _: int(o["spec"].get("replicas", 1)), kind="integer"),
        Column("Current", lambda o, _: int(status_of(o).get("replicas", 0)), kind="integer"),
        Column("Ready", lambda o, _: int(status_of(o).get("readyReplicas", 0)), kind="integer"),
        AGE,
        *WORKLOAD_WIDE,
        SELECTOR,
    ),
    schema=kind_schema(
        REPLICATION_CONTROLLERS,
        "ReplicationController represents the configuration of a replication controller.",
        spec=_SPEC,
        status=_STATUS,
    ),
    default=_default,
    validate=_causes,
)
