"""The demo cluster: everything of it, started and ended as one.

Store, API server, controllers and kubelet live in one process and one event loop; the pods are
processes of their own. ``Cluster`` is an async context manager: inside it the API answers, and
``ready`` waits for the seeded workloads. Leaving it stops everything and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import tempfile
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from ferryman.api.resource import Name, Object, Resource
from ferryman.apiclient.informer import Informer
from ferryman.apiserver import certificates
from ferryman.apiserver.app import Subresource, create_app
from ferryman.apiserver.authentication import User, token_of
from ferryman.apiserver.server import Server
from ferryman.controllers.gc import GarbageCollector
from ferryman.controllers.recording import Recorder
from ferryman.demo import kubeconfig
from ferryman.demo.controllers.cronjob import CronJobReconciler
from ferryman.demo.controllers.daemonset import DaemonSetReconciler
from ferryman.demo.controllers.deployment import DeploymentReconciler
from ferryman.demo.controllers.endpointslice import EndpointSliceReconciler
from ferryman.demo.controllers.endpointslice_plan import selects
from ferryman.demo.controllers.job import JobReconciler
from ferryman.demo.controllers.objects import owner_names
from ferryman.demo.controllers.replicaset import (
    ReplicaSetReconciler,
    ReplicationControllerReconciler,
)
from ferryman.demo.controllers.scheduler import Scheduler
from ferryman.demo.controllers.statefulset import StatefulSetReconciler
from ferryman.demo.hooks import CountRequests, Gate, Hooks
from ferryman.demo.kinds import (
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    JOBS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SCHEME,
    SERVICES,
    STATEFUL_SETS,
)
from ferryman.demo.kubelet.kubelet import Kubelet
from ferryman.demo.logs import Logs
from ferryman.demo.network import Network, open_network
from ferryman.demo.portforward import PortForwarder
from ferryman.demo.seed import NODE, seed
from ferryman.reconcile import Controller, Manager, Reconcile, Source, Watching
from ferryman.runtime.clock import Clock, SystemClock
from ferryman.runtime.tasks import Tasks
from ferryman.store.memory import MemoryStore

USER = User("ferryman-demo", groups=("system:masters", "system:authenticated"))
GOODBYE = 0.5
"""Seconds that requests have to finish when the cluster ends."""
_INFORMED = (
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    DAEMON_SETS,
    REPLICATION_CONTROLLERS,
    CRON_JOBS,
    JOBS,
    PODS,
    SERVICES,
    ENDPOINT_SLICES,
)


class Cluster:
    """A cluster in a box, on loopback.

    ``port`` 0 is any free one. ``half_close`` makes port-forward carry half-closes, which nodes
    with containerd do not. Inside the context ``store`` may be used directly.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        half_close: bool = False,
        network: Network | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.store = MemoryStore(SCHEME, self.clock)
        self.token = secrets.token_urlsafe(32)
        self.authority = b""
        self._port = port
        self._half_close = half_close
        self._network = network
        self._informers: dict[Resource, Informer] = {}
        self._stack = AsyncExitStack()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The API's URL."""
        if self._server is None:
            raise RuntimeError("the cluster is not running")
        return self._server.url

    @property
    def kubeconfig(self) -> str:
        """The text of a kubeconfig for it, token included."""
        return kubeconfig.render(self.url, self.authority, self.token)

    async def __aenter__(self) -> Cluster:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def ready(self) -> None:
        """Wait until every deployment and stateful set has all its pods ready."""
        changed = asyncio.Event()
        workloads = (DEPLOYMENTS, STATEFUL_SETS)
        for resource in workloads:
            self._informers[resource].subscribe(lambda _: changed.set())
        while not all(
            _settled(obj)
            for resource in workloads
            for obj in self._informers[resource].objects.values()
        ):
            await changed.wait()
            changed.clear()

    async def _start(self, stack: AsyncExitStack) -> None:
        network = self._network or open_network()
        stack.callback(network.close)
        tasks = await stack.enter_async_context(Tasks())
        recorder = Recorder(self.store, self.clock, NODE)
        kubelet = Kubelet(self.store, self.clock, recorder, network, tasks, NODE)
        await seed(self.store, network.node_ip, self.clock.now())
        self._server = self._make_server(kubelet, tasks)
        await self._server.start()
        stack.push_async_callback(self._server.stop, GOODBYE)
        self._informers = {
            resource: Informer(self.store, resource, clock=self.clock) for resource in _INFORMED
        }
        self._informers[PODS].subscribe(kubelet.observe)
        collector = GarbageCollector(self.store, self._informers, self.clock)
        controllers = (*self._controllers(recorder), *collector.controllers)
        manager = Manager(self._informers.values(), controllers)
        tasks.start(manager.run(), "controllers")
        await manager.ready.wait()

    def _make_server(self, kubelet: Kubelet, tasks: Tasks) -> Server:
        forwarder = PortForwarder(self.store, kubelet, half_close=self._half_close)
        logs = Logs(self.store, kubelet, self.clock)

        def begin_outage(seconds: float) -> None:
            tasks.start(self._outage(seconds), "outage")

        gate = Gate(token_of(self.token, USER), self.clock)
        hooks = Hooks(
            kubelet,
            forwarder,
            lambda: counted.counts,
            begin_outage,
            gate,
        )
        app = create_app(
            SCHEME,
            self.store,
            authenticate=gate.authenticate,
            authorize=gate.authorize,
            clock=self.clock,
            subresources={
                (PODS, "log"): Subresource(logs.answer),
                (PODS, "portforward"): Subresource(
                    forwarder.answer, methods=("GET", "POST"), kind="PodPortForwardOptions"
                ),
            },
            routes=hooks.routes(),
        )
        counted = CountRequests(app, SCHEME)
        return Server(counted, tls=self._certificate(), port=self._port)

    def _certificate(self) -> ssl.SSLContext:
        """OpenSSL reads files only: they are gone again before anything else happens."""
        with tempfile.TemporaryDirectory(prefix="ferryman-demo-") as folder:
            made = certificates.make(Path(folder), self.clock.now())
            self.authority = made.authority
            return made.context()

    def _controllers(self, recorder: Recorder) -> list[Controller]:
        store, clock, informers = self.store, self.clock, self._informers
        deployments = DeploymentReconciler(store, clock, recorder)
        replica_sets = ReplicaSetReconciler(store, clock, recorder)
        stateful_sets = StatefulSetReconciler(store, clock, recorder)
        scheduler = Scheduler(store, clock, recorder)
        pods = informers[PODS]
        daemon_sets = DaemonSetReconciler(store, clock, recorder)
        replication = ReplicationControllerReconciler(store, clock, recorder)
        jobs = JobReconciler(store, clock, recorder)
        cron_jobs = CronJobReconciler(store, clock, recorder)
        table: list[tuple[str, Reconcile, list[Source]]] = [
            (
                "deployment",
                deployments.reconcile,
                [
                    Watching(informers[DEPLOYMENTS]),
                    Watching(informers[REPLICA_SETS], owner_names("Deployment")),
                ],
            ),
            (
                "replicaset",
                replica_sets.reconcile,
                [Watching(informers[REPLICA_SETS]), Watching(pods, owner_names("ReplicaSet"))],
            ),
            (
                "statefulset",
                stateful_sets.reconcile,
                [Watching(informers[STATEFUL_SETS]), Watching(pods, owner_names("StatefulSet"))],
            ),
            (
                "daemonset",
                daemon_sets.reconcile,
                [Watching(informers[DAEMON_SETS]), Watching(pods, owner_names("DaemonSet"))],
            ),
            (
                "replicationcontroller",
                replication.reconcile,
                [
                    Watching(informers[REPLICATION_CONTROLLERS]),
                    Watching(pods, owner_names("ReplicationController")),
                ],
            ),
            (
                "job",
                jobs.reconcile,
                [Watching(informers[JOBS]), Watching(pods, owner_names("Job"))],
            ),
            (
                "cronjob",
                cron_jobs.reconcile,
                [Watching(informers[CRON_JOBS]), Watching(informers[JOBS], owner_names("CronJob"))],
            ),
            ("scheduler", scheduler.reconcile, [Watching(pods)]),
            (
                "endpointslice",
                EndpointSliceReconciler(store).reconcile,
                [Watching(informers[SERVICES]), Watching(pods, self._services_of)],
            ),
        ]
        return [Controller(name, work, sources, clock=clock) for name, work, sources in table]

    def _services_of(self, pod: Object) -> Iterable[Name]:
        for name, service in self._informers[SERVICES].objects.items():
            if name.namespace == pod["metadata"].get("namespace") and selects(service, pod):
                yield name

    async def _outage(self, seconds: float) -> None:
        if self._server is not None:
            self._server.outage()
            await self.clock.sleep(seconds)
            await self._server.restore()


def _settled(workload: Object) -> bool:
    status = workload.get("status") or {}
    seen = status.get("observedGeneration") == workload["metadata"].get("generation")
    return seen and bool(status.get("readyReplicas", 0) == workload["spec"]["replicas"])
