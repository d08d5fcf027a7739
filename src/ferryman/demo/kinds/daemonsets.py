"""Daemon sets: one pod on every node."""

from __future__ import annotations

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.demo.kinds.cells import SELECTOR, WORKLOAD_WIDE, status_of
from ferryman.demo.kinds.podspec import POD_TEMPLATE, default_template, template_causes
from ferryman.demo.kinds.schema import (
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

DAEMON_SETS = Resource("apps", "v1", "daemonsets", "DaemonSet", True)

_SPEC = struct(
    "What the pods are like.",
    required=("selector", "template"),
    selector=LABEL_SELECTOR,
    template=POD_TEMPLATE,
    updateStrategy=struct(
        type=described(STRING, "RollingUpdate or OnDelete."),
        rollingUpdate=struct(maxSurge=INT_OR_STRING, maxUnavailable=INT_OR_STRING),
    ),
    minReadySeconds=INTEGER,
    revisionHistoryLimit=INTEGER,
)

_STATUS = struct(
    observedGeneration=LONG,
    desiredNumberScheduled=INTEGER,
    currentNumberScheduled=INTEGER,
    updatedNumberScheduled=INTEGER,
    numberMisscheduled=INTEGER,
    numberReady=INTEGER,
    numberAvailable=INTEGER,
    numberUnavailable=INTEGER,
    collisionCount=INTEGER,
    conditions=CONDITIONS,
)


def _default(daemon_set: Object) -> None:
    spec = daemon_set.get("spec")
    if spec is None:
        return
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") != "OnDelete":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxSurge", 0)
        rolling.setdefault("maxUnavailable", 1)
    default_template(spec)


def _count(name: str, key: str) -> Column:
    return Column(name, lambda o, _: int(status_of(o).get(key, 0)), kind="integer")


DAEMON_SET = Kind(
    resource=DAEMON_SETS,
    short_names=("ds",),
    categories=("all",),
    columns=(
        NAME,
        _count("Desired", "desiredNumberScheduled"),
        _count("Current", "currentNumberScheduled"),
        _count("Ready", "numberReady"),
        _count("Up-to-date", "updatedNumberScheduled"),
        _count("Available", "numberAvailable"),
        AGE,
        *WORKLOAD_WIDE,
        SELECTOR,
    ),
    schema=kind_schema(
        DAEMON_SETS,
        "DaemonSet represents the configuration of a daemon set.",
        spec=_SPEC,
        status=_STATUS,
    ),
    default=_default,
    validate=lambda daemon_set: template_causes(daemon_set.get("spec")),
)
