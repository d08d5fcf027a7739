"""What happened to a relay that a person would ask about, from two of its statuses; pure.

``reconciler`` records them as Events. What is so is in the status; this is about when it came to
be so, and about what was so for a moment only.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from ferryman.api.conditions import find_condition
from ferryman.api.kinds.relay import EndpointStatus, RelayStatus


class Happening(Struct, frozen=True):
    """One event; ``reason`` is CamelCase, a ``warning`` is something to be seen to."""

    reason: str
    message: str
    warning: bool = False


def happenings(before: RelayStatus, after: RelayStatus) -> Iterator[Happening]:
    """Everything worth an event, in the order in which it is told."""
    yield from _turn(before, after, "Bound")
    yield from _departures(before, after)
    yield from _choice(before, after)
    yield from _turn(before, after, "TargetReady")
    yield from _turn(before, after, "Reachable")


def _turn(before: RelayStatus, after: RelayStatus, kind: str) -> Iterator[Happening]:
    """A condition that is wrong now, or right again; that all was well from the start is no news,
    except where it listens.
    """
    old, new = find_condition(before.conditions, kind), find_condition(after.conditions, kind)
    if new is None or (old is not None and (old.status, old.reason) == (new.status, new.reason)):
        return
    if new.status == "False":
        yield Happening(new.reason, new.message, warning=new.reason != "Suspended")
    elif new.status == "True" and (kind == "Bound" or (old is not None and old.status == "False")):
        yield Happening(new.reason, new.message)


def _departures(before: RelayStatus, after: RelayStatus) -> Iterator[Happening]:
    leaving = {e.uid for e in before.endpoints if e.state == "Draining"}
    for endpoint in after.endpoints:
        if endpoint.state == "Draining" and endpoint.uid not in leaving:
            yield Happening(
                "PodLeaving", f"pod/{endpoint.pod} is going away: it gets no new connections"
            )


def _choice(before: RelayStatus, after: RelayStatus) -> Iterator[Happening]:
    old, new = _chosen(before), _chosen(after)
    if new is not None and new.pod and (old is None or old.uid != new.uid):
        yield Happening("PodChosen", f"connections go to pod/{new.pod}: {new.reason}")


def _chosen(status: RelayStatus) -> EndpointStatus | None:
    return next((e for e in status.endpoints if e.state == "Active"), None)
