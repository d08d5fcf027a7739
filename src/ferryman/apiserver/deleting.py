"""DELETE: of one object, or of all that a selector means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ferryman.api.client import ObjectClient, ObjectList, Preconditions, Propagation
from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.api.status import BadRequest, NotFound, StaleVersion
from ferryman.apiserver import bodies, protobuf
from ferryman.apiserver.negotiation import accepted, body_type
from ferryman.apiserver.parameters import dry_run, list_options, propagation
from ferryman.apiserver.paths import Target
from ferryman.apiserver.responses import document, list_response, object_response
from ferryman.runtime.clock import Clock

_PAGE = 500


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How to delete; the body's options, or those of the query if there is no body."""

    preconditions: Preconditions
    propagation: Propagation
    grace_seconds: int | None
    dry_run: bool


class Deleter:
    """Answers DELETEs by way of an ``ObjectClient``; every method raises ApiError."""

    def __init__(self, client: ObjectClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def delete(self, request: Request, target: Target) -> Response:
        """The object if something still holds it, else a Status, as Kubernetes answers."""
        form = accepted(request.headers.get("accept", ""))
        options = await _options(request)
        kind = target.kind
        obj = await self._delete(target, target.name, target.namespace, options)
        if _is_held(obj):
            return object_response(kind, obj, form, self._clock.now())
        return document(_gone(kind, obj), form)

    async def delete_collection(self, request: Request, target: Target) -> Response:
        """The list of what was deleted."""
        form = accepted(request.headers.get("accept", ""))
        options = await _options(request)
        wanted = list_options(request.query_params, target.kind.selectable_fields)
        deleted: list[Object] = []
        token = ""
        while True:
            page = await self._client.list(
                target.kind.resource,
                target.namespace,
                wanted.selector,
                limit=_PAGE,
                continue_token=token,
            )
            for obj in page.items:
                deleted += await self._delete_listed(target, obj, options)
            token = page.continue_token
            if not token:
                break
        listed = ObjectList(tuple(deleted), page.resource_version)
        return list_response(target.kind, listed, form, self._clock.now())

    async def _delete_listed(
        self, target: Target, obj: Object, options: DeleteOptions
    ) -> list[Object]:
        """Nothing if somebody else was faster."""
        meta = obj["metadata"]
        try:
            return [await self._delete(target, meta["name"], meta.get("namespace", ""), options)]
        except (NotFound, StaleVersion):
            return []

    async def _delete(
        self, target: Target, name: str, namespace: str, options: DeleteOptions
    ) -> Object:
        return await self._client.delete(
            target.kind.resource,
            name,
            namespace,
            preconditions=options.preconditions,
            propagation=options.propagation,
            grace_seconds=options.grace_seconds,
            dry_run=options.dry_run,
        )


async def _options(request: Request) -> DeleteOptions:
    form = body_type(request.headers.get("content-type", ""))
    body = await bodies.read(request)
    if not body:
        return _from_query(request)
    options = protobuf.delete_options(body) if form == "protobuf" else bodies.decode(body, form)
    if options is None:
        return _from_query(request)
    if not isinstance(options, dict):
        raise BadRequest("the body of a DELETE is DeleteOptions")
    return _from_body(options)


def _from_query(request: Request) -> DeleteOptions:
    query = request.query_params
    orphan = query.get("orphanDependents")
    grace = query.get("gracePeriodSeconds", "")
    try:
        seconds = int(grace) if grace else None
    except ValueError as cause:
        raise BadRequest(f"gracePeriodSeconds: not a number: {grace!r}") from cause
    return DeleteOptions(
        Preconditions(),
        propagation(query.get("propagationPolicy", ""), orphan=orphan == "true"),
        seconds,
        dry_run(query.get("dryRun", "")),
    )


def _from_body(options: Object) -> DeleteOptions:
    wanted = _field(options, "preconditions", dict, {})
    runs = _field(options, "dryRun", list, [])
    return DeleteOptions(
        Preconditions(_field(wanted, "uid", str), _field(wanted, "resourceVersion", str)),
        propagation(
            _field(options, "propagationPolicy", str, ""),
            orphan=_field(options, "orphanDependents", bool),
        ),
        _field(options, "gracePeriodSeconds", int),
        any(dry_run(str(run)) for run in runs),
    )


def _field(options: Object, key: str, expected: type, default: Any = None) -> Any:
    value = options.get(key)
    if value is None:
        return default
    if not isinstance(value, expected):
        raise BadRequest(f"DeleteOptions: {key} is of the wrong type")
    return value


def _is_held(obj: Object) -> bool:
    meta = obj["metadata"]
    holds = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds")
    return bool("deletionTimestamp" in meta and holds)


def _gone(kind: Kind, obj: Object) -> Object:
    meta, resource = obj["metadata"], kind.resource
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": meta["name"],
            "group": resource.group,
            "kind": resource.plural,
            "uid": meta.get("uid", ""),
        },
    }
