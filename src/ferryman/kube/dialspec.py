"""From a target and its pods to the endpoints that the data plane dials; pure.

``resolve`` joins ``targets`` (whose pods, which port) with ``pods`` (which of them, and why). What
becomes no endpoint is listed too, with the reason, because status has to say it.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from ferryman.api.resource import Object
from ferryman.dataplane.contract import Endpoint, PodAddress
from ferryman.errors import UserError
from ferryman.kube.documented import documented_port
from ferryman.kube.pods import Judged, State, rank, running
from ferryman.kube.targets import (
    NOTHING_RELATED,
    Related,
    Target,
    container_port,
    pods_of,
    target_port,
)


class Place(Struct, frozen=True):
    """One pod of the target as status shows it; ``port`` is 0 if it could not be resolved."""

    pod: str
    uid: str
    port: int
    state: State
    reason: str


class Resolution(Struct, frozen=True):
    """Where one port of a target leads now; both in order of choice, the best first.

    ``endpoints`` are for the data plane: pods that may be dialled are Active, those going away
    Draining, which is for good: the data plane gives up their wires. A pod that is not ready is
    no endpoint, so it gets nothing new, keeps what it has, and may become Active again.
    """

    endpoints: tuple[Endpoint, ...]
    places: tuple[Place, ...]

    @property
    def port(self) -> int | None:
        """The port inside the pod of choice, which ``Forwarding from`` lines show; or None."""
        return next((place.port for place in self.places if place.port), None)


def resolve(
    cluster: str,
    target: Target,
    target_object: Object,
    pods: Iterable[Object],
    port: int | str,
    related: Related = NOTHING_RELATED,
) -> Resolution:
    """Where ``port`` of the target leads.

    Raises UserError if no pod could help: the service has no such port, or has no selector. A
    port that one pod lacks (during a rollout that renames it) only concerns that pod.
    """
    wanted = target_port(target_object, port, related)
    judged = rank(pods_of(target, target_object, pods, related))
    if target.belonging == "Itself":
        judged = [_asked_for_by_name(j) for j in judged]
    return _resolution(cluster, judged, wanted, 0)


def resolve_found(cluster: str, pods: Iterable[Object], port: int | str, local: int) -> Resolution:
    """Where a port of pods that a discovery found leads, in Tilt's order of choice among equals.

    Port 0 is, in each pod, the one that it documents for the ``local`` port.
    """
    return _resolution(cluster, rank(pods, last_name=True), port, local)


def _resolution(
    cluster: str, judged: Iterable[Judged], wanted: int | str, local: int
) -> Resolution:
    found = [(j, _place(j, wanted, local)) for j in judged]
    endpoints = tuple(
        Endpoint(
            f"{place.uid}:{place.port}",
            PodAddress(
                cluster, j.pod["metadata"].get("namespace", ""), place.pod, place.uid, place.port
            ),
            place.state,
        )
        for j, place in found
        if place.port and place.state != "Unready"
    )
    return Resolution(endpoints, tuple(place for _, place in found))


def _asked_for_by_name(judged: Judged) -> Judged:
    """A pod that a person names may be dialled when it runs, ready or not: to see why it is not."""
    if judged.state != "Unready" or not running(judged.pod):
        return judged
    return replace(judged, state="Active", reason=f"{judged.reason}; asked for by name")


def _place(judged: Judged, wanted: int | str, local: int) -> Place:
    try:
        port = container_port(judged.pod, wanted) or documented_port(judged.pod, local)
    except UserError as error:
        state: State = "Draining" if judged.state == "Draining" else "Unready"
        return Place(judged.name, judged.uid, 0, state, error.message)
    return Place(judged.name, judged.uid, port, judged.state, judged.reason)
