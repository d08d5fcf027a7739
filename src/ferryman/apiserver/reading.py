"""GET: one object, its status or scale, a list, a watch."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ferryman.api.client import ObjectClient
from ferryman.api.status import Expired
from ferryman.apiserver.negotiation import accepted
from ferryman.apiserver.parameters import ListOptions, list_options
from ferryman.apiserver.paths import Target, unknown_path
from ferryman.apiserver.responses import document, list_response, object_response
from ferryman.apiserver.watching import watch_response
from ferryman.registry.scale import to_scale
from ferryman.runtime.clock import Clock


class Reader:
    """Answers GETs out of an ``ObjectClient``."""

    def __init__(self, client: ObjectClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def answer(self, request: Request, target: Target) -> Response:
        """Raises ApiError."""
        kind, form = target.kind, accepted(request.headers.get("accept", ""))
        if target.subresource:
            return await self._subresource(request, target)
        options = list_options(request.query_params, kind.selectable_fields, target.name)
        if options.watch:
            return watch_response(self._client, self._clock, target, options, form)
        now = self._clock.now()
        if target.name:
            obj = await self._client.get(kind.resource, target.name, target.namespace)
            return object_response(kind, obj, form, now, include=options.include)
        listed = await self._client.list(
            kind.resource,
            target.namespace,
            options.selector,
            limit=options.limit,
            continue_token=options.continue_token,
        )
        _check_version(options, listed.resource_version)
        return list_response(kind, listed, form, now, include=options.include)

    async def _subresource(self, request: Request, target: Target) -> Response:
        kind, form = target.kind, accepted(request.headers.get("accept", ""))
        if target.subresource not in kind.subresources:
            raise unknown_path()
        obj = await self._client.get(kind.resource, target.name, target.namespace)
        if target.subresource == "scale":
            return document(to_scale(kind, obj), form)
        return object_response(kind, obj, form, self._clock.now())


def _check_version(options: ListOptions, found: str) -> None:
    """Only the present state is kept for lists; a past one that is asked for exactly is gone."""
    if options.exact and options.resource_version != found:
        raise Expired(f"The provided resource version is too old: {options.resource_version}")
