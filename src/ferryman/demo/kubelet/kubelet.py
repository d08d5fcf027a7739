"""The node's agent: a ``PodRunner`` for each pod that is assigned to it, by uid.

It watches pods through an informer and keeps nothing that the store does not say; what runs is
looked up here by the wires (``portforward``) and by ``logs``.
"""

from __future__ import annotations

import os
import signal

from ferryman.api.client import Added, Deleted, Modified, ObjectClient, WatchEvent
from ferryman.api.resource import Name, Object, name_of
from ferryman.api.status import NotFound
from ferryman.controllers.recording import Recorder
from ferryman.demo.kubelet.pod import PodRunner
from ferryman.demo.network import Network
from ferryman.errors import Unavailable
from ferryman.runtime.clock import Clock
from ferryman.runtime.tasks import Tasks


class Kubelet:
    """Runs the pods of one node, as tasks of the cluster's."""

    def __init__(
        self,
        client: ObjectClient,
        clock: Clock,
        recorder: Recorder,
        network: Network,
        tasks: Tasks,
        node: str,
    ) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder
        self._network = network
        self._tasks = tasks
        self._node = node
        self._runners: dict[str, PodRunner] = {}

    def observe(self, event: WatchEvent) -> None:
        """Take an event of the pods' informer."""
        if isinstance(event, Added | Modified):
            self._changed(event.object)
        elif isinstance(event, Deleted):
            runner = self._runners.get(event.object["metadata"]["uid"])
            if runner is not None:
                runner.vanish()

    def find(self, name: Name, uid: str = "") -> PodRunner:
        """What runs for a pod; raises NotFound if nothing does any more or yet."""
        for runner in self._runners.values():
            if name_of(runner.pod) == name and uid in ("", runner.uid):
                return runner
        raise NotFound(f'pod not found ("{name.name}_{name.namespace}")')

    def kill(self, name: Name) -> int:
        """SIGKILL for the pod's first process; its number. Raises NotFound if none runs."""
        for container in self.find(name).containers.values():
            if container.pid is not None:
                os.kill(container.pid, signal.SIGKILL)
                return container.pid
        raise NotFound(f"no process of pod {name} runs now")

    def _changed(self, pod: Object) -> None:
        if pod["spec"].get("nodeName") != self._node:
            return
        uid = pod["metadata"]["uid"]
        if uid not in self._runners:
            self._begin(uid, pod)
        else:
            self._runners[uid].update(pod)

    def _begin(self, uid: str, pod: Object) -> None:
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        try:
            runner = PodRunner(self._client, self._clock, self._recorder, self._network, pod)
        except Unavailable as error:
            told = self._recorder.record("kubelet", pod, "Failed", error.message, warning=True)
            self._tasks.start(told, "event")
            return
        runner.update(pod)
        self._runners[uid] = runner
        self._tasks.start(self._run(uid, runner), f"pod {pod['metadata']['name']}")

    async def _run(self, uid: str, runner: PodRunner) -> None:
        try:
            await runner.run()
        finally:
            del self._runners[uid]
