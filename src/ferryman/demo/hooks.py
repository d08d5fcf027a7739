"""What tests and the curious can do to a demo beside Kubernetes' API: paths under ``/demo``.

- ``POST /demo/outage?seconds=5``: the API's listener and all its connections, wires included, are
  gone for so long; pods live on;
- ``POST /demo/kill?pod=NAME[&namespace=N]``: kill -9 of the pod's process;
- ``POST /demo/wires?speak=spdy,channels``: speak only these of tunnel, spdy and channels, as older
  clusters do; wires that there are go on;
- ``GET /demo/stats``: counts of requests, by verb and resource, and of wires.

They need the token like everything else.
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
from ferryman.apiserver.paths import resolve
from ferryman.demo.kubelet.kubelet import Kubelet
from ferryman.demo.portforward import WIRES, PortForwarder
from ferryman.errors import FerrymanError

LONGEST_OUTAGE = 3600.0
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


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
        try:
            target = resolve(self._scheme, scope["path"])
        except FerrymanError:
            return "other"
        watching = b"watch=true" in scope["query_string"] or b"watch=1" in scope["query_string"]
        read = "get" if target.name else "watch" if watching else "list"
        resource = target.kind.resource.plural
        subresource = f"/{target.subresource}" if target.subresource else ""
        return f"{_VERBS.get(scope['method'], read)} {resource}{subresource}"


class Hooks:
    """The endpoints; ``begin_outage`` is called once the answer is out."""

    def __init__(
        self,
        kubelet: Kubelet,
        forwarder: PortForwarder,
        counts: Callable[[], Counter[str]],
        begin_outage: Callable[[float], None],
    ) -> None:
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
            Route("/demo/stats", self._stats, methods=["GET"]),
        ]

    async def _outage(self, request: Request) -> Response:
        try:
            seconds = float(request.query_params.get("seconds", "5"))
        except ValueError as error:
            raise BadRequest(f"seconds: {error}") from error
        if not 0 < seconds <= LONGEST_OUTAGE:
            raise BadRequest(f"seconds: not above 0 and at most {LONGEST_OUTAGE:g}: {seconds}")

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

    async def _stats(self, _: Request) -> Response:
        return JSONResponse({"requests": dict(self._counts()), **asdict(self._forwarder.stats)})
