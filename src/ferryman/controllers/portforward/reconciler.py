"""Carries out what ``plan`` decides for PortForwards: a Relay each, and a status that mirrors it.

A PortForward is looked at when it, its Relay or its Cluster changes. The Relay's controller
listens and carries; ``gc`` takes the Relay away with its PortForward.
"""

from __future__ import annotations

from collections.abc import Iterator

from ferryman.api.client import ObjectClient
from ferryman.api.kinds import relay as relays
from ferryman.api.kinds.portforward import PORT_FORWARDS, PortForwardStatus, spec_of, status_of
from ferryman.api.kinds.relay import RELAYS, new_relay
from ferryman.api.resource import Name, Object
from ferryman.apiclient.informer import Informer
from ferryman.controllers.children import NotOurs, child_name, ensure_child, is_child
from ferryman.controllers.hosts import HostNames, LookUp, look_up
from ferryman.controllers.portforward.plan import (
    PREFIX,
    World,
    is_view,
    relay_name,
    status,
    wanted_relay,
)
from ferryman.controllers.writing import remove, write_status
from ferryman.reconcile import Controller, Request, Result, Watching
from ferryman.runtime.clock import Clock

MANAGER = "portforward-controller"
LOOK_UP_AGAIN = 5.0
"""Seconds until the name of a host that has no address is looked up again."""


class PortForwardController:
    """``controller`` is to be run, by a Manager that runs the three informers, too.

    With ``enabled`` False no PortForward listens, whatever objects say.
    """

    def __init__(
        self,
        client: ObjectClient,
        forwards: Informer,
        relays: Informer,
        clusters: Informer,
        clock: Clock,
        *,
        enabled: bool = True,
        look_up: LookUp = look_up,
    ) -> None:
        self._client = client
        self._forwards = forwards
        self._relays = relays
        self._clusters = clusters
        self._clock = clock
        self._enabled = enabled
        self._hosts = HostNames(clock, look_up)
        self._written: dict[str, PortForwardStatus] = {}
        sources = (
            Watching(forwards),
            Watching(relays, self._of_relay),
            Watching(clusters, self._of_cluster),
        )
        self.controller = Controller("portforward", self.reconcile, sources, clock=clock)

    async def reconcile(self, request: Request) -> Result | None:
        """Make one PortForward so."""
        forward = self._forwards.objects.get(request)
        if forward is None:
            self._written.pop(request.name, None)
            await self._remove(request.name)
            return None
        spec = spec_of(forward)
        hosts = await self._hosts.addresses(f.host for f in spec.forwards)
        world = World(
            self._clock.now(),
            self._clusters.objects.get(Name(spec.cluster)),
            self._relays.objects.get(Name(relay_name(forward))),
            hosts,
            self._enabled,
        )
        wanted = None if is_view(forward) else wanted_relay(forward, world)
        if wanted is not None:
            relay = new_relay(relay_name(forward), wanted)
            try:
                await ensure_child(
                    self._client,
                    RELAYS,
                    self._relays.objects,
                    relay,
                    forward,
                    spec_of=relays.spec_of,
                    manager=MANAGER,
                )
            except NotOurs:
                pass  # ``status`` comes to the same end and says so
        await self._write(forward, world)
        nowhere = any(isinstance(found, str) for found in hosts.values())
        return Result(LOOK_UP_AGAIN) if nowhere else None

    async def _remove(self, name: str) -> None:
        """Take the Relay away at once: ``gc`` would do it, and may be busy."""
        relay = self._relays.objects.get(Name(child_name(PREFIX, name)))
        if relay is not None and is_child(relay, PORT_FORWARDS, name):
            await remove(self._client, RELAYS, relay)

    async def _write(self, forward: Object, world: World) -> None:
        name = forward["metadata"]["name"]
        planned = status(forward, self._written.get(name) or status_of(forward), world)
        self._written[name] = planned
        await write_status(self._client, PORT_FORWARDS, forward, planned, MANAGER)

    def _of_relay(self, relay: Object) -> Iterator[Request]:
        name = relay["metadata"]["name"]
        for found, forward in self._forwards.objects.items():
            if relay_name(forward) == name:
                yield found

    def _of_cluster(self, cluster: Object) -> Iterator[Request]:
        name = cluster["metadata"]["name"]
        for found, forward in self._forwards.objects.items():
            if spec_of(forward).cluster == name:
                yield found
