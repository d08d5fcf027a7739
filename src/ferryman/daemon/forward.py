"""A forward in the foreground: a Relay for each wish in a store of this process, and whoever
carries them out.

``wiring`` brings the parts together; here is what a verb or the library does with them: make the
relays, wait until they are bound and resolved or clearly never will be (``near`` says what may have
been meant), tell an observer what goes on, and stop in good order. ``cli.forward`` parses and
speaks.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from ferryman.access.credentials import CredentialFailed
from ferryman.access.kubeconfig import Access
from ferryman.api.conditions import find_condition, set_condition
from ferryman.api.kinds.relay import (
    RELAYS,
    Balance,
    Hold,
    Inspect,
    Listen,
    Port,
    RelaySpec,
    RelayStatus,
    Target,
    Workload,
    new_relay,
    status_of,
)
from ferryman.api.resource import Name, Object, Resource
from ferryman.api.status import Forbidden, NotFound, is_busy
from ferryman.apiclient.informer import Informer
from ferryman.controllers.relay.claims import relay_of
from ferryman.daemon.near import near_names
from ferryman.daemon.wiring import InProcess, in_process
from ferryman.dataplane.contract import Event, Observe
from ferryman.dataplane.threaded import Inspector
from ferryman.errors import FerrymanError, Unavailable, UserError
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
    "TargetReady": ("KindNotFound", "TargetNotFound", "PortNotFound", "NoSelector"),
    "Reachable": ("ClusterUnreachable", "CredentialFailed", "Unauthorized", "Forbidden"),
}
"""What ends a forward that has not begun yet. Later, all of it may heal. ClusterBusy is not among
them: a server that answers 503 will do so for a moment, and kubectl asks again, too."""
_AWAITED = ("TargetNotFound", "ClusterUnreachable")
"""What ``--wait`` waits for."""


class Wish(Struct, frozen=True):
    """What to forward: ``ports`` are pairs of local and remote.

    Local 0 is a random port; None is the number behind the remote name. ``hold`` is a duration.
    With ``wait`` it is no error that a target does not exist yet, or that nothing answers where
    the cluster is to be; with ``running_timeout`` it is one if no pod is ready within so many
    seconds. With an ``address``, such as the path of a UNIX socket, that is listened on instead of
    hosts and the local port.
    """

    target: targets.Target
    ports: tuple[tuple[int | None, int | str], ...]
    hosts: tuple[str, ...]
    hold: str = "30s"
    balance: Balance = "Newest"
    wait: bool = False
    running_timeout: float | None = None
    address: str = ""
    faults: tuple[str, ...] = ()
    inspect: Observe = "Off"


class Observer(Protocol):
    """Who is told; every method returns at once. ``wish`` is one of those that were given."""

    def forwarding(self, wish: Wish, status: RelayStatus) -> None:
        """The ports of a wish are bound and resolved; called once for each."""
        ...

    def status(self, wish: Wish, status: RelayStatus) -> None:
        """The relay's status, when it changed and now and then."""
        ...

    def event(self, wish: Wish | None, event: Event) -> None:
        """Something happened in the data plane; ``wish`` is None if it concerns them all."""
        ...

    def draining(self, connections: int) -> None:
        """It stops, and so many connections are still open."""
        ...


class Stopping(Protocol):
    """When to stop: ``stopping`` in good order, ``now`` at once."""

    stopping: asyncio.Event
    now: asyncio.Event


async def forward(
    access: Access,
    wishes: Sequence[Wish],
    observer: Observer,
    stop: Stopping,
    *,
    trace: bool = False,
    inspector: Inspector | None = None,
) -> None:
    """Forward until told to stop. With ``trace`` the observer hears every frame, as Traced; the
    ``inspector`` is started for wishes that are inspected.

    Raises FerrymanError if it cannot begin: an address is taken, a target or its port does not
    exist, the cluster does not answer or refuses.
    """
    relays = relay_names(wishes)
    by_name = {name: wish for wish, name in relays.items()}

    def happened(event: Event) -> None:
        listener = getattr(event, "listener", "")
        observer.event(by_name.get(relay_of(listener)) if listener else None, event)

    try:
        async with (
            in_process(access, happened, trace=trace, inspector=inspector) as parts,
            asyncio.TaskGroup() as group,
        ):
            following = group.create_task(_follow(parts, access, relays, observer))
            await stop.stopping.wait()
            await _wind_down(parts, observer, stop)
            following.cancel()
    except BaseExceptionGroup as errors:
        raise innermost(errors) from None


def relay_names(wishes: Sequence[Wish]) -> dict[Wish, str]:
    """A name for each wish's relay: that of its target, numbered if another has it already."""
    names: dict[Wish, str] = {}
    for number, wish in enumerate(wishes, start=1):
        called = (wish.target.name or wish.target.selector).lower()
        name = re.sub(r"[^a-z0-9.-]+", "-", called).strip("-.") or "forward"
        names[wish] = f"{name}-{number}" if name in names.values() else name
    return names


def innermost(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a person can do something about, out of the groups that it came in."""
    ours, others = errors.split(FerrymanError)
    if ours is None or others is not None:
        return errors
    first: BaseException = ours
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


async def _follow(
    parts: InProcess, access: Access, relays: Mapping[Wish, str], observer: Observer
) -> None:
    """Make the relays and tell the observer their status, at every change and every ``LOOK``
    seconds; until cancelled.
    """
    specs = {wish: await _spec(parts, access, wish, observer) for wish in relays}
    informer = Informer(parts.relays, RELAYS, clock=parts.clock)
    changed = asyncio.Event()
    informer.subscribe(lambda _: changed.set())
    begin = parts.clock.monotonic()
    begun: set[Wish] = set()
    ready: set[Wish] = set()
    async with asyncio.TaskGroup() as group:
        group.create_task(informer.run())
        for wish, spec in specs.items():
            relay = new_relay(relays[wish], spec)
            await parts.relays.create(RELAYS, relay, manager="ferry-forward")
        while True:
            await sleep_unless(parts.clock, LOOK, changed)
            changed.clear()
            for wish, name in relays.items():
                found = informer.objects.get(Name(name))
                if found is None:
                    continue
                status = status_of(found)
                if wish not in begun:
                    await _check(parts, wish, status)
                    if _is_forwarding(wish, status):
                        begun.add(wish)
                        observer.forwarding(wish, status)
                if wish not in ready:
                    if is_so(status, "TargetReady"):
                        ready.add(wish)
                    _check_patience(wish, status, parts.clock.monotonic() - begin)
                observer.status(wish, status)


async def _spec(parts: InProcess, access: Access, wish: Wish, observer: Observer) -> RelaySpec:
    target = wish.target
    ports = []
    for number, (local, remote) in enumerate(wish.ports, start=1):
        if local is None:
            local = await _local_port(parts, wish, str(remote), observer)
        listen = Listen(hosts=wish.hosts, port=local)
        if wish.address:
            listen = Listen(address=wish.address)
        ports.append(Port(name=f"port-{number}", listen=listen, target_port=remote))
    workload = Workload(
        cluster=access.context_name,
        namespace=target.namespace,
        kind=target.kind,
        name=target.name,
        selector=target.selector,
    )
    return RelaySpec(
        ports=tuple(ports),
        target=Target(workload=workload),
        hold=Hold(timeout=wish.hold),
        balance=wish.balance,
        faults=wish.faults,
        inspect=Inspect(mode=wish.inspect),
    )


async def _local_port(parts: InProcess, wish: Wish, remote: str, observer: Observer) -> int:
    """The number behind a port's name, as kubectl has it: a service's own, else the pods'."""
    target = wish.target
    if target.selector or target.resource is None:
        raise UserError(
            f"{target} can have pods of every kind: it cannot be told which number {remote!r} is",
            f"write LOCAL:{remote}, or :{remote} for a free port",
        )
    found = await _read(parts, wish, target.resource, observer)
    if target.kind == "service":
        ports = (found.get("spec") or {}).get("ports") or ()
        number = next((int(p["port"]) for p in ports if p.get("name") == remote), None)
        if number is not None:
            return number
    template = found if target.kind == "pod" else targets.template_of(found)
    return targets.resolve_port(found, {**template, "metadata": found["metadata"]}, remote)


async def _read(parts: InProcess, wish: Wish, resource: Resource, observer: Observer) -> Object:
    """The target itself; with ``wait``, as soon as it is there. The observer is told of a status
    that there will be a relay for.
    """
    target = wish.target
    while True:
        try:
            return await parts.cluster.get(resource, target.name, target.namespace)
        except Forbidden as error:
            raise rbac.explain(error, rbac.needed(target)) from error
        except NotFound as error:
            if not wish.wait:
                raise UserError(error.message, await near_names(parts.cluster, target)) from error
            why, reason = error.message, "TargetNotFound"
        except Unavailable as error:
            away = wish.wait and not isinstance(error, CredentialFailed)
            if not is_busy(error) and not away:
                raise
            why, reason = str(error), "ClusterBusy"
        now = parts.clock.now()
        conditions = set_condition((), "Ready", False, reason, why, now=now, generation=0)
        observer.status(wish, RelayStatus(conditions=conditions))
        await parts.clock.sleep(LOOK)


async def _check(parts: InProcess, wish: Wish, status: RelayStatus) -> None:
    """Raise if this can never begin."""
    for kind, fatal in _FATAL.items():
        condition = find_condition(status.conditions, kind)
        if condition is None or condition.status != "False" or condition.reason not in fatal:
            continue
        if kind == "Bound":
            raise UserError(condition.message, "choose another local port, or end that process")
        if wish.wait and condition.reason in _AWAITED:
            continue
        message, _, hint = condition.message.partition("; ")
        if condition.reason == "TargetNotFound":
            hint = await near_names(parts.cluster, wish.target)
        elif condition.reason == "ClusterUnreachable" and not hint:
            hint = "is it running? --wait waits for it"
        raise UserError(message, hint)


def _check_patience(wish: Wish, status: RelayStatus, waited: float) -> None:
    if wish.running_timeout is None or waited < wish.running_timeout:
        return
    if not is_so(status, "TargetReady"):
        target = find_condition(status.conditions, "TargetReady")
        raise UserError(  # kubectl's words
            "timed out waiting for the condition", target.message if target is not None else ""
        )


def is_so(status: RelayStatus, kind: str) -> bool:
    """Whether a condition of the relay is True."""
    condition = find_condition(status.conditions, kind)
    return condition is not None and condition.status == "True"


def _is_forwarding(wish: Wish, status: RelayStatus) -> bool:
    if not is_so(status, "Bound"):
        return False
    found = [find_condition(status.conditions, kind) for kind in ("TargetReady", "Reachable")]
    if wish.wait and any(condition and condition.reason in _AWAITED for condition in found):
        return True
    target = found[0]
    if target is None or target.status == "Unknown":
        return False
    return all(port.target_port for port in status.ports)


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
