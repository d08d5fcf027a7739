"""Runs one pod from its assignment to its end, and writes its status.

In order: a sandbox, the containers, and when the pod is deleted SIGTERM, the grace period, SIGKILL,
the sandbox' slow end, and at last the object itself. ``kubelet`` owns one of these a pod.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ferryman.api.client import ObjectClient, Preconditions
from ferryman.api.resource import Object, name_of
from ferryman.api.status import ApiError, NotFound, StaleVersion
from ferryman.controllers.recording import Recorder
from ferryman.demo.kinds import PODS
from ferryman.demo.kubelet.container import Container
from ferryman.demo.kubelet.sandbox import Sandbox
from ferryman.demo.kubelet.status import pod_status
from ferryman.demo.network import Network
from ferryman.runtime.clock import Clock

COMPONENT = "kubelet"


class PodRunner:
    """One pod; ``sandbox`` and ``containers`` are there for the wires and the logs."""

    def __init__(
        self,
        client: ObjectClient,
        clock: Clock,
        recorder: Recorder,
        network: Network,
        pod: Object,
    ) -> None:
        self.pod = pod
        self.sandbox = Sandbox(network)
        self._client = client
        self._clock = clock
        self._recorder = recorder
        self._host_ip = network.node_ip
        self._started = clock.now()
        self._deleted = asyncio.Event()
        self._vanished = False
        self._dirty = asyncio.Event()
        self.containers = {
            spec["name"]: Container(
                clock, pod, spec, self.sandbox, changed=self._dirty.set, tell=self._tell
            )
            for spec in pod["spec"]["containers"]
        }

    @property
    def uid(self) -> str:
        """The pod's uid: a successor of the same name is another pod."""
        return str(self.pod["metadata"]["uid"])

    def update(self, pod: Object) -> None:
        """The pod's object changed."""
        self.pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self._deleted.set()

    def vanish(self) -> None:
        """The object is gone already (``kubectl delete --force``): there is no grace."""
        self._vanished = True
        self._deleted.set()
        for container in self.containers.values():
            container.kill()

    async def run(self) -> None:
        """Until the pod is gone. Cancellation kills its processes."""
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write_statuses())
                if not self._deleted.is_set():
                    await self._run_containers()
                await self._stop_containers()
                await self.sandbox.tear_down(self._clock)
                writing.cancel()
            await self._remove()
        finally:
            for container in self.containers.values():
                container.kill()
            for container in self.containers.values():
                await container.ended()
            self.sandbox.release()

    async def _run_containers(self) -> None:
        """Until the pod is to go; what runs then is left running."""
        self._dirty.set()
        async with asyncio.TaskGroup() as tasks:
            keeping = [tasks.create_task(c.keep_running()) for c in self.containers.values()]
            await self._deleted.wait()
            for task in keeping:
                task.cancel()

    async def _stop_containers(self) -> None:
        grace = 0.0 if self._vanished else float(self._grace())
        async with asyncio.TaskGroup() as tasks:
            for name, container in self.containers.items():
                if container.pid is not None:
                    tasks.create_task(self._tell("Killing", f"Stopping container {name}", False))
                    tasks.create_task(container.stop(grace))

    def _grace(self) -> int:
        grace = self.pod["metadata"].get("deletionGracePeriodSeconds")
        return 30 if grace is None else int(grace)

    async def _write_statuses(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if not self._vanished:
                await self._write_status()

    async def _write_status(self) -> None:
        """The status as it is now, unless the name is another pod's meanwhile."""
        name = name_of(self.pod)
        while True:
            try:
                fresh = await self._client.get(PODS, name.name, name.namespace)
                if fresh["metadata"]["uid"] != self.uid:
                    return
                status = self._status(fresh)
                if status != fresh.get("status"):
                    fresh["status"] = status
                    await self._client.update(PODS, fresh, subresource="status", manager=COMPONENT)
                return
            except StaleVersion:
                continue
            except NotFound:
                return

    def _status(self, pod: Object) -> Object:
        return pod_status(
            pod,
            [replace(container.state) for container in self.containers.values()],
            host_ip=self._host_ip,
            pod_ip=self.sandbox.ip,
            start=self._started,
            now=self._clock.now(),
        )

    async def _remove(self) -> None:
        if self._vanished:
            return
        name = name_of(self.pod)
        try:
            await self._client.delete(
                PODS,
                name.name,
                name.namespace,
                preconditions=Preconditions(uid=self.uid),
                grace_seconds=0,
            )
        except ApiError:
            return  # somebody else was faster: it is gone, or it is another pod's name

    async def _tell(self, reason: str, message: str, warning: bool) -> None:
        await self._recorder.record(COMPONENT, self.pod, reason, message, warning=warning)
