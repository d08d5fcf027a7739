"""What tests and the curious can do to a demo beside Kubernetes' API: paths under ``/demo``.

- ``POST /demo/outage?seconds=5``: the API's listener and all its connections, wires included, are
  gone for so long; pods live on;
- ``POST /demo/kill?pod=NAME[&namespace=N]``: kill -9 of the pod's process;
- ``POST /demo/wires?speak=spdy,channels``: speak only these of tunnel, spdy and channels, as older
  clusters do; wires that there are go on;
- ``POST /demo/refuse?rules=list:pods,create:pods/portforward``: these verbs on these resources are
  forbidden from now on, to everybody; none is, without rules. As in Kubernetes, what is being
  watched goes on;
- ``POST /demo/expire?seconds=5``: the token is refused for so long;
- ``GET /demo/stats``: counts of requests, by verb and resource, and of wires.

They need the token like everything else. ``Gate`` is where refusals and the token are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ferryman.api.resource import Name
from ferryman.api.scheme import Scheme
from ferryman.api.status import BadRequest
from ferryman.apiserver.authentication import Authenticate, User
from ferryman.apiserver.authorization import Attributes, attributes
from ferryman.demo.kubelet.kubelet import Kubelet
from ferryman.demo.portforward import WIRES, PortForwarder
from ferryman.runtime.clock import Clock

LONGEST_OUTAGE = 3600.0


class CountRequests:
    """ASGI middleware that counts requests as ``list pods``, ``get pods/portforward``."""

    def __init__(self, app: ASGIApp, scheme: Scheme) -> None:
        self.counts: Counter[str] = Counter()
        self._app = app
        self._scheme = scheme

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.counts[self._name(scope)] += 1
        await self._app(scope, receive, send)

    def _name(self, scope: Scope) -> str:
        """Paths of no object are one name, so that the counts cannot grow."""
        asked = attributes(self._scheme, scope)
        return f"{asked.verb} {asked.resource}" if asked is not None else "other"


class Gate:
    """Whom the demo lets in, and what it refuses; ``known`` tells whose token it is."""

    def __init__(self, known: Authenticate, clock: Clock) -> None:
        self.refused: frozenset[str] = frozenset()
        """Rules such as ``list:pods``, ``get:deployments``."""
        self.expired_until = 0.0
        """On the monotonic clock."""
        self._known = known
        self._clock = clock

    def authenticate(self, token: str) -> User | None:
        """As ``apiserver.authentication`` asks."""
        expired = self._clock.monotonic() < self.expired_until
        return None if expired else self._known(token)

    def authorize(self, _: User, asked: Attributes) -> bool:
        """As ``apiserver.authorization`` asks."""
        return f"{asked.verb}:{asked.resource}" not in self.refused

    def expire(self, seconds: float) -> None:
        """Refuse the token for so long."""
        self.expired_until = self._clock.monotonic() + seconds


class Hooks:
    """The endpoints; ``begin_outage`` is called once the answer is out."""

    def __init__(
        self,
        kubelet: Kubelet,
        forwarder: PortForwarder,
        counts: Callable[[], Counter[str]],
        begin_outage: Callable[[float], None],
        gate: Gate,
    ) -> None:
        self._gate = gate
        self._kubelet = kubelet
        self._forwarder = forwarder
        self._counts = counts
        self._begin_outage = begin_outage

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/demo/outage", self._outage, methods=["POST"]),
            Route("/demo/kill", self._kill, methods=["POST"]),
            Route("/demo/wires", self._wires, methods=["POST"]),
            Route("/demo/refuse", self._refuse, methods=["POST"]),
            Route("/demo/expire", self._expire, methods=["POST"]),
            Route("/demo/stats", self._stats, methods=["GET"]),
        ]

    async def _outage(self, request: Request) -> Response:
        seconds = _seconds(request)

        async def begin() -> None:
            self._begin_outage(seconds)

        return JSONResponse({"seconds": seconds}, background=BackgroundTask(begin))

    async def _kill(self, request: Request) -> Response:
        query = request.query_params
        pod = Name(query.get("pod", ""), query.get("namespace", "default"))
        return JSONResponse({"pid": self._kubelet.kill(pod)})

    async def _wires(self, request: Request) -> Response:
        names = frozenset(filter(None, request.query_params.get("speak", "").split(",")))
        if not names <= WIRES.keys():
            raise BadRequest(f"speak: some of {', '.join(WIRES)}, not {', '.join(sorted(names))}")
        self._forwarder.speaks = names
        return JSONResponse({"speak": sorted(names)})

    async def _refuse(self, request: Request) -> Response:
        rules = frozenset(filter(None, request.query_params.get("rules", "").split(",")))
        if odd := sorted(rule for rule in rules if rule.count(":") != 1):
            raise BadRequest(f"rules: VERB:RESOURCE,…, not {', '.join(odd)}")
        self._gate.refused = rules
        return JSONResponse({"refused": sorted(rules)})

    async def _expire(self, request: Request) -> Response:
        seconds = _seconds(request)
        self._gate.expire(seconds)
        return JSONResponse({"seconds": seconds})

    async def _stats(self, _: Request) -> Response:
        return JSONResponse({"requests": dict(self._counts()), **asdict(self._forwarder.stats)})


def _seconds(request: Request) -> float:
    try:
        seconds = float(request.query_params.get("seconds", "5"))
    except ValueError as error:
        raise BadRequest(f"seconds: {error}") from error
    if not 0 < seconds <= LONGEST_OUTAGE:
        raise BadRequest(f"seconds: not above 0 and at most {LONGEST_OUTAGE:g}: {seconds}")
    return seconds
