"""Carries out ``statefulset_plan``: creates and deletes pods by their ordinals, writes status."""

from __future__ import annotations

from contextlib import suppress

from ferryman.api.resource import Name, Object
from ferryman.api.status import AlreadyExists, NotFound
from ferryman.demo.controllers.objects import owned_by, pod_of
from ferryman.demo.controllers.reconciler import Reconciler
from ferryman.demo.controllers.statefulset_plan import INDEX, POD_NAME, REVISION, plan
from ferryman.demo.kinds import PODS, STATEFUL_SETS
from ferryman.reconcile import Result

COMPONENT = "statefulset-controller"


class StatefulSetReconciler(Reconciler):
    """Its requests are stateful sets."""

    async def reconcile(self, name: Name) -> Result | None:
        """Take the next step towards one stateful set's pods."""
        try:
            stateful_set = await self.client.get(STATEFUL_SETS, name.name, name.namespace)
        except NotFound:
            return None
        listed = await self.client.list(PODS, name.namespace)
        todo = plan(stateful_set, owned_by(listed.items, stateful_set), self.clock.now())
        for ordinal in todo.create:
            await self._create(stateful_set, ordinal, todo.revision)
        for pod in todo.delete:
            await self._delete(stateful_set, pod)
        with suppress(NotFound):
            await self.client.apply_status(
                STATEFUL_SETS, name.name, todo.status, name.namespace, manager=COMPONENT
            )
        return None

    async def _create(self, stateful_set: Object, ordinal: int, revision: str) -> None:
        name = f"{stateful_set['metadata']['name']}-{ordinal}"
        labels = {REVISION: revision, INDEX: str(ordinal), POD_NAME: name}
        pod = pod_of(stateful_set, STATEFUL_SETS, labels)
        pod["metadata"]["name"] = name
        pod["spec"].setdefault("hostname", name)
        pod["spec"].setdefault("subdomain", stateful_set["spec"].get("serviceName", ""))
        with suppress(AlreadyExists):  # a pod that is still going away: its end brings us back
            await self.client.create(PODS, pod, manager=COMPONENT)
            said = f"create Pod {name} in StatefulSet {stateful_set['metadata']['name']} successful"
            await self.recorder.record(COMPONENT, stateful_set, "SuccessfulCreate", said)

    async def _delete(self, stateful_set: Object, pod: Object) -> None:
        if await self.delete_pod(pod):
            owner = stateful_set["metadata"]["name"]
            said = f"delete Pod {pod['metadata']['name']} in StatefulSet {owner} successful"
            await self.recorder.record(COMPONENT, stateful_set, "SuccessfulDelete", said)
