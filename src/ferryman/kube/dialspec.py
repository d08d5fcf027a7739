"""From a target and its pods to the endpoints that the data plane dials; pure.

``resolve`` joins ``targets`` (whose pods, which port) with ``pods`` (which of them, and why). What
becomes no endpoint is listed too, with the reason, because status has to say it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ferryman.api.resource import Object
from ferryman.dataplane.contract import Endpoint, PodAddress
from ferryman.errors import UserError
from ferryman.kube.pods import Judged, State, rank
from ferryman.kube.targets import Target, container_port, pods_of, target_port


@dataclass(frozen=True, slots=True)
class Place:
    """One pod of the target as status shows it; ``port`` is 0 if it could not be resolved."""

    pod: str
    uid: str
    port: int
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where one port of a target leads now; both in order of choice, the best first.

    ``endpoints`` are for the data plane: pods that may be dialled are Active; those that may not
    but perhaps have connections (going away, or running and not ready) are Draining.
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
    replica_sets: Iterable[Object] | None = None,
) -> Resolution:
    """Where ``port`` of the target leads.

    Raises UserError if no pod could help: the service has no such port, or has no selector. A
    port that one pod lacks (during a rollout that renames it) only concerns that pod.
    """
    wanted = target_port(target_object, port)
    judged = rank(pods_of(target, target_object, pods, replica_sets))
    places = tuple(_place(j, wanted) for j in judged)
    endpoints = tuple(
        Endpoint(
            f"{place.uid}:{place.port}",
            PodAddress(cluster, target.namespace, place.pod, place.uid, place.port),
            "Active" if place.state == "Active" else "Draining",
        )
        for place, j in zip(places, judged, strict=True)
        if place.port and _may_have_connections(j.pod)
    )
    return Resolution(endpoints, places)


def _place(judged: Judged, wanted: int | str) -> Place:
    try:
        port = container_port(judged.pod, wanted)
    except UserError as error:
        state: State = "Draining" if judged.state == "Draining" else "Unready"
        return Place(judged.name, judged.uid, 0, state, error.message)
    return Place(judged.name, judged.uid, port, judged.state, judged.reason)


def _may_have_connections(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running"
