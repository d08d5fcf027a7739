"""Every failure as ``metav1.Status`` in JSON, whatever the client accepts.

Our own tree of errors comes from the ``ObjectClient`` and from the modules here; Starlette's
HTTPException from its router; anything else is a bug, answered 500 and logged by uvicorn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ferryman.api.status import (
    ApiError,
    BadRequest,
    MethodNotAllowed,
    ServiceUnavailable,
    StaleVersion,
    TooManyRequests,
    Unauthorized,
    from_status,
)
from ferryman.apiserver.negotiation import JSON
from ferryman.apiserver.responses import with_warnings
from ferryman.errors import Conflict, FerrymanError, Unavailable, UserError

Handler = Callable[[Request, Any], Any]

_RETRY_SECONDS = 1


def as_api_error(error: FerrymanError) -> ApiError:
    """What an API says for an error of ours that has no status yet."""
    match error:
        case ApiError():
            return error
        case UserError():
            return BadRequest(str(error))
        case Conflict():
            return StaleVersion(str(error))
        case Unavailable():
            return ServiceUnavailable(str(error))
        case _:
            return ApiError(str(error))


def status_response(error: ApiError) -> Response:
    """The answer that tells a client of an error."""
    headers: dict[str, str] = {}
    match error:
        case Unauthorized():
            headers["WWW-Authenticate"] = "Bearer"
        case TooManyRequests() | ServiceUnavailable():
            headers["Retry-After"] = str(_RETRY_SECONDS)
    body = msgspec.json.encode(error.to_status())
    return Response(body, error.code, headers, media_type=JSON)


async def _on_ours(request: Request, error: FerrymanError) -> Response:
    return with_warnings(request, status_response(as_api_error(error)))


async def _on_starlette(_: Request, error: HTTPException) -> Response:
    if error.status_code == MethodNotAllowed.code:
        return status_response(method_not_allowed())
    return status_response(from_status(error.status_code, {"message": error.detail}))


async def _on_bug(_: Request, error: Exception) -> Response:
    return status_response(ApiError(f"internal error: {type(error).__name__}"))


def method_not_allowed() -> MethodNotAllowed:
    """Kubernetes' words for a verb that a resource does not have."""
    return MethodNotAllowed("the server does not allow this method on the requested resource")


HANDLERS: Mapping[Any, Handler] = {
    FerrymanError: _on_ours,
    HTTPException: _on_starlette,
    Exception: _on_bug,
}
"""For Starlette's ``exception_handlers``."""
