"""Cells of ``kubectl get`` that many kinds share: ages, conditions; pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ferryman.api.resource import Object


def age(obj: Object, now: datetime) -> str:
    """How old an object is: ``5m``."""
    return since(obj.get("metadata", {}).get("creationTimestamp"), now)


def since(timestamp: str | None, now: datetime) -> str:
    """How long ago an RFC 3339 time was, or ``<unknown>``."""
    if not timestamp:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "<unknown>"
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return human_duration((now - then).total_seconds())


def human_duration(seconds: float) -> str:
    """In two units while the first is small: ``90s``, ``3m10s``, ``5m``, ``2h5m``, ``3d``.

    Source: apimachinery ``pkg/util/duration.HumanDuration``.
    """
    s = int(seconds)
    if s < -1:
        return "<invalid>"
    if s < 0:
        return "0s"
    if s < 120:
        return f"{s}s"
    minutes, hours, days = s // 60, s // 3600, s // 86400
    if minutes < 10:
        return _two(minutes, "m", s % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def condition_cell(type_: str, field: str = "status") -> Callable[[Object, datetime], str]:
    """A column's cell: one field of a condition, empty if it is not there."""

    def cell(obj: Object, _: datetime) -> str:
        for condition in obj.get("status", {}).get("conditions", ()):
            if condition.get("type") == type_:
                return str(condition.get(field, ""))
        return ""

    return cell


def _two(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first}{unit}{second}{smaller}" if second else f"{first}{unit}"
