"""Objects as ``metav1.Table``: what ``kubectl get`` prints, cell by cell; pure.

A kind's own columns stand between NAME and AGE, which every kind has. kubectl prints cells as they
are and shows priority 1 with ``-o wide`` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Object
from ferryman.api.scheme import Column, Kind

Include = Literal["None", "Metadata", "Object"]


def columns(kind: Kind) -> tuple[Column, ...]:
    """All the columns of a kind; those that it names itself win."""
    own = {column.name.lower() for column in kind.columns}
    narrow = tuple(column for column in kind.columns if not column.wide)
    wide = tuple(column for column in kind.columns if column.wide)
    first = () if "name" in own else (NAME,)
    age = () if "age" in own else (AGE,)
    return (*first, *narrow, *age, *wide)


def table(
    kind: Kind,
    objects: Iterable[Object],
    now: datetime,
    *,
    version: str = "v1",
    include: Include = "Metadata",
    metadata: Mapping[str, Any] | None = None,
    header: bool = True,
) -> Object:
    """A table of objects; ``metadata`` is the list's. A watch sends the header once only."""
    shown = columns(kind)
    api_version = f"meta.k8s.io/{version}"
    return {
        "kind": "Table",
        "apiVersion": api_version,
        "metadata": dict(metadata or {}),
        "columnDefinitions": [_definition(column) for column in shown] if header else [],
        "rows": [
            {
                "cells": [column.cell(obj, now) for column in shown],
                "object": _included(obj, include, api_version),
            }
            for obj in objects
        ],
    }


def bookmark_table(obj: Object, *, version: str = "v1") -> Object:
    """A watch's bookmark as a table: a row without cells."""
    api_version = f"meta.k8s.io/{version}"
    row: Object = {"cells": [], "object": _included(obj, "Metadata", api_version)}
    return {
        "kind": "Table",
        "apiVersion": api_version,
        "metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]},
        "columnDefinitions": [],
        "rows": [row],
    }


def partial_metadata(obj: Object, api_version: str = "meta.k8s.io/v1") -> Object:
    """An object's metadata without the rest."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": api_version,
        "metadata": obj.get("metadata", {}),
    }


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.kind,
        "format": "name" if column.name.lower() == "name" else "",
        "description": column.description or column.name,
        "priority": 1 if column.wide else 0,
    }


def _included(obj: Object, include: Include, api_version: str) -> Object | None:
    match include:
        case "None":
            return None
        case "Object":
            return obj
        case "Metadata":
            return partial_metadata(obj, api_version)
