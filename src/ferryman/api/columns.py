"""Cells that many kinds show: how long ago something was, in kubectl's words; pure.

``api.scheme.Column`` is what a kind is shown with; ``apiserver.tables`` renders it. Source of the
words: Kubernetes' ``k8s.io/apimachinery/pkg/util/duration.HumanDuration``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ferryman.api.resource import Object
from ferryman.api.scheme import Column

UNKNOWN = "<unknown>"

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400

# Below this many seconds: the unit to show, and the smaller one beside it while it says something.
_STEPS = (
    (2 * _MINUTE, (1, "s"), None),
    (10 * _MINUTE, (_MINUTE, "m"), (1, "s")),
    (3 * _HOUR, (_MINUTE, "m"), None),
    (8 * _HOUR, (_HOUR, "h"), (_MINUTE, "m")),
    (2 * _DAY, (_HOUR, "h"), None),
    (8 * _DAY, (_DAY, "d"), (_HOUR, "h")),
    (2 * _YEAR, (_DAY, "d"), None),
    (8 * _YEAR, (_YEAR, "y"), (_DAY, "d")),
)


def human_duration(duration: timedelta) -> str:
    """As kubectl says it: ``45s``, ``5m3s``, ``3h``, ``2d``; ``<invalid>`` for the future."""
    seconds = int(duration.total_seconds())
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)  # a second of disagreement between clocks is "now"
    for limit, unit, smaller in _STEPS:
        if seconds < limit:
            whole, rest = divmod(seconds, unit[0])
            part = rest // smaller[0] if smaller else 0
            return f"{whole}{unit[1]}" + (f"{part}{smaller[1]}" if smaller and part else "")
    return f"{seconds // _YEAR}y"


def since(timestamp: object, now: datetime) -> str:
    """The age of an RFC 3339 time; ``<unknown>`` if there is none."""
    try:
        then = datetime.fromisoformat(timestamp) if isinstance(timestamp, str) else None
    except ValueError:
        return UNKNOWN
    if then is None or then.tzinfo is None:
        return UNKNOWN
    return human_duration(now - then)


def age(obj: Object, now: datetime) -> str:
    """The age of an object."""
    return since(obj.get("metadata", {}).get("creationTimestamp"), now)


def name(obj: Object, _: datetime) -> str:
    """The name of an object."""
    return str(obj.get("metadata", {}).get("name", ""))


NAME = Column("Name", name, description="The object's name, unique in its kind and namespace.")
AGE = Column("Age", age, description="How long ago the object was created.")
