"""Stateful sets: pods with names that stay, made and replaced one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.api.status import Cause
from ferryman.demo.kinds.cells import WORKLOAD_WIDE, status_of
from ferryman.demo.kinds.podspec import POD_TEMPLATE, default_template, template_causes
from ferryman.demo.kinds.schema import (
    ANYTHING,
    CONDITIONS,
    INT_OR_STRING,
    INTEGER,
    LABEL_SELECTOR,
    LONG,
    STRING,
    array,
    described,
    kind_schema,
    struct,
)

STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet", True)

_SPEC = struct(
    "How many pods, and what they are like.",
    required=("selector", "template"),
    replicas=INTEGER,
    selector=LABEL_SELECTOR,
    template=POD_TEMPLATE,
    serviceName=STRING,
    podManagementPolicy=described(STRING, "OrderedReady or Parallel."),
    updateStrategy=struct(
        type=described(STRING, "RollingUpdate or OnDelete."),
        rollingUpdate=struct(partition=INTEGER, maxUnavailable=INT_OR_STRING),
    ),
    revisionHistoryLimit=INTEGER,
    minReadySeconds=INTEGER,
    volumeClaimTemplates=array(ANYTHING),
    persistentVolumeClaimRetentionPolicy=ANYTHING,
    ordinals=struct(start=INTEGER),
)

_STATUS = struct(
    observedGeneration=LONG,
    replicas=INTEGER,
    readyReplicas=INTEGER,
    availableReplicas=INTEGER,
    currentReplicas=INTEGER,
    updatedReplicas=INTEGER,
    currentRevision=STRING,
    updateRevision=STRING,
    collisionCount=INTEGER,
    conditions=CONDITIONS,
)


def _default(stateful_set: Object) -> None:
    spec = stateful_set.get("spec")
    if spec is None:
        return
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") != "OnDelete":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    default_template(spec)


def _causes(stateful_set: Object) -> Iterator[Cause]:
    spec = stateful_set.get("spec")
    yield from template_causes(spec)


def _ready(stateful_set: Object, _: datetime) -> str:
    ready = status_of(stateful_set).get("readyReplicas", 0)
    return f"{ready}/{stateful_set['spec'].get('replicas', 1)}"


STATEFUL_SET = Kind(
    resource=STATEFUL_SETS,
    short_names=("sts",),
    categories=("all",),
    subresources=frozenset({"status", "scale"}),
    columns=(NAME, Column("Ready", _ready), AGE, *WORKLOAD_WIDE),
    schema=kind_schema(
        STATEFUL_SETS,
        "StatefulSet represents a set of pods with consistent identities.",
        spec=_SPEC,
        status=_STATUS,
    ),
    default=_default,
    validate=_causes,
)
