"""POST, PUT, PATCH and DELETE on objects: HTTP's part of a write.

Defaults, validation, patches and generation are the ``ObjectClient``'s; here a request becomes a
call of it, and names in the path and in the body are held against each other.
"""

from __future__ import annotations

from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from ferryman.api.client import ObjectClient, PatchType, Subresource
from ferryman.api.resource import Object
from ferryman.api.status import BadRequest, Cause, Invalid, TooLarge
from ferryman.apiserver import bodies
from ferryman.apiserver.negotiation import Form, accepted, patch_type
from ferryman.apiserver.parameters import WriteOptions, write_options
from ferryman.apiserver.paths import Target, unknown_path
from ferryman.apiserver.responses import document, object_response
from ferryman.runtime.clock import Clock

_MOST_OPERATIONS = 10_000
"""Of a JSON patch. Source: apiserver ``handlers/patch.go``, ``maxJSONPatchOperations``."""


class Writer:
    """Answers writes by way of an ``ObjectClient``; every method raises ApiError."""

    def __init__(self, client: ObjectClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def create(self, request: Request, target: Target) -> Response:
        """POST to a list."""
        form, options = _asked(request)
        given = await bodies.read_object(request, target.kind, options.validation)
        _agree(target, given)
        obj = await self._client.create(
            target.kind.resource, given, manager=options.manager, dry_run=options.dry_run
        )
        return self._answer(target, obj, form, status=201)

    async def update(self, request: Request, target: Target) -> Response:
        """PUT of an object, its status or its scale."""
        form, options = _asked(request)
        subresource = _own_subresource(target)
        validation = "Ignore" if subresource == "scale" else options.validation
        given = await bodies.read_object(request, target.kind, validation)
        _agree(target, given)
        obj = await self._client.update(
            target.kind.resource,
            given,
            subresource=subresource,
            manager=options.manager,
            dry_run=options.dry_run,
        )
        return self._answer(target, obj, form)

    async def patch(self, request: Request, target: Target) -> Response:
        """PATCH of an object, its status or its scale."""
        form, options = _asked(request)
        how = patch_type(request.headers.get("content-type", ""))
        subresource = _own_subresource(target)
        body = await bodies.read(request)
        patch = bodies.decode(body, "yaml" if how == "apply" else "json")
        _check_patch(how, patch)
        if how == "apply":
            _check_apply(request, target, patch)
        if how != "json" and subresource != "scale":
            bodies.check_patch(request, target.kind, patch, options.validation)
        obj = await self._client.patch(
            target.kind.resource,
            target.name,
            how,
            patch,
            target.namespace,
            subresource=subresource,
            manager=options.manager,
            force=options.force,
            dry_run=options.dry_run,
        )
        return self._answer(target, obj, form)

    def _answer(self, target: Target, obj: Object, form: Form, *, status: int = 200) -> Response:
        if target.subresource == "scale":
            return document(obj, form, status=status)
        return object_response(target.kind, obj, form, self._clock.now(), status=status)


def _asked(request: Request) -> tuple[Form, WriteOptions]:
    headers = request.headers
    options = write_options(request.query_params, headers.get("user-agent", ""))
    return accepted(headers.get("accept", "")), options


def _own_subresource(target: Target) -> Subresource:
    if target.subresource and target.subresource not in target.kind.subresources:
        raise unknown_path()
    return cast("Subresource", target.subresource)


def _agree(target: Target, obj: Object) -> None:
    """The path says where an object is; the body may leave it out, but not contradict."""
    meta = obj.setdefault("metadata", {})
    if not isinstance(meta, dict):
        raise BadRequest("metadata must be an object")
    for field, wanted in (("name", target.name), ("namespace", target.namespace)):
        given = meta.get(field)
        if wanted and given and given != wanted:
            raise BadRequest(
                f"the {field} of the provided object ({given}) does not match the {field} "
                f"sent on the request ({wanted})"
            )
        if wanted:
            meta[field] = wanted


def _check_patch(how: PatchType, patch: Any) -> None:
    if how == "json":
        if not isinstance(patch, list):
            raise BadRequest("a JSON patch is a list of operations")
        if len(patch) > _MOST_OPERATIONS:
            raise TooLarge(f"a JSON patch may have at most {_MOST_OPERATIONS} operations")
    elif not isinstance(patch, dict):
        raise BadRequest(f"a patch of type {how} is an object")


def _check_apply(request: Request, target: Target, patch: Object) -> None:
    if not request.query_params.get("fieldManager"):
        cause = Cause("fieldManager", "Required value: is required for apply patch")
        raise Invalid(f"PatchOptions.meta.k8s.io is invalid: {cause}", causes=[cause])
    _agree(target, patch)
