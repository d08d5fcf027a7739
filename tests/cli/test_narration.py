from typing import Literal

from ferryman.api.conditions import Condition
from ferryman.api.kinds.relay import EndpointState, EndpointStatus, RelayStatus
from ferryman.cli.narration import AGAIN, Narrator
from ferryman.dataplane.contract import Closed, DialFailed, Opened

Place = tuple[str, EndpointState, str]


def status(
    *endpoints: Place,
    ready: str = "",
    reachable: tuple[str, str] = ("Reachable", ""),
) -> RelayStatus:
    """Endpoints as (pod, state, reason); ``ready`` says why the target is not."""
    said: Literal["True", "False"] = "False" if ready else "True"
    return RelayStatus(
        endpoints=tuple(
            EndpointStatus(pod=pod, uid=f"u-{pod}", port=80, state=state, reason=reason)
            for pod, state, reason in endpoints
        ),
        conditions=(
            Condition(type="TargetReady", status=said, message=ready),
            Condition(
                type="Reachable",
                status="True" if reachable[0] == "Reachable" else "False",
                reason=reachable[0],
                message=reachable[1],
            ),
        ),
    )


def narrator() -> Narrator:
    return Narrator("deployment/web", "30s")


WEB1 = status(("web-1", "Active", "ready"))


def failed(
    kind: str, message: str = "connection refused", *, final: bool = False, pod: str = "web-1"
) -> DialFailed:
    return DialFailed("r/main", 1, f"u-{pod}:80" if pod else "", kind, message, final)


def closed(reset: str = "", down: int = 0) -> Closed:
    return Closed("r/main", 1, "u-web-1:80", 10, down, 1.0, reset)


def test_nothing_is_said_while_all_is_well() -> None:
    tell = narrator()
    assert tell.status(WEB1, 0) == []
    assert tell.event(Opened("r/main", 1, "client", "u-web-1:80", 0.0, 0), 1) == []
    assert tell.event(closed(down=5), 2) == []
    assert tell.status(WEB1, 3) == []


def test_a_pod_is_replaced() -> None:
    tell = narrator()
    tell.status(WEB1, 0)
    going: Place = ("web-1", "Draining", "going away")
    assert tell.status(status(going, ready="pod/web-1 is going away"), 1) == [
        "web-1 is going away",
        "no ready pod for deployment/web: connections wait (up to 30s); pod/web-1 is going away",
    ]
    starting: Place = ("web-2", "Unready", "not ready: container app is starting")
    assert tell.status(status(starting, going, ready="pod/web-2 is not ready"), 2) == []
    assert tell.status(status(("web-2", "Active", "ready"), going), 3) == [
        "now forwarding to web-2"
    ]
    assert tell.status(status(("web-2", "Active", "ready")), 4) == []


def test_a_rolling_update_hands_over() -> None:
    tell = narrator()
    tell.status(WEB1, 0)
    both = status(("web-2", "Active", "ready, newest"), ("web-1", "Active", "ready"))
    assert tell.status(both, 1) == ["now forwarding to web-2"]
    after = status(("web-2", "Active", "ready"), ("web-1", "Draining", "going away"))
    assert tell.status(after, 2) == ["web-1 is going away"]
    assert tell.status(status(("web-2", "Active", "ready")), 3) == []


def test_a_pod_that_is_deleted_between_two_looks_is_missed_all_the_same() -> None:
    tell = narrator()
    tell.status(WEB1, 0)
    assert tell.status(status(("web-2", "Active", "ready")), 1) == [
        "web-1 is going away",
        "now forwarding to web-2",
    ]


def test_a_pod_that_is_no_longer_ready_is_no_longer_used() -> None:
    tell = narrator()
    tell.status(WEB1, 0)
    why = "not ready: container app ended with exit code 137"
    assert tell.status(status(("web-1", "Unready", why), ready=f"pod/web-1 is {why}"), 1)[0] == (
        f"web-1 is {why}"
    )
    assert tell.status(WEB1, 2) == ["now forwarding to web-1"]


def test_a_wait_that_goes_on_is_explained_again_when_the_reason_changes() -> None:
    tell = narrator()
    assert tell.status(status(ready="deployment/web has no pods"), 0) == [
        "no ready pod for deployment/web: connections wait (up to 30s); deployment/web has no pods"
    ]
    why = "pod/web-1 is not ready: container app waiting ImagePullBackOff"
    pulling = status(ready=why)
    assert tell.status(pulling, AGAIN - 1) == []
    assert tell.status(pulling, AGAIN + 1) == [f"still no ready pod for deployment/web: {why}"]
    assert tell.status(pulling, 100) == []


def test_a_cluster_goes_and_comes_back() -> None:
    tell = narrator()
    tell.status(WEB1, 0)
    gone = status(
        ("web-1", "Active", "ready"), reachable=("ClusterUnreachable", "cannot reach the cluster")
    )
    assert tell.status(gone, 1) == ["cannot reach the cluster: the pods known so far stay in use"]
    assert tell.status(gone, 2) == []
    assert tell.status(WEB1, 3) == ["the cluster can be reached again"]


def test_a_refusal_is_said_when_it_goes_on_and_then_now_and_then() -> None:
    tell = narrator()
    tell.status(WEB1, 0)
    lines = [tell.event(failed("refused"), t / 10) for t in range(100)]
    said = [(t / 10, line) for t, found in enumerate(lines) for line in found]
    assert said == [
        (1.0, "web-1 refuses connections on port 80; trying again"),
        (6.0, "web-1 refuses connections on port 80; trying again (and 49 more like it)"),
    ]


def test_other_failures_are_told_in_the_words_of_who_failed() -> None:
    tell = narrator()
    tell.status(WEB1, 0)
    assert tell.event(failed("unavailable", "no route to host", final=True), 0) == [
        "a connection was reset: web-1: no route to host"
    ]


def test_a_refusal_that_passes_is_not_said_and_an_old_one_is_forgotten() -> None:
    tell = narrator()
    tell.status(WEB1, 0)
    assert [tell.event(failed("refused"), at) for at in (0, 0.5, 20, 20.5)] == [[]] * 4


def test_an_answer_ends_the_episode() -> None:
    tell = narrator()
    tell.status(WEB1, 0)
    assert tell.event(failed("refused"), 0) == []
    assert tell.event(Opened("r/main", 1, "client", "u-web-1:80", 0.0, 0), 1) == []
    assert tell.event(failed("refused"), 2) == []


def test_a_reset_is_said_with_its_cause_unless_the_client_caused_it() -> None:
    tell = narrator()
    tell.status(WEB1, 0)
    assert tell.event(closed("the pod ended the connection while it was going away"), 1) == [
        "a connection to web-1 was reset: the pod ended the connection while it was going away"
    ]
    assert tell.event(closed("the client is gone: connection reset by peer"), 2) == []
    assert tell.event(failed("held", "no endpoint within 30 s", final=True, pod=""), 3) == [
        "a connection waited 30s for deployment/web: reset"
    ]
    assert tell.event(failed("full", "too many wait already", final=True, pod=""), 4) == [
        "a connection was reset: too many wait already"
    ]
