"""A forward in the foreground: one Relay in a store of this process, and whoever carries it out.

``wiring`` brings the parts together; here is what a verb does with them: make the relay, wait
until it is bound and resolved or clearly never will be, tell an observer what goes on, and stop
in good order. ``cli.forward`` parses and speaks.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from ferryman.access.kubeconfig import Access
from ferryman.api.conditions import find_condition
from ferryman.api.kinds.relay import (
    RELAYS,
    Hold,
    Listen,
    Port,
    RelaySpec,
    RelayStatus,
    Target,
    Workload,
    new_relay,
    status_of,
)
from ferryman.api.resource import Name
from ferryman.api.status import Forbidden
from ferryman.apiclient.informer import Informer
from ferryman.daemon.wiring import InProcess, in_process
from ferryman.dataplane.contract import Event
from ferryman.errors import FerrymanError, UserError
from ferryman.kube import rbac, targets
from ferryman.runtime.tasks import sleep_unless

DRAIN = 3.0
"""Seconds that open connections get to end by themselves when the forward stops."""
WORTH_A_LINE = 1.1
"""Seconds of draining after which somebody is told. A pod's node ends what a client has ended
after 1 s (portforward-wire.md), so that is the usual time."""
LOOK = 1.0
"""Seconds between two looks at the status while it does not change."""

_FATAL = {
    "Bound": ("AddressInUse", "NotBound", "PortClaimed"),
    "TargetReady": ("TargetNotFound", "PortNotFound", "NoSelector"),
    "Reachable": ("ClusterUnreachable", "Unauthorized", "Forbidden"),
}
"""What ends a forward that has not begun yet. Later, all of it may heal."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to forward: ``ports`` are pairs of local and remote.

    Local 0 is a random port; None is the number behind the remote name. ``hold`` is a duration.
    """

    target: targets.Target
    ports: tuple[tuple[int | None, int | str], ...]
    hosts: tuple[str, ...]
    hold: str = "30s"


class Observer(Protocol):
    """Who is told; every method returns at once."""

    def forwarding(self, status: RelayStatus) -> None:
        """The ports are bound and resolved; called once."""
        ...

    def status(self, status: RelayStatus) -> None:
        """The relay's status, when it changed and now and then."""
        ...

    def event(self, event: Event) -> None:
        """Something happened in the data plane."""
        ...

    def draining(self, connections: int) -> None:
        """It stops, and so many connections are still open."""
        ...


class Stopping(Protocol):
    """When to stop: ``stopping`` in good order, ``now`` at once."""

    stopping: asyncio.Event
    now: asyncio.Event


async def forward(access: Access, wish: Wish, observer: Observer, stop: Stopping) -> None:
    """Forward until told to stop.

    Raises FerrymanError if it cannot begin: an address is taken, the target or its port does not
    exist, the cluster does not answer or refuses.
    """
    try:
        async with in_process(access, observer.event) as parts, asyncio.TaskGroup() as group:
            following = group.create_task(_follow(parts, access, wish, observer))
            await stop.stopping.wait()
            await _wind_down(parts, observer, stop)
            following.cancel()
    except BaseExceptionGroup as errors:
        raise _cause(errors) from None


def _cause(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a person can do something about, out of the groups that it came in."""
    ours, others = errors.split(FerrymanError)
    if ours is None or others is not None:
        return errors
    first: BaseException = ours
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


async def _follow(parts: InProcess, access: Access, wish: Wish, observer: Observer) -> None:
    """Make the relay and tell the observer its status, at every change and every ``LOOK`` seconds;
    until cancelled.
    """
    spec = await _spec(parts, access, wish)
    name = wish.target.name
    informer = Informer(parts.relays, RELAYS, clock=parts.clock)
    changed = asyncio.Event()
    informer.subscribe(lambda _: changed.set())
    begun = False
    async with asyncio.TaskGroup() as group:
        group.create_task(informer.run())
        await parts.relays.create(RELAYS, new_relay(name, spec), manager="ferry-forward")
        while True:
            await sleep_unless(parts.clock, LOOK, changed)
            changed.clear()
            relay = informer.objects.get(Name(name))
            if relay is None:
                continue
            status = status_of(relay)
            if not begun:
                _check(status)
                begun = _is_forwarding(status)
                if begun:
                    observer.forwarding(status)
            observer.status(status)


async def _spec(parts: InProcess, access: Access, wish: Wish) -> RelaySpec:
    target = wish.target
    ports = []
    for number, (local, remote) in enumerate(wish.ports, start=1):
        if local is None:
            local = await _local_port(parts, target, str(remote))
        listen = Listen(hosts=wish.hosts, port=local)
        ports.append(Port(name=f"port-{number}", listen=listen, target_port=remote))
    workload = Workload(
        cluster=access.context_name, namespace=target.namespace, kind=target.kind, name=target.name
    )
    return RelaySpec(
        ports=tuple(ports), target=Target(workload=workload), hold=Hold(timeout=wish.hold)
    )


async def _local_port(parts: InProcess, target: targets.Target, remote: str) -> int:
    """The number behind a port's name, as kubectl has it: a service's own, else the pods'."""
    try:
        found = await parts.cluster.get(target.resource, target.name, target.namespace)
    except Forbidden as error:
        raise rbac.explain(error, rbac.needed(target)) from error
    if target.kind == "service":
        ports = (found.get("spec") or {}).get("ports") or ()
        number = next((int(p["port"]) for p in ports if p.get("name") == remote), None)
        if number is not None:
            return number
    template = found if target.kind == "pod" else (found.get("spec") or {}).get("template") or {}
    return targets.resolve_port(found, {**template, "metadata": found["metadata"]}, remote)


def _check(status: RelayStatus) -> None:
    for kind, fatal in _FATAL.items():
        condition = find_condition(status.conditions, kind)
        if condition is not None and condition.status == "False" and condition.reason in fatal:
            if kind == "Bound":
                raise UserError(condition.message, "choose another local port, or end that process")
            message, _, hint = condition.message.partition("; ")
            raise UserError(message, hint)


def _is_forwarding(status: RelayStatus) -> bool:
    bound = find_condition(status.conditions, "Bound")
    target = find_condition(status.conditions, "TargetReady")
    return (
        bound is not None
        and bound.status == "True"
        and target is not None
        and target.status != "Unknown"
        and all(port.target_port for port in status.ports)
    )


async def _wind_down(parts: InProcess, observer: Observer, stop: Stopping) -> None:
    """Stop accepting and let what is open end; a second request ends it at once."""
    async with asyncio.TaskGroup() as tasks:
        gently = tasks.create_task(parts.dataplane.stop(DRAIN))
        insisted = tasks.create_task(stop.now.wait())
        both = (gently, insisted)
        await asyncio.wait(both, timeout=WORTH_A_LINE, return_when=asyncio.FIRST_COMPLETED)
        if not gently.done() and not insisted.done():
            counters = parts.dataplane.counters().values()
            observer.draining(sum(counted.open for counted in counters))
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        insisted.cancel()
        if not gently.done():
            await parts.dataplane.stop(0)
