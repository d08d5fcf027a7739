"""Cells of ``kubectl get`` that several kinds share; kubectl prints them verbatim.

Source: ``k8s.io/kubernetes/pkg/printers/internalversion`` and
``apimachinery/pkg/util/duration.HumanDuration``.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ferryman.api.resource import Object
from ferryman.api.scheme import Column


def human_duration(seconds: float) -> str:
    """As kubectl shows ages: ``45s``, ``4m30s``, ``25m``, ``3h20m``, ``2d3h``, ``14d``."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
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
    years = days // 365
    return _two(years, "y", days % 365, "d") if years < 8 else f"{years}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


def since(time: object, now: datetime) -> str:
    """The age of an RFC 3339 time, or ``<unknown>``."""
    if not isinstance(time, str):
        return "<unknown>"
    try:
        then = datetime.fromisoformat(time)
    except ValueError:
        return "<unknown>"
    return human_duration(
        (now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()
    )


def name_cell(obj: Object, _: datetime) -> str:
    """The object's name."""
    return str(obj["metadata"].get("name", ""))


def age_cell(obj: Object, now: datetime) -> str:
    """How long ago the object was created."""
    return since(obj["metadata"].get("creationTimestamp"), now)


NAME = Column("Name", name_cell, description="Name must be unique within a namespace.")
AGE = Column("Age", age_cell, description="Time since the object was created.")


def status_of(obj: Object) -> Object:
    """The object's status, or nothing yet."""
    status = obj.get("status")
    return status if isinstance(status, dict) else {}


def selector_text(selector: object) -> str:
    """A selector, as wide columns show it."""
    if not isinstance(selector, dict):
        return "<none>"
    labels = selector.get("matchLabels", selector)
    if not isinstance(labels, dict) or not labels:
        return "<none>"
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _containers(obj: Object) -> list[Object]:
    containers = obj["spec"].get("template", {}).get("spec", {}).get("containers") or []
    return [c for c in containers if isinstance(c, dict)]


WORKLOAD_WIDE = (
    Column(
        "Containers", lambda o, _: ",".join(str(c.get("name")) for c in _containers(o)), wide=True
    ),
    Column("Images", lambda o, _: ",".join(str(c.get("image")) for c in _containers(o)), wide=True),
)
SELECTOR = Column("Selector", lambda o, _: selector_text(o["spec"].get("selector")), wide=True)
