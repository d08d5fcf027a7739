"""What a client may ask about itself: ``kubectl auth whoami`` and ``can-i``.

Who is known may do everything (``authentication``), so the answers are short; the requests, which
typed Go clients send in protobuf, need not be decoded to be answered.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ferryman.api.resource import Object, Resource
from ferryman.apiserver import bodies
from ferryman.apiserver.authentication import User
from ferryman.apiserver.discovery import Served
from ferryman.apiserver.negotiation import accepted, body_type
from ferryman.apiserver.responses import document

_AUTHENTICATION = "authentication.k8s.io"
_AUTHORIZATION = "authorization.k8s.io"
_ANYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
_ANY_URL = {"verbs": ["*"], "nonResourceURLs": ["*"]}


def _review(group: str, plural: str, kind: str) -> Served:
    resource = Resource(group, "v1", plural, kind, False)
    return Served(resource, kind.lower(), verbs=("create",))


SERVED = (
    _review(_AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview"),
    _review(_AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    _review(_AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
)
"""For discovery."""


def routes() -> list[Route]:
    """Where the reviews are posted to."""
    return [
        Route(
            f"/apis/{entry.resource.api_version}/{entry.resource.plural}", _answer, methods=["POST"]
        )
        for entry in SERVED
    ]


async def _answer(request: Request) -> Response:
    plural = request.url.path.rstrip("/").rpartition("/")[2]
    resource = next(entry.resource for entry in SERVED if entry.resource.plural == plural)
    form = accepted(request.headers.get("accept", ""))
    spec = await _spec(request)
    review: Object = {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {},
        "spec": spec,
        "status": _status(resource.kind, request.user),
    }
    return document(review, form, status=201)


async def _spec(request: Request) -> Any:
    """What was asked, if it was asked in words; it goes back as it came."""
    form = body_type(request.headers.get("content-type", ""))
    body = await bodies.read(request)
    asked = bodies.decode(body, form) if body and form != "protobuf" else {}
    return asked.get("spec", {}) if isinstance(asked, dict) else {}


def _status(kind: str, user: User) -> Object:
    match kind:
        case "SelfSubjectReview":
            info: Object = {"username": user.name, "groups": list(user.groups)}
            return {"userInfo": {**info, "uid": user.uid} if user.uid else info}
        case "SelfSubjectAccessReview":
            return {"allowed": True, "reason": "who is known here may do everything"}
        case _:
            return {
                "resourceRules": [_ANYTHING],
                "nonResourceRules": [_ANY_URL],
                "incomplete": False,
            }
