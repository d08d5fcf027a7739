"""Conditions, as ``metav1.Condition``: what is so, since when, and why; pure.

Controllers set them; ``lastTransitionTime`` moves only when the status of a condition turns, so
that an equal status stays equal and is not written again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One aspect of an object's state; ``reason`` is CamelCase, ``message`` is for people."""

    type: str
    status: ConditionStatus
    reason: str = ""
    message: str = ""
    last_transition_time: str = ""
    observed_generation: int = 0


Conditions = tuple[Condition, ...]


def rfc3339(time: datetime) -> str:
    """As ``metav1.Time`` has it: UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(time: datetime) -> str:
    """As ``metav1.MicroTime`` has it: UTC, six digits of a second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def set_condition(
    conditions: Iterable[Condition],
    type: str,  # noqa: A002  # the field's own name in Kubernetes
    status: bool | ConditionStatus,
    reason: str,
    message: str,
    *,
    now: datetime,
    generation: int = 0,
) -> Conditions:
    """The conditions with one set, in its old place or at the end; never mutates."""
    said: ConditionStatus
    said = status if isinstance(status, str) else "True" if status else "False"
    fresh = Condition(
        type=type,
        status=said,
        reason=reason,
        message=message,
        last_transition_time=rfc3339(now),
        observed_generation=generation,
    )
    merged = list(conditions)
    for i, old in enumerate(merged):
        if old.type == type:
            since = old.last_transition_time if old.status == said else ""
            merged[i] = replace(fresh, last_transition_time=since) if since else fresh
            return tuple(merged)
    return (*merged, fresh)


def find_condition(conditions: Iterable[Condition], type: str) -> Condition | None:  # noqa: A002  # as above
    """The condition of a type, or None."""
    return next((c for c in conditions if c.type == type), None)


def is_true(conditions: Iterable[Condition], type: str) -> bool:  # noqa: A002  # as above
    """Whether a condition is there and "True"."""
    found = find_condition(conditions, type)
    return found is not None and found.status == "True"
