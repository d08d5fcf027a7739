"""Who listens where: gives every bind address to one relay; pure.

Of all relays that want an address, the oldest has it, then the first by name; the others are told
who, and take over when it goes, suspends or moves. ``plan`` turns a lost claim into a condition,
``reconciler`` tells the data plane the winners.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ferryman.addresses import TcpAddress, UnixAddress, loopbacks, parse
from ferryman.api.kinds.relay import Port, RelaySpec
from ferryman.dataplane.contract import Applied, Bind, Bound, Listeners

_WILDCARDS = {"0.0.0.0": ".", "::": ":"}
"""What every host of a wildcard's family has in it."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """A relay as far as claims go; ``created`` is its creationTimestamp, which sorts as text."""

    name: str
    created: str
    spec: RelaySpec


@dataclass(frozen=True, slots=True)
class Claims:
    """The outcome: ``won`` is what to listen on; ``lost`` says, per listener, who has what."""

    won: Listeners
    lost: Mapping[str, Mapping[Bind, str]] = field(default_factory=dict)


def listener_of(relay: str, port: str) -> str:
    """The name of a relay's port in the data plane."""
    return f"{relay}/{port}"


def relay_of(listener: str) -> str:
    """The relay that a listener belongs to."""
    return listener.rpartition("/")[0]


def binds(relay: str, port: Port) -> tuple[Bind, ...]:
    """The addresses that a port asks for, in order; ``localhost`` and no host are both families.

    A random port is tagged with the relay's port: both families share it, and it stays.
    """
    listen = port.listen
    hosts, number = list(listen.hosts), listen.port
    if listen.address:
        address = parse(listen.address)
        if isinstance(address, UnixAddress):
            return (Bind(address),)
        hosts, number = [address.host], address.port
    tag = "" if number else listener_of(relay, port.name)
    places = [place for host in hosts or [""] for place in loopbacks(TcpAddress(host, number))]
    return tuple(Bind(place, tag) for place in dict.fromkeys(places))


def claims(relays: Iterable[Claimant]) -> Claims:
    """Who gets what; suspended relays want nothing."""
    won: dict[Bind, str] = {}
    lost: dict[str, dict[Bind, str]] = {}
    for relay in sorted(relays, key=lambda relay: (relay.created, relay.name)):
        for port in () if relay.spec.suspend else relay.spec.ports:
            listener = listener_of(relay.name, port.name)
            for bind in binds(relay.name, port):
                holder = _holder(bind, won)
                if holder is None:
                    won[bind] = listener
                else:
                    lost.setdefault(listener, {})[bind] = relay_of(holder)
    return Claims(won, lost)


def keeping(wanted: Listeners, current: Listeners, applied: Applied) -> Listeners:
    """``wanted``, and besides what the listeners that move have now.

    So the new address is bound before the old one closes, and the old one stays if it cannot be.
    ``current`` was applied last, with the outcome ``applied``. What somebody else gets is not kept.
    """
    moving = {name for bind, name in wanted.items() if not isinstance(applied.get(bind), Bound)}
    kept = {
        bind: name
        for bind, name in current.items()
        if name in moving
        and isinstance(applied.get(bind), Bound)
        and _holder(bind, wanted) in (None, name)
    }
    return {**kept, **wanted}


def _holder(bind: Bind, won: Listeners) -> str | None:
    """The listener that has an address which cannot be listened on beside this one."""
    if bind in won:
        return won[bind]
    return next((name for other, name in won.items() if _overlap(bind, other)), None)


def _overlap(one: Bind, other: Bind) -> bool:
    """Whether both want the same address; random ports never meet."""
    a, b = one.address, other.address
    if not (isinstance(a, TcpAddress) and isinstance(b, TcpAddress)):
        return a == b
    if a.port != b.port or a.port == 0:
        return one == other
    return a.host == b.host or _covers(a.host, b.host) or _covers(b.host, a.host)


def _covers(wildcard: str, host: str) -> bool:
    return wildcard in _WILDCARDS and _WILDCARDS[wildcard] in host
