"""Events: what happened to an object, for people; ``demo.events`` records them."""

from __future__ import annotations

from datetime import datetime

from ferryman.api.columns import AGE, NAME, since
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.demo.kinds.schema import ANYTHING, INTEGER, STRING, TIME, kind_schema, struct

EVENTS = Resource("", "v1", "events", "Event", True)

_REFERENCE = struct(
    kind=STRING,
    namespace=STRING,
    name=STRING,
    uid=STRING,
    apiVersion=STRING,
    resourceVersion=STRING,
    fieldPath=STRING,
)


def _last_seen(event: Object, now: datetime) -> str:
    return since(event.get("lastTimestamp") or event["metadata"].get("creationTimestamp"), now)


def _involved(event: Object, _: datetime) -> str:
    involved = event.get("involvedObject") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


EVENT = Kind(
    resource=EVENTS,
    short_names=("ev",),
    subresources=frozenset(),
    selectable_fields=frozenset(
        {
            "involvedObject.apiVersion",
            "involvedObject.fieldPath",
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.resourceVersion",
            "involvedObject.uid",
            "reason",
            "reportingComponent",
            "source",
            "type",
        }
    ),
    columns=(
        Column("Last Seen", _last_seen),
        Column("Type", lambda o, _: str(o.get("type", ""))),
        Column("Reason", lambda o, _: str(o.get("reason", ""))),
        Column("Object", _involved),
        Column(
            "Subobject",
            lambda o, _: str((o.get("involvedObject") or {}).get("fieldPath", "")),
            wide=True,
        ),
        Column("Source", lambda o, _: str((o.get("source") or {}).get("component", "")), wide=True),
        Column("Message", lambda o, _: str(o.get("message", "")).strip()),
        Column("First Seen", lambda o, now: since(o.get("firstTimestamp"), now), wide=True),
        Column("Count", lambda o, _: int(o.get("count") or 1), wide=True, kind="integer"),
        Column(NAME.name, NAME.cell, wide=True),
        Column(AGE.name, AGE.cell, wide=True),
    ),
    schema=kind_schema(
        EVENTS,
        "Event is a report of an event somewhere in the cluster.",
        involvedObject=_REFERENCE,
        related=_REFERENCE,
        reason=STRING,
        message=STRING,
        source=struct(component=STRING, host=STRING),
        firstTimestamp=TIME,
        lastTimestamp=TIME,
        eventTime=TIME,
        count=INTEGER,
        type=STRING,
        action=STRING,
        reportingComponent=STRING,
        reportingInstance=STRING,
        series=ANYTHING,
    ),
)
