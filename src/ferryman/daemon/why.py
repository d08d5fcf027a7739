"""Which hop of a forward fails: takes the way from the kubeconfig to the port, one step at a time.

Each hop is proved by doing what a forward does: the same credentials, the same TLS, the same
Relay and the same wires, which are traced here. The first that fails is named with what to do
about it; those behind it are not tried. ``cli.why`` shows them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

from ferryman.access.kubeconfig import Access
from ferryman.api import codec
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
from ferryman.api.status import ApiError, Forbidden, Unauthorized
from ferryman.apiclient.http_client import HttpClient
from ferryman.apiclient.informer import Informer
from ferryman.daemon.near import near_names
from ferryman.daemon.wiring import InProcess, in_process
from ferryman.dataplane.contract import Closed, DialFailed, Event, Opened, Traced
from ferryman.errors import FerrymanError, Unavailable, UserError
from ferryman.kube import rbac, targets
from ferryman.kube.resources import PODS

State = Literal["ok", "failed", "not tried"]

PATIENCE = 15.0
"""Seconds for what has no time limit of its own: the target to be seen, a wire to be opened."""
REFUSAL = 1.0
"""Seconds within which a node tells that a port refuses; it takes milliseconds."""

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_REVIEW = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
_JSON = (("accept", "application/json"), ("content-type", "application/json"))
_MUST = {"pods": ("list", "watch"), "pods/portforward": ("create",)}
"""Verbs without which nothing goes; for other resources ``get`` is enough."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of the way; ``seconds`` is how long it took, ``remedy`` what to do if it failed."""

    name: str
    state: State
    message: str = ""
    remedy: str = ""
    seconds: float = 0.0


HOPS = ("kubeconfig", "credential", "TLS", "API", "RBAC", "target", "pod", "wire", "port")


async def why(
    load: Callable[[], Access], target_of: Callable[[Access], targets.Target], port: int | str
) -> AsyncIterator[Hop]:
    """Every hop in order, each as soon as it is known; ends after the first that failed has been
    told, and the others as not tried.
    """
    failed = False
    async with AsyncExitStack() as stack:
        inquiry = _Inquiry(load, target_of, port, stack)
        for name in HOPS:
            if failed:
                yield Hop(name, "not tried")
                continue
            hop = await _timed(name, inquiry.step(name))
            failed = hop.state == "failed"
            yield hop


async def _timed(name: str, step: Callable[[], Awaitable[str]]) -> Hop:
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            message = await step()
    except FerrymanError as error:
        return Hop(name, "failed", error.message, error.hint, time.monotonic() - began)
    except _NotTriedError as reason:
        return Hop(name, "not tried", str(reason))
    except TimeoutError:
        text = f"nothing came of it within {PATIENCE:g} s"
        return Hop(name, "failed", text, "", time.monotonic() - began)
    return Hop(name, "ok", message, "", time.monotonic() - began)


class _NotTriedError(Exception):
    """The hop says nothing about the one that fails further on."""


class _Inquiry:
    """What the hops behind one need of it. Each step returns what was found; FerrymanError."""

    def __init__(
        self,
        load: Callable[[], Access],
        target_of: Callable[[Access], targets.Target],
        port: int | str,
        stack: AsyncExitStack,
    ) -> None:
        self._load = load
        self._target_of = target_of
        self._port = port
        self._stack = stack
        self._probe: _Probe | None = None

    def step(self, name: str) -> Callable[[], Awaitable[str]]:
        steps: dict[str, Callable[[], Awaitable[str]]] = {
            "kubeconfig": self.kubeconfig,
            "credential": self.credential,
            "TLS": self.tls,
            "API": self.api,
            "RBAC": self.rules,
            "target": self.target,
            "pod": self.pod,
            "wire": self.wire,
            "port": self.port,
        }
        return steps[name]

    async def kubeconfig(self) -> str:
        access = self._access = self._load()
        self._wanted = self._target_of(access)
        return (
            f"context {access.context_name}: cluster {access.cluster_name} at {access.server}, "
            f"namespace {self._wanted.namespace}"
        )

    async def credential(self) -> str:
        credentials = self._access.credentials
        headers = await credentials.headers()
        kinds = [value.partition(" ")[0] for name, value in headers if name == "authorization"]
        tls = await self._access.current_tls()
        if tls is not None and tls.certificate is not None:
            kinds.append("client certificate")
        if not kinds:
            return "none: requests are anonymous"
        expires = credentials.expires
        if expires is None:
            return ", ".join(kinds)
        left = expires - time.time()
        if left <= 0:
            raise UserError(f"the {kinds[0]} credential has expired", "log in again")
        return f"{', '.join(kinds)}, valid for {left:.0f} s"

    async def tls(self) -> str:
        """Connected, and the server is the one that it is to be."""
        self._client = await self._stack.enter_async_context(HttpClient(self._access))
        try:
            await self._client.get_raw("/version")
        except ApiError:
            pass  # it answers: what it says is the next hop's
        tls, proxy = self._access.tls, self._access.proxy
        way = f", through the proxy {proxy}" if proxy is not None else ""
        if tls is None:
            return f"{self._access.server} answers without TLS{way}"
        if tls.insecure:
            return f"{self._access.server} answers; its certificate was not checked{way}"
        return f"{self._access.server} answers, its certificate is trusted{way}"

    async def api(self) -> str:
        version = json.loads(await self._client.get_raw("/version"))
        try:
            await self._client.list(PODS, self._wanted.namespace, limit=1)
        except Unauthorized as error:
            raise UserError(
                f"the cluster does not know this credential: {error.message}", "log in again"
            ) from error
        except Forbidden:
            pass  # it knows who asks
        return f"Kubernetes {version.get('gitVersion', 'of an unknown version')}"

    async def rules(self) -> str:
        """Asks for each rule by itself, because nobody needs to be told one 403 at a time."""
        missing: list[rbac.Rule] = []
        unneeded: list[str] = []
        for rule in rbac.needed(self._wanted):
            refused = [verb for verb in rule.verbs if not await self._may(verb, rule)]
            must = _MUST.get(rule.resource, ("get",))
            if any(verb in must for verb in refused):
                missing.append(rule)
            else:
                unneeded += [f"{verb} {rule.resource}" for verb in refused]
        if missing:
            raise UserError(
                f"not allowed: {'; '.join(map(str, missing))}",
                "an administrator can grant it: " + "; ".join(r.command() for r in missing),
            )
        return "all rules are there" + (f", but {', '.join(unneeded)}" if unneeded else "")

    async def _may(self, verb: str, rule: rbac.Rule) -> bool:
        plural, _, subresource = rule.resource.partition("/")
        asked = {"verb": verb, "group": rule.group, "resource": plural, "namespace": rule.namespace}
        if subresource:
            asked["subresource"] = subresource
        review = {**_REVIEW, "spec": {"resourceAttributes": asked}}
        try:
            async with self._client.open("POST", _REVIEWS, _JSON, codec.to_json(review)) as answer:
                status = codec.from_json(await answer.read_all()).get("status") or {}
        except ApiError:
            return True  # such questions are not answered here: the next hops will tell
        return bool(status.get("allowed"))

    async def target(self) -> str:
        self._probe = await _Probe.start(self._access, self._wanted, self._port, self._stack)
        status = await self._probe.resolved()
        ready = find_condition(status.conditions, "TargetReady")
        reachable = find_condition(status.conditions, "Reachable")
        if reachable is not None and reachable.status == "False":
            raise UserError(*_split(reachable.message))
        if ready is not None and ready.reason == "TargetNotFound":
            raise UserError(ready.message, await near_names(self._client, self._wanted))
        if ready is not None and ready.reason in ("NoSelector", "UnknownKind"):
            raise UserError(*_split(ready.message))
        if ready is not None and ready.reason == "PortNotFound":
            return f"{self._wanted} is there"
        count = len(status.endpoints)
        return f"{self._wanted} is there, with {count} pod{'' if count == 1 else 's'}"

    async def pod(self) -> str:
        status = await self._resolved()
        ready = find_condition(status.conditions, "TargetReady")
        if ready is not None and ready.reason in ("NoPods", "NoReadyPod"):
            pod = status.endpoints[0].pod if status.endpoints else ""
            where = f"-n {self._wanted.namespace}"
            remedy = f"kubectl describe pod/{pod} {where}" if pod else f"kubectl get pods {where}"
            raise UserError(ready.message, remedy)
        if ready is not None and ready.status != "True":
            raise _NotTriedError("the port is not known")
        return ready.message if ready is not None else ""

    async def wire(self) -> str:
        status = await self._resolved()
        ready = find_condition(status.conditions, "TargetReady")
        if ready is not None and ready.status != "True":
            raise _NotTriedError("the port is not known")
        assert self._probe is not None
        return await self._probe.wire()

    async def port(self) -> str:
        status = await self._resolved()
        ready = find_condition(status.conditions, "TargetReady")
        if ready is not None and ready.status != "True":
            raise UserError(*_split(ready.message))
        assert self._probe is not None
        return await self._probe.port()

    async def _resolved(self) -> RelayStatus:
        assert self._probe is not None
        return await self._probe.resolved()


class _Probe:
    """A Relay of its own to the target, and one connection through it that says nothing."""

    def __init__(self, parts: InProcess, events: asyncio.Queue[Event], informer: Informer) -> None:
        self._parts = parts
        self._events = events
        self._informer = informer
        self._changed = asyncio.Event()
        informer.subscribe(lambda _: self._changed.set())
        self._writer: asyncio.StreamWriter | None = None
        self._failed: DialFailed | None = None

    @classmethod
    async def start(
        cls, access: Access, target: targets.Target, port: int | str, stack: AsyncExitStack
    ) -> _Probe:
        events: asyncio.Queue[Event] = asyncio.Queue()
        parts = await stack.enter_async_context(in_process(access, events.put_nowait, trace=True))
        workload = Workload(
            cluster=access.context_name,
            namespace=target.namespace,
            kind=target.kind,
            name=target.name,
            selector=target.selector,
        )
        spec = RelaySpec(
            ports=(Port(name="main", listen=Listen(hosts=("127.0.0.1",)), target_port=port),),
            target=Target(workload=workload),
            hold=Hold(timeout=f"{PATIENCE:.0f}s"),
        )
        await parts.relays.create(RELAYS, new_relay("why", spec), manager="ferry-why")
        group = await stack.enter_async_context(asyncio.TaskGroup())
        informer = Informer(parts.relays, RELAYS, clock=parts.clock)
        probe = cls(parts, events, informer)
        following = group.create_task(informer.run())
        stack.callback(following.cancel)
        stack.callback(probe.close)
        return probe

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    async def resolved(self) -> RelayStatus:
        """The status once it says whether there is a target, or why that cannot be known."""
        while True:
            for relay in self._informer.objects.values():
                status = status_of(relay)
                ready = find_condition(status.conditions, "TargetReady")
                reachable = find_condition(status.conditions, "Reachable")
                known = ready is not None and ready.status != "Unknown"
                if known or (reachable is not None and reachable.status == "False"):
                    return status
            await self._changed.wait()
            self._changed.clear()

    async def wire(self) -> str:
        """A connection is made; the trace tells when there is a wire for it."""
        status = await self.resolved()
        try:
            _, self._writer = await asyncio.open_connection("127.0.0.1", status.ports[0].port)
        except OSError as cause:
            raise Unavailable(f"cannot connect on this machine: {cause}") from cause
        spoken = ""
        while True:
            event = await self._events.get()
            if isinstance(event, DialFailed) and event.kind != "refused":
                raise Unavailable(*_of_wire(event))
            if isinstance(event, DialFailed):
                self._failed = event
                return f"upgraded by {spoken}"
            if isinstance(event, Traced) and event.text.endswith(": upgraded"):
                spoken = event.text.removeprefix("< ").removesuffix(": upgraded")
            elif isinstance(event, Opened) or (isinstance(event, Traced) and spoken):
                return f"into pod {getattr(event, 'pod', '')} by {spoken}".replace("  ", " ")

    async def port(self) -> str:
        status = await self.resolved()
        number = status.ports[0].target_port
        try:
            async with asyncio.timeout(REFUSAL):
                while self._failed is None:
                    event = await self._events.get()
                    if isinstance(event, Opened):
                        return f"something listens on port {number}, and speaks"
                    if isinstance(event, DialFailed):
                        self._failed = event
                    elif isinstance(event, Closed) and event.reset:
                        raise Unavailable(f"the pod reset the connection: {event.reset}")
        except TimeoutError:
            return f"port {number} takes connections: nothing refused one within {REFUSAL:g} s"
        pod = next((e.pod for e in status.endpoints if e.state == "Active"), "the pod")
        if self._failed.kind != "refused":
            raise Unavailable(self._failed.message)
        raise UserError(
            f"{pod} refuses connections on port {number}",
            "does the program listen on that port, on 127.0.0.1 or all addresses?",
        )


def _of_wire(failed: DialFailed) -> tuple[str, str]:
    """What a failure before the pod means, and what to do about it."""
    if failed.kind == "forbidden":
        error = rbac.explain(failed.message)
        return error.message, error.hint
    remedies = {
        "unauthorized": "log in again",
        "gone": "the pod has just gone: ask again",
        "timeout": "is there a proxy or gateway on the way that does not pass upgrades on?",
    }
    return failed.message, remedies.get(failed.kind, "")


def _split(message: str) -> tuple[str, str]:
    """A condition's message and the hint in it."""
    text, _, hint = message.partition("; ")
    return text, hint
