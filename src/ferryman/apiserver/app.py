"""Puts the API together: an ASGI application over a scheme and an ``ObjectClient``.

In the order of a request: trailing slashes go, ``authentication`` says who asks, fixed paths are
answered here out of ``discovery`` and ``openapi``; every other path goes through ``paths`` to
``reading``, ``writing`` and ``deleting``, or to a ``Subresource`` that the caller hooked in.
``server`` serves the result.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ferryman.api import codec
from ferryman.api.client import ObjectClient
from ferryman.api.resource import Name, Object, Resource
from ferryman.api.scheme import Scheme
from ferryman.apiserver import reviews
from ferryman.apiserver.authentication import Authenticate, BearerAuthentication
from ferryman.apiserver.authorization import Authorization, Authorize, everything
from ferryman.apiserver.deleting import Deleter
from ferryman.apiserver.discovery import Discovery, Shown, served
from ferryman.apiserver.errors import HANDLERS, method_not_allowed
from ferryman.apiserver.negotiation import (
    DISCOVERY,
    JSON,
    accepted,
    accepts_aggregated_discovery,
)
from ferryman.apiserver.openapi import VERSION_2_MEDIA_TYPE, VERSION_2_PROTOBUF, OpenAPI
from ferryman.apiserver.paths import Target, resolve, unknown_path
from ferryman.apiserver.reading import Reader
from ferryman.apiserver.responses import document, with_warnings
from ferryman.apiserver.writing import Writer
from ferryman.runtime.clock import Clock, SystemClock

VERSION = "v1.37.0+ferryman"
"""A version that kubectl parses and compares with its own."""

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource that the caller answers itself, such as ``log`` or ``portforward`` of pods.

    ``answer`` may raise any of our errors, and may return ``streaming.Streaming`` or
    ``upgrade.TakeOver``. It has to look for the object itself. ``kind``, ``group`` and
    ``version`` are what discovery says that it answers with, if not with its parent's.
    """

    answer: Callable[[Request, Name], Awaitable[Response]]
    methods: tuple[str, ...] = ("GET",)
    kind: str = ""
    group: str = ""
    version: str = ""

    @property
    def shown(self) -> Shown:
        """For discovery."""
        verbs = tuple(sorted(_VERBS[method] for method in self.methods))
        return Shown(verbs, self.kind, self.group, self.version)


Subresources = Mapping[tuple[Resource, str], Subresource]


def create_app(
    scheme: Scheme,
    client: ObjectClient,
    *,
    authenticate: Authenticate,
    authorize: Authorize = everything,
    version: str = VERSION,
    subresources: Subresources | None = None,
    clock: Clock | None = None,
    routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """The application; ``routes`` are more of the caller's, before the objects' own."""
    api = _Api(scheme, client, version, subresources or {}, clock or SystemClock())
    return Starlette(
        routes=[*_public(), *api.routes(), *reviews.routes(authorize), *routes, *api.objects()],
        middleware=[
            Middleware(_TrimSlash),
            Middleware(BearerAuthentication, authenticate=authenticate),
            Middleware(Authorization, kinds=scheme, authorize=authorize),
        ],
        exception_handlers=dict(HANDLERS),
    )


class _Api:
    """The endpoints."""

    def __init__(
        self,
        scheme: Scheme,
        client: ObjectClient,
        version: str,
        subresources: Subresources,
        clock: Clock,
    ) -> None:
        self._scheme = scheme
        self._version = version
        self._subresources = subresources
        self._reader = Reader(client, clock)
        self._writer = Writer(client, clock)
        self._deleter = Deleter(client, clock)
        self._openapi = OpenAPI(scheme, version)
        hooked: dict[Resource, dict[str, Shown]] = {}
        for (resource, name), subresource in subresources.items():
            hooked.setdefault(resource, {})[name] = subresource.shown
        kinds = [served(kind, hooked.get(kind.resource, {})) for kind in scheme]
        self._discovery = Discovery([*kinds, *reviews.SERVED])

    def routes(self) -> list[Route]:
        """Everything that is about the API, not about objects."""
        return [
            Route("/", self._root),
            Route("/version", self._show_version),
            Route("/api", self._versions),
            Route("/api/{version}", self._resources),
            Route("/apis", self._groups),
            Route("/apis/{group}", self._group),
            Route("/apis/{group}/{version}", self._resources),
            Route("/openapi/v2", self._openapi_2),
            Route("/openapi/v3", self._openapi_index),
            Route("/openapi/v3/{root:path}", self._openapi_document),
        ]

    def objects(self) -> list[Route]:
        """Every other path, known or not."""
        return [Route("/{path:path}", self._answer, methods=_METHODS)]

    async def _answer(self, request: Request) -> Response:
        target = resolve(self._scheme, request.scope["path"])
        hook = self._subresources.get((target.kind.resource, target.subresource))
        if hook is not None:
            if request.method not in hook.methods:
                raise method_not_allowed()
            return await hook.answer(request, Name(target.name, target.namespace))
        return with_warnings(request, await self._verb(request, target))

    async def _verb(self, request: Request, target: Target) -> Response:
        # Lists over all namespaces can be read, but not written to.
        writable = bool(target.namespace) or not target.kind.resource.namespaced
        match request.method, bool(target.name), bool(target.subresource):
            case "GET", _, _:
                return await self._reader.answer(request, target)
            case "POST", False, _ if writable:
                return await self._writer.create(request, target)
            case "PUT", True, _:
                return await self._writer.update(request, target)
            case "PATCH", True, _:
                return await self._writer.patch(request, target)
            case "DELETE", True, False:
                return await self._deleter.delete(request, target)
            case "DELETE", False, _ if writable:
                return await self._deleter.delete_collection(request, target)
            case _:
                raise method_not_allowed()

    async def _root(self, request: Request) -> Response:
        paths = ["/api", *self._discovery.paths, "/apis", "/healthz", "/livez", "/openapi/v2"]
        shown = {"paths": sorted([*paths, "/openapi/v3", "/readyz", "/version"])}
        return document(shown, accepted(request.headers.get("accept", "")))

    async def _show_version(self, _: Request) -> Response:
        major, minor, *_rest = self._version.removeprefix("v").split(".")
        return document(
            {
                "major": major,
                "minor": minor,
                "gitVersion": self._version,
                "gitCommit": "",
                "gitTreeState": "clean",
                "buildDate": "1970-01-01T00:00:00Z",
                "goVersion": f"python{platform.python_version()}",
                "compiler": platform.python_implementation(),
                "platform": f"{platform.system()}/{platform.machine()}".lower(),
            }
        )

    async def _versions(self, request: Request) -> Response:
        if accepts_aggregated_discovery(request.headers.get("accept", "")):
            return _tagged(request, self._discovery.aggregated(legacy=True), DISCOVERY)
        return _tagged(request, self._discovery.versions())

    async def _groups(self, request: Request) -> Response:
        if accepts_aggregated_discovery(request.headers.get("accept", "")):
            return _tagged(request, self._discovery.aggregated(legacy=False), DISCOVERY)
        return _tagged(request, self._discovery.groups())

    async def _group(self, request: Request) -> Response:
        found = self._discovery.group(request.path_params["group"])
        if found is None:
            raise unknown_path()
        return _tagged(request, found)

    async def _resources(self, request: Request) -> Response:
        parameters = request.path_params
        found = self._discovery.resources(parameters.get("group", ""), parameters["version"])
        if found is None:
            raise unknown_path()
        return _tagged(request, found)

    async def _openapi_2(self, request: Request) -> Response:
        if "+protobuf" in request.headers.get("accept", ""):
            return Response(VERSION_2_PROTOBUF, media_type=VERSION_2_MEDIA_TYPE)
        return document(self._openapi.version_2())

    async def _openapi_index(self, request: Request) -> Response:
        return _tagged(request, self._openapi.index())

    async def _openapi_document(self, request: Request) -> Response:
        root = request.path_params["root"]
        found = self._openapi.document(root)
        if found is None:
            raise unknown_path()
        return _with_tag(request, found, self._openapi.hash(root), JSON)


def _tagged(request: Request, obj: Object, media_type: str = JSON) -> Response:
    body = codec.to_json(obj)
    return _with_tag(request, body, hashlib.sha256(body).hexdigest()[:32].upper(), media_type)


def _with_tag(request: Request, body: bytes, tag: str, media_type: str) -> Response:
    """An answer that a client may keep and only ask about again."""
    headers = {"ETag": f'"{tag}"', "Vary": "Accept", "Cache-Control": "no-cache, private"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


def _public() -> list[Route]:
    return [Route(path, _healthy) for path in ("/healthz", "/livez", "/readyz")]


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok")


class _TrimSlash:
    """ASGI middleware: ``/apis/`` is ``/apis``, as the Python kubernetes client says it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.endswith("/") and path != "/":
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self._app(scope, receive, send)
