"""Event (core/v1): what happened to an object, for people; ``controllers.recording`` writes."""

from __future__ import annotations

from datetime import datetime

from ferryman.api.columns import AGE, NAME, since
from ferryman.api.openapi import OBJECT_META
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind

EVENTS = Resource("", "v1", "events", "Event", True)

_STRING = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_REFERENCE = {
    "type": "object",
    "properties": dict.fromkeys(
        ("apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"), _STRING
    ),
}


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
    schema={
        "type": "object",
        "description": "Event is a report of an event somewhere in the cluster.",
        "properties": {
            "apiVersion": _STRING,
            "kind": _STRING,
            "metadata": OBJECT_META,
            "involvedObject": _REFERENCE,
            "related": _REFERENCE,
            "source": {"type": "object", "properties": {"component": _STRING, "host": _STRING}},
            "count": {"type": "integer", "format": "int32"},
            "firstTimestamp": _TIME,
            "lastTimestamp": _TIME,
            "eventTime": _TIME,
            "series": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            **dict.fromkeys(
                ("action", "message", "reason", "reportingComponent", "reportingInstance", "type"),
                _STRING,
            ),
        },
        "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Event"}],
    },
)
