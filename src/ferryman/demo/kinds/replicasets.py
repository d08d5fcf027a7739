"""Replica sets: so many pods of one template."""

from __future__ import annotations

from collections.abc import Iterator

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.api.status import Cause
from ferryman.demo.kinds.cells import SELECTOR, WORKLOAD_WIDE, status_of
from ferryman.demo.kinds.podspec import POD_TEMPLATE, default_template, template_causes
from ferryman.demo.kinds.schema import (
    CONDITIONS,
    INTEGER,
    LABEL_SELECTOR,
    LONG,
    kind_schema,
    struct,
)

REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", True)

_SPEC = struct(
    required=("selector",),
    replicas=INTEGER,
    minReadySeconds=INTEGER,
    selector=LABEL_SELECTOR,
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


def _default(replica_set: Object) -> None:
    spec = replica_set.get("spec")
    if spec is not None:
        spec.setdefault("replicas", 1)
        default_template(spec)


def _causes(replica_set: Object) -> Iterator[Cause]:
    spec = replica_set.get("spec")
    yield from template_causes(spec)


REPLICA_SET = Kind(
    resource=REPLICA_SETS,
    short_names=("rs",),
    categories=("all",),
    subresources=frozenset({"status", "scale"}),
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
        REPLICA_SETS,
        "ReplicaSet ensures that a specified number of pod replicas are running.",
        spec=_SPEC,
        status=_STATUS,
    ),
    default=_default,
    validate=_causes,
)
