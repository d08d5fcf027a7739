"""Keeps one container of a pod running: starts it, probes it, starts it again when it has ended.

``pod`` owns the containers and writes what they say into the pod's status. The waits between
restarts are those of a demo: the first is none, then 1 s doubled up to 30 s, forgotten after 30 s
of running (Kubernetes: 10 s up to 5 min, forgotten after 10 min).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ferryman.api.resource import Object
from ferryman.demo.kubelet.logs import Log
from ferryman.demo.kubelet.probes import watch_probe
from ferryman.demo.kubelet.process import IMAGES, Exit, Process, program_of
from ferryman.demo.kubelet.sandbox import Sandbox
from ferryman.demo.kubelet.status import ContainerState
from ferryman.runtime.clock import Clock

BACKOFF = 1.0
BACKOFF_LIMIT = 30.0
STEADY = 30.0

Tell = Callable[[str, str, bool], Awaitable[None]]
"""Records an event of the pod: reason, message, whether it is a warning."""


class Container:
    """One container; ``state`` is what is known, ``changed`` is called whenever that changes."""

    def __init__(
        self,
        clock: Clock,
        pod: Object,
        spec: Object,
        sandbox: Sandbox,
        *,
        changed: Callable[[], None],
        tell: Tell,
    ) -> None:
        self.state = ContainerState(spec["name"], spec["image"])
        self.log: Log | None = None
        self.previous_log: Log | None = None
        self._clock = clock
        self._pod = pod
        self._spec = spec
        self._sandbox = sandbox
        self._changed = changed
        self._tell = tell
        self._process: Process | None = None
        self._tidings: asyncio.Queue[tuple[str, str, bool]] = asyncio.Queue(100)

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        running = self._process is not None and not self._process.exited.done()
        return self._process.pid if running and self._process else None

    async def keep_running(self) -> None:
        """Run until it is cancelled or the restart policy says that it is over.

        A cancellation leaves the process as it is: ``stop`` ends it.
        """
        program = program_of(self._spec["image"])
        if program is None:
            await self._no_image()
            return
        policy = self._pod["spec"].get("restartPolicy", "Always")
        backoff = 0.0
        while True:
            ended = await self._run_once(program)
            if policy == "Never" or (policy == "OnFailure" and ended.code == 0):
                self._set(replace(self.state, ended=ended, started=None, ready=False))
                return
            lived = (ended.finished - ended.started).total_seconds()
            if lived >= STEADY:
                backoff = 0.0
            self._set(
                replace(
                    self.state,
                    started=None,
                    ready=False,
                    last=ended,
                    waiting="CrashLoopBackOff",
                    message=f"back-off {backoff:g}s restarting failed container={self.state.name}",
                )
            )
            if backoff:
                said = f"Back-off restarting failed container {self.state.name}"
                await self._tell("BackOff", said, True)
                await self._clock.sleep(backoff)
            backoff = min(backoff * 2 or BACKOFF, BACKOFF_LIMIT)
            self._set(replace(self.state, restarts=self.state.restarts + 1))

    async def stop(self, grace: float) -> None:
        """SIGTERM, SIGKILL after so many seconds; returns when the process has ended."""
        if self._process is not None:
            ended = await self._process.stop(grace)
            self._set(replace(self.state, ended=ended, started=None, ready=False))

    def kill(self) -> None:
        """SIGKILL, whatever grace there was."""
        if self._process is not None:
            self._process.kill()

    async def ended(self) -> None:
        """Return when no process runs."""
        if self._process is not None:
            await asyncio.shield(self._process.exited)

    async def _no_image(self) -> None:
        image = self._spec["image"]
        why = f'no image "{image}" in the demo; it has {", ".join(IMAGES)}'
        self._set(replace(self.state, waiting="ErrImagePull", message=why))
        await self._tell("Failed", f'Failed to pull image "{image}": {why}', True)
        await asyncio.Event().wait()

    async def _run_once(self, program: str) -> Exit:
        ports = [port["containerPort"] for port in self._spec.get("ports") or ()]
        process = await Process.start(
            self._clock,
            program,
            {port: self._sandbox.listen(port) for port in ports},
            self._environment(),
        )
        self._process, self.previous_log, self.log = process, self.log, process.log
        probe = self._spec.get("readinessProbe")
        self._set(
            replace(self.state, started=process.started, ready=not probe, id=secrets.token_hex(32))
        )
        await self._tell("Started", f"Started container {self.state.name}", False)
        async with asyncio.TaskGroup() as probing:
            tasks = [
                probing.create_task(watch_probe(self._clock, spec, self._spec, self._sandbox, told))
                for spec, told in ((probe, self._readiness), (self._liveness_probe, self._liveness))
                if spec
            ]
            tasks.append(probing.create_task(self._pass_on()))
            try:
                return await asyncio.shield(process.exited)
            finally:
                for task in tasks:
                    task.cancel()

    @property
    def _liveness_probe(self) -> Object | None:
        return self._spec.get("livenessProbe")

    def _environment(self) -> dict[str, str]:
        meta = self._pod["metadata"]
        given = {
            str(e["name"]): str(e["value"]) for e in self._spec.get("env") or () if "value" in e
        }
        return {
            **given,
            "POD_NAME": str(meta["name"]),
            "POD_NAMESPACE": str(meta.get("namespace", "")),
            "POD_IP": self._sandbox.ip,
            "HOSTNAME": str(meta["name"]),
        }

    def _readiness(self, passed: bool, why: str) -> None:
        if not passed:
            self._report("Unhealthy", f"Readiness probe failed: {why}")
        if passed != self.state.ready:
            self._set(replace(self.state, ready=passed))

    def _liveness(self, passed: bool, why: str) -> None:
        if not passed and self._process is not None:
            self._report("Unhealthy", f"Liveness probe failed: {why}")
            self._process.terminate()

    def _report(self, reason: str, message: str) -> None:
        if not self._tidings.full():
            self._tidings.put_nowait((reason, message, True))

    async def _pass_on(self) -> None:
        while True:
            await self._tell(*await self._tidings.get())

    def _set(self, state: ContainerState) -> None:
        self.state = state
        self._changed()
