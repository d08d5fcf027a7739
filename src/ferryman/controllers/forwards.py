"""Tilt's forwards as the ports of a Relay, and back as their status; pure.

A PortForward and a KubernetesDiscovery's template write forwards alike. Which of a Relay's ports a
forward is matters when one is edited: its listener keeps its name, so that it keeps its random
port, binds a new address before it leaves the old one, and the others are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from ferryman.api.conditions import find_condition, rfc3339_micro
from ferryman.api.kinds.portforward import Forward, ForwardStatus
from ferryman.api.kinds.relay import Listen, Port, RelayStatus

Hosts = Mapping[str, tuple[str, ...] | str]
"""The IP addresses of each host that is written, or why there are none."""

_Same = Callable[[Port, Port], bool]


def _listens_alike(one: Port, other: Port) -> bool:
    return one.listen == other.listen


def _leads_alike(one: Port, other: Port) -> bool:
    """A view's port has been found out where the Relay's is left to the pods (0)."""
    return one.target_port == other.target_port or 0 in (one.target_port, other.target_port)


_SAME: Sequence[_Same] = (
    lambda one, other: _listens_alike(one, other) and _leads_alike(one, other),
    lambda one, other: 0 != one.listen.port == other.listen.port,
    _leads_alike,
    lambda one, other: 0 == one.listen.port == other.listen.port,
)
"""Which port of before a forward is: the surest sign first."""


def relay_ports(
    forwards: Sequence[Forward], hosts: Hosts, before: Sequence[Port]
) -> tuple[Port | None, ...]:
    """A port for each forward; None for one whose host is nowhere.

    ``before`` are the ports that the Relay has: a forward that is recognized keeps its name; one
    that is not gets a new one, or it would inherit the listener of another that was removed.
    """
    nameless = [_port(forward, hosts) for forward in forwards]
    names: dict[int, str] = {}
    for same in _SAME:
        for i, port in enumerate(nameless):
            free = (old for old in before if old.name not in names.values())
            if port is not None and i not in names:
                found = next((old.name for old in free if same(port, old)), None)
                if found is not None:
                    names[i] = found
    ports: list[Port | None] = []
    for i, port in enumerate(nameless):
        if port is not None and i not in names:
            taken = {*names.values(), *(old.name for old in before)}
            numbers = (f"forward-{n}" for n in range(1, len(forwards) + len(before) + 1))
            names[i] = next(name for name in numbers if name not in taken)
        ports.append(None if port is None else _named(port, names[i]))
    return tuple(ports)


def _port(forward: Forward, hosts: Hosts) -> Port | None:
    addresses = hosts.get(forward.host, ())
    if isinstance(addresses, str) or not addresses:
        return None
    listen = Listen(hosts=addresses, port=forward.local_port)
    return Port(listen=listen, target_port=forward.container_port, path=_path(forward.path))


def _path(text: str) -> str:
    return f"/{text}" if text and not text.startswith("/") else text


def _named(port: Port, name: str) -> Port:
    return Port(name=name, listen=port.listen, target_port=port.target_port, path=port.path)


def forward_statuses(
    forwards: Sequence[Forward],
    hosts: Hosts,
    ports: Sequence[Port],
    relay: RelayStatus | None,
    before: Sequence[ForwardStatus],
    trouble: str,
    now: datetime,
) -> tuple[ForwardStatus, ...]:
    """What each forward comes to, given the Relay's ports and status (None: there is no Relay).

    ``trouble`` is what stands in the way of all. A forward began when its addresses were bound,
    and keeps that time for as long as it has them.
    """
    said = {port.name: port for port in relay.ports} if relay is not None else {}
    common = trouble or (_trouble(relay) if relay is not None else "")
    began = {(b.local_port, b.addresses): b.started_at for b in before}
    statuses = []
    for forward, port in zip(forwards, relay_ports(forwards, hosts, ports), strict=True):
        found = said.get(port.name) if port is not None else None
        addresses = tuple(map(_host, found.addresses)) if found is not None else ()
        local = found.port if found is not None and found.port else forward.local_port
        host_trouble = hosts.get(forward.host, "")
        error = host_trouble if isinstance(host_trouble, str) else ""
        statuses.append(
            ForwardStatus(
                local_port=local,
                container_port=forward.container_port,
                addresses=addresses,
                started_at=(began.get((local, addresses)) or rfc3339_micro(now))
                if addresses
                else "",
                error=error or (found.error if found is not None else "") or common,
            )
        )
    return tuple(statuses)


def _trouble(relay: RelayStatus) -> str:
    """What is wrong for all ports; a dial that failed stands at its own port."""
    suspended = find_condition(relay.conditions, "Bound")
    if suspended is not None and suspended.reason == "Suspended":
        return suspended.message
    for kind in ("Reachable", "TargetReady"):
        found = find_condition(relay.conditions, kind)
        if found is not None and found.status == "False" and not found.reason.startswith("Dial"):
            return found.message
    return ""


def _host(address: str) -> str:
    """``127.0.0.1:8080`` and ``[::1]:8080`` without their ports, as Tilt has them."""
    return address.rpartition(":")[0].strip("[]")
