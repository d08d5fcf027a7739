"""Config maps: data kept for people and programs; nothing in the demo reads them."""

from __future__ import annotations

from ferryman.api.columns import AGE, NAME
from ferryman.api.resource import Resource
from ferryman.api.scheme import Column, Kind
from ferryman.demo.kinds.schema import BOOLEAN, STRINGS, described, kind_schema

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", True)

CONFIG_MAP = Kind(
    resource=CONFIG_MAPS,
    short_names=("cm",),
    subresources=frozenset(),
    columns=(
        NAME,
        Column(
            "Data",
            lambda o, _: len(o.get("data") or {}) + len(o.get("binaryData") or {}),
            kind="integer",
        ),
        AGE,
    ),
    schema=kind_schema(
        CONFIG_MAPS,
        "ConfigMap holds configuration data for pods to consume.",
        data=described(STRINGS, "The data, as text."),
        binaryData=described(STRINGS, "The data, as base64."),
        immutable=BOOLEAN,
    ),
)
