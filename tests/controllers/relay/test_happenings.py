from ferryman.api.conditions import Condition
from ferryman.api.kinds.relay import EndpointState, EndpointStatus, RelayStatus
from ferryman.controllers.relay.happenings import Happening, happenings

Said = tuple[str, str, str]


def status(*conditions: Said, pods: dict[str, EndpointState] | None = None) -> RelayStatus:
    """Conditions as (type, status, reason); the message says both."""
    return RelayStatus(
        conditions=tuple(
            Condition(type=kind, status=so, reason=reason, message=f"{kind} {reason}")  # type: ignore[arg-type]  # a literal, by the tests
            for kind, so, reason in conditions
        ),
        endpoints=tuple(
            EndpointStatus(pod=pod, uid=f"u-{pod}", state=state, reason="ready")
            for pod, state in (pods or {}).items()
        ),
    )


def told(before: RelayStatus, after: RelayStatus) -> list[Happening]:
    return list(happenings(before, after))


BOUND: Said = ("Bound", "True", "Bound")


def test_a_relay_begins() -> None:
    after = status(
        BOUND, ("TargetReady", "True", "PodReady"), ("Reachable", "True", "Reachable"),
        pods={"web-1": "Active"},
    )  # fmt: skip
    assert told(RelayStatus(), after) == [
        Happening("Bound", "Bound Bound"),
        Happening("PodChosen", "connections go to pod/web-1: ready"),
    ]
    assert told(after, after) == []


def test_a_pod_is_replaced() -> None:
    one = status(("TargetReady", "True", "PodReady"), pods={"web-1": "Active"})
    none = status(("TargetReady", "False", "NoReadyPod"), pods={"web-1": "Draining"})
    two = status(("TargetReady", "True", "PodReady"), pods={"web-2": "Active", "web-1": "Draining"})
    assert told(one, none) == [
        Happening("PodLeaving", "pod/web-1 is going away: it gets no new connections"),
        Happening("NoReadyPod", "TargetReady NoReadyPod", warning=True),
    ]
    assert told(none, two) == [
        Happening("PodChosen", "connections go to pod/web-2: ready"),
        Happening("PodReady", "TargetReady PodReady"),
    ]


def test_trouble_comes_changes_and_goes() -> None:
    well = status(("Reachable", "True", "Reachable"))
    refused = status(("Reachable", "False", "DialRefused"))
    away = status(("Reachable", "False", "ClusterUnreachable"))
    assert told(well, refused) == [Happening("DialRefused", "Reachable DialRefused", warning=True)]
    assert [h.reason for h in told(refused, away)] == ["ClusterUnreachable"]
    assert told(away, well) == [Happening("Reachable", "Reachable Reachable")]


def test_what_is_not_known_yet_and_what_was_wanted_are_no_warnings() -> None:
    assert told(RelayStatus(), status(("TargetReady", "Unknown", "Resolving"))) == []
    suspended = status(("Bound", "False", "Suspended"))
    assert told(status(BOUND), suspended) == [Happening("Suspended", "Bound Suspended")]
