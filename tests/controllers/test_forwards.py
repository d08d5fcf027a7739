"""Forwards as ports of a Relay: which is which after an edit; and back as their status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ferryman.api.conditions import Condition
from ferryman.api.kinds.portforward import Forward, ForwardStatus
from ferryman.api.kinds.relay import Listen, Port, PortStatus, RelayStatus
from ferryman.controllers.forwards import Hosts, forward_statuses, relay_ports

HOSTS: Hosts = {"": ("127.0.0.1", "::1"), "::1": ("::1",), "nowhere": "no such host"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def fw(local: int, container: int, host: str = "") -> Forward:
    return Forward(local_port=local, container_port=container, host=host)


def ports(*forwards: Forward, before: tuple[Port, ...] = ()) -> tuple[Port, ...]:
    return tuple(p for p in relay_ports(forwards, HOSTS, before) if p is not None)


EDITS: list[tuple[str, list[Forward], list[Forward], list[int]]] = [
    # what was, what is, and which of the former ports (from 1) each is now; others are new
    ("nothing", [fw(1, 10), fw(2, 20)], [fw(1, 10), fw(2, 20)], [1, 2]),
    ("turned round", [fw(1, 10), fw(2, 20)], [fw(2, 20), fw(1, 10)], [2, 1]),
    ("the first is removed", [fw(1, 10), fw(2, 20)], [fw(2, 20)], [2]),
    ("one comes before", [fw(1, 10)], [fw(2, 20), fw(1, 10)], [2, 1]),
    ("a container port", [fw(1, 10), fw(2, 20)], [fw(1, 11), fw(2, 20)], [1, 2]),
    ("a local port", [fw(1, 10), fw(2, 20)], [fw(3, 10), fw(2, 20)], [1, 2]),
    ("a host", [fw(1, 10), fw(2, 20)], [fw(1, 10, "::1"), fw(2, 20)], [1, 2]),
    ("local ports swapped", [fw(1, 10), fw(2, 20)], [fw(2, 10), fw(1, 20)], [2, 1]),
    ("a random one's container port", [fw(0, 10), fw(0, 20)], [fw(0, 10), fw(0, 21)], [1, 2]),
    ("of random ones the first is removed", [fw(0, 10), fw(0, 20)], [fw(0, 20)], [2]),
    ("a random one gets a number", [fw(0, 10)], [fw(8, 10)], [1]),
    ("another altogether", [fw(1, 10)], [fw(2, 20)], [2]),
    ("one removed, another added", [fw(1, 10), fw(2, 20)], [fw(2, 20), fw(3, 30)], [2, 3]),
]


@pytest.mark.parametrize(("was", "now", "same"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS])
def test_after_an_edit_each_is(was: list[Forward], now: list[Forward], same: list[int]) -> None:
    before = ports(*was)
    assert [p.name for p in before] == [f"forward-{i}" for i in range(1, len(was) + 1)]
    after = ports(*now, before=before)
    assert [p.name for p in after] == [f"forward-{i}" for i in same]
    assert [(p.listen.port, p.target_port) for p in after] == [
        (f.local_port, f.container_port) for f in now
    ]
    assert ports(*now, before=after) == after


def test_a_forward_whose_host_is_nowhere_has_no_port_and_spares_the_others() -> None:
    found = relay_ports([fw(1, 10, "nowhere"), fw(2, 20), fw(3, 30, "never looked up")], HOSTS, ())
    assert found == (
        None,
        Port(name="forward-1", listen=Listen(hosts=("127.0.0.1", "::1"), port=2), target_port=20),
        None,
    )


@pytest.mark.parametrize(("written", "path"), [("", ""), ("a", "/a"), ("/a", "/a")])
def test_a_path_begins_with_a_slash(written: str, path: str) -> None:
    forward = Forward(local_port=1, container_port=1, path=written)
    assert ports(forward)[0].path == path


def said(*statuses: PortStatus, **conditions: str) -> RelayStatus:
    return RelayStatus(
        ports=statuses,
        conditions=tuple(
            Condition(type=kind, status="False", reason=reason, message=f"{reason}!")
            for kind, reason in conditions.items()
        ),
    )


def told(
    forwards: list[Forward],
    relay: RelayStatus | None,
    before: tuple[ForwardStatus, ...] = (),
    trouble: str = "",
    now: datetime = NOW,
) -> tuple[ForwardStatus, ...]:
    known = ports(*forwards)
    return forward_statuses(forwards, HOSTS, known, relay, before, trouble, now)


LISTENS = PortStatus(name="forward-1", addresses=("127.0.0.1:41000", "[::1]:41000"), port=41000)


def test_a_forward_began_when_it_was_bound_and_keeps_the_time() -> None:
    first = told([fw(0, 10)], said(LISTENS))
    assert first == (
        ForwardStatus(
            local_port=41000,
            container_port=10,
            addresses=("127.0.0.1", "::1"),
            started_at="2026-01-01T00:00:00.000000Z",
        ),
    )
    later = NOW + timedelta(seconds=1)
    assert told([fw(0, 10)], said(LISTENS), first, now=later) == first
    [unbound] = told([fw(0, 10)], said(PortStatus(name="forward-1", error="taken")), first)
    assert (unbound.started_at, unbound.error, unbound.local_port) == ("", "taken", 0)
    [again] = told([fw(0, 10)], said(LISTENS), (unbound,), now=later)
    assert again.started_at == "2026-01-01T00:00:01.000000Z"


TROUBLES = [
    ("none", said(LISTENS), "", ""),
    ("its own", said(PortStatus(name="forward-1", error="own"), TargetReady="NoPods"), "", "own"),
    ("the pod's", said(LISTENS, TargetReady="NoReadyPod"), "", "NoReadyPod!"),
    ("the cluster's first", said(LISTENS, TargetReady="NoPods", Reachable="Away"), "", "Away!"),
    ("another port's dial", said(LISTENS, Reachable="DialRefused"), "", ""),
    ("suspended", said(LISTENS, Bound="Suspended", TargetReady="NoPods"), "", "Suspended!"),
    ("a claim says it by itself", said(LISTENS, Bound="PortClaimed"), "", ""),
    ("of all", said(LISTENS), "no cluster", "no cluster"),
    ("no relay", None, "no cluster", "no cluster"),
]


@pytest.mark.parametrize(
    ("relay", "trouble", "error"), [t[1:] for t in TROUBLES], ids=[t[0] for t in TROUBLES]
)
def test_the_error_is(relay: RelayStatus | None, trouble: str, error: str) -> None:
    [status] = told([fw(0, 10)], relay, trouble=trouble)
    assert status.error == error


def test_a_hosts_trouble_comes_first() -> None:
    [status] = told([fw(1, 10, "nowhere")], said(TargetReady="NoPods"))
    assert (status.error, status.local_port, status.addresses) == ("no such host", 1, ())
