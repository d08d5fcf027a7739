"""Carries out ``endpointslice_plan``: keeps one slice for every service with a selector."""

from __future__ import annotations

from ferryman.api.client import ObjectClient
from ferryman.api.resource import Name
from ferryman.api.status import NotFound
from ferryman.demo.controllers.endpointslice_plan import plan, slice_name
from ferryman.demo.kinds import ENDPOINT_SLICES, PODS, SERVICES
from ferryman.reconcile import Result

COMPONENT = "endpointslice-controller"


class EndpointSliceReconciler:
    """Its requests are services."""

    def __init__(self, client: ObjectClient) -> None:
        self._client = client

    async def reconcile(self, name: Name) -> Result | None:
        """Make one service's slice what its pods say."""
        try:
            service = await self._client.get(SERVICES, name.name, name.namespace)
        except NotFound:
            return None  # the garbage collector takes the slice
        if not service["spec"].get("selector"):
            return None
        pods = await self._client.list(PODS, name.namespace)
        wanted = plan(service, pods.items)
        try:
            have = await self._client.get(ENDPOINT_SLICES, slice_name(service), name.namespace)
        except NotFound:
            await self._client.create(ENDPOINT_SLICES, wanted, manager=COMPONENT)
            return None
        changed = {**have, **{key: wanted[key] for key in ("endpoints", "ports")}}
        if changed != have:
            await self._client.update(ENDPOINT_SLICES, changed, manager=COMPONENT)
        return None
