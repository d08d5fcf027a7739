"""The errors of an API, both ways: raised by stores and clients, and as Status objects in JSON.

Source of reasons and codes: Kubernetes API conventions, ``metav1.Status``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import Struct

from ferryman.api.resource import Resource
from ferryman.errors import Conflict, FerrymanError, Unavailable, UserError


class Cause(Struct, frozen=True):
    """One thing that is wrong with an object, at one field (``spec.ports[0].name``)."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class ApiError(FerrymanError):
    """What an API server answers instead of an object; subclasses are the usual reasons."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(
        self, message: str, *, details: dict[str, Any] | None = None, causes: Sequence[Cause] = ()
    ) -> None:
        super().__init__(message)
        self.details = dict(details or {})
        self.causes = tuple(causes)

    def to_status(self) -> dict[str, Any]:
        """The ``metav1.Status`` that tells a client."""
        details = dict(self.details)
        if self.causes:
            details["causes"] = [
                {"reason": c.reason, "message": c.message, "field": c.field} for c in self.causes
            ]
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": details,
            "code": self.code,
        }


class BadRequest(ApiError, UserError):
    code = 400
    reason = "BadRequest"


class Unauthorized(ApiError, UserError):
    code = 401
    reason = "Unauthorized"


class Forbidden(ApiError, UserError):
    code = 403
    reason = "Forbidden"


class NotFound(ApiError, UserError):
    code = 404
    reason = "NotFound"


class MethodNotAllowed(ApiError, UserError):
    code = 405
    reason = "MethodNotAllowed"


class NotAcceptable(ApiError, UserError):
    code = 406
    reason = "NotAcceptable"


class AlreadyExists(ApiError, Conflict):
    code = 409
    reason = "AlreadyExists"


class StaleVersion(ApiError, Conflict):
    """The object moved on since it was read, or a precondition does not hold."""

    code = 409
    reason = "Conflict"


class Expired(ApiError, Unavailable):
    """The history does not reach back so far: list again."""

    code = 410
    reason = "Expired"


class TooLarge(ApiError, UserError):
    code = 413
    reason = "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError, UserError):
    code = 415
    reason = "UnsupportedMediaType"


class Invalid(ApiError, UserError):
    code = 422
    reason = "Invalid"


class TooManyRequests(ApiError, Unavailable):
    code = 429
    reason = "TooManyRequests"


class ServiceUnavailable(ApiError, Unavailable):
    code = 503
    reason = "ServiceUnavailable"


class GatewayTimeout(ApiError, Unavailable):
    code = 504
    reason = "Timeout"


def is_busy(error: Exception) -> bool:
    """Whether a server (or what stands before it) answered, but not now: 429, 502, 503, 504."""
    return isinstance(error, ApiError) and isinstance(error, Unavailable)


_BY_REASON: dict[str, type[ApiError]] = {
    cls.reason: cls
    for cls in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable,
        AlreadyExists, StaleVersion, Expired, TooLarge, UnsupportedMediaType, Invalid,
        TooManyRequests, ServiceUnavailable, GatewayTimeout,
    )
}  # fmt: skip
_BY_CODE: dict[int, type[ApiError]] = {
    cls.code: cls for cls in _BY_REASON.values() if cls is not AlreadyExists
}


def from_status(code: int, status: dict[str, Any]) -> ApiError:
    """The error that a server's answer means; ``status`` may be any JSON object, or empty."""
    cls = _BY_REASON.get(str(status.get("reason", ""))) or _BY_CODE.get(code) or ApiError
    details = status.get("details")
    details = dict(details) if isinstance(details, dict) else {}
    causes = [
        Cause(str(c.get("field", "")), str(c.get("message", "")), str(c.get("reason", "")))
        for c in details.pop("causes", None) or ()
        if isinstance(c, dict)
    ]
    message = str(status.get("message") or f"the server answered {code}")
    return cls(message, details=details, causes=causes)


def not_found(resource: Resource, name: str) -> NotFound:
    """In Kubernetes' words: ``pods "x" not found``."""
    return NotFound(
        f'{resource.full_name} "{name}" not found',
        details={"name": name, "group": resource.group, "kind": resource.plural},
    )


def already_exists(resource: Resource, name: str) -> AlreadyExists:
    """In Kubernetes' words: ``pods "x" already exists``."""
    return AlreadyExists(
        f'{resource.full_name} "{name}" already exists',
        details={"name": name, "group": resource.group, "kind": resource.plural},
    )


def stale(resource: Resource, name: str, why: str = "") -> StaleVersion:
    """In Kubernetes' words: ``Operation cannot be fulfilled on pods "x": …``."""
    why = why or "the object has been modified; please apply your changes to the latest version"
    return StaleVersion(
        f'Operation cannot be fulfilled on {resource.full_name} "{name}": {why}',
        details={"name": name, "group": resource.group, "kind": resource.plural},
    )


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> Invalid:
    """In Kubernetes' words: ``Pod "x" is invalid: [cause, cause]``."""
    listed = ", ".join(str(c) for c in causes)
    return Invalid(
        f'{resource.kind}{"." + resource.group if resource.group else ""} "{name}" is invalid: '
        + (f"[{listed}]" if len(causes) > 1 else listed),
        details={"name": name, "group": resource.group, "kind": resource.kind},
        causes=causes,
    )
