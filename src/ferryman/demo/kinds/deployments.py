"""Deployments: replica sets, one for each version of a pod template, exchanged step by step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.api.status import Cause
from ferryman.api.validation import unsupported
from ferryman.demo.kinds.cells import SELECTOR, WORKLOAD_WIDE, status_of
from ferryman.demo.kinds.podspec import POD_TEMPLATE, default_template, template_causes
from ferryman.demo.kinds.schema import (
    BOOLEAN,
    CONDITIONS,
    INT_OR_STRING,
    INTEGER,
    LABEL_SELECTOR,
    LONG,
    STRING,
    described,
    kind_schema,
    struct,
)

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", True)

_STRATEGY = {
    **struct(
        "How the old pods are replaced by new ones.",
        type=described(STRING, "RollingUpdate or Recreate."),
        rollingUpdate=struct(maxSurge=INT_OR_STRING, maxUnavailable=INT_OR_STRING),
    ),
    "x-kubernetes-patch-strategy": "retainKeys",
}

_SPEC = struct(
    "How many pods, and what they are like.",
    required=("selector", "template"),
    replicas=described(INTEGER, "How many pods there should be; 1 unless said otherwise."),
    selector=LABEL_SELECTOR,
    template=POD_TEMPLATE,
    strategy=_STRATEGY,
    minReadySeconds=INTEGER,
    revisionHistoryLimit=INTEGER,
    progressDeadlineSeconds=INTEGER,
    paused=BOOLEAN,
)

_STATUS = struct(
    observedGeneration=LONG,
    replicas=INTEGER,
    updatedReplicas=INTEGER,
    readyReplicas=INTEGER,
    availableReplicas=INTEGER,
    unavailableReplicas=INTEGER,
    terminatingReplicas=INTEGER,
    collisionCount=INTEGER,
    conditions=CONDITIONS,
)


def _default(deployment: Object) -> None:
    spec = deployment.get("spec")
    if spec is None:
        return
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") != "Recreate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxSurge", "25%")
        rolling.setdefault("maxUnavailable", "25%")
    default_template(spec)


def _causes(deployment: Object) -> Iterator[Cause]:
    spec = deployment.get("spec")
    yield from template_causes(spec)
    if spec is None:
        return
    strategy = (spec.get("strategy") or {}).get("type")
    if strategy not in ("RollingUpdate", "Recreate"):
        yield unsupported("spec.strategy.type", strategy, ("Recreate", "RollingUpdate"))


def _ready(deployment: Object, _: datetime) -> str:
    ready = status_of(deployment).get("readyReplicas", 0)
    return f"{ready}/{deployment['spec'].get('replicas', 1)}"


def _count(name: str, key: str) -> Column:
    return Column(name, lambda o, _: str(status_of(o).get(key, 0)))


DEPLOYMENT = Kind(
    resource=DEPLOYMENTS,
    short_names=("deploy",),
    categories=("all",),
    subresources=frozenset({"status", "scale"}),
    columns=(
        NAME,
        Column("Ready", _ready),
        _count("Up-to-date", "updatedReplicas"),
        _count("Available", "availableReplicas"),
        AGE,
        *WORKLOAD_WIDE,
        SELECTOR,
    ),
    schema=kind_schema(
        DEPLOYMENTS,
        "Deployment enables declarative updates for Pods and ReplicaSets.",
        spec=_SPEC,
        status=_STATUS,
    ),
    default=_default,
    validate=_causes,
)
