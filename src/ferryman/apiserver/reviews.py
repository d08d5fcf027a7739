"""What a client may ask about itself: ``kubectl auth whoami`` and ``can-i``.

``authorization`` decides. A question in protobuf, as typed Go clients put it, is not decoded: it is
answered as if it were about nothing in particular.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ferryman.api.resource import Object, Resource
from ferryman.apiserver import bodies
from ferryman.apiserver.authentication import User
from ferryman.apiserver.authorization import Attributes, Authorize
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


def routes(authorize: Authorize) -> list[Route]:
    """Where the reviews are posted to."""

    async def answer(request: Request) -> Response:
        return await _answer(request, authorize)

    return [
        Route(
            f"/apis/{entry.resource.api_version}/{entry.resource.plural}", answer, methods=["POST"]
        )
        for entry in SERVED
    ]


async def _answer(request: Request, authorize: Authorize) -> Response:
    plural = request.url.path.rstrip("/").rpartition("/")[2]
    resource = next(entry.resource for entry in SERVED if entry.resource.plural == plural)
    form = accepted(request.headers.get("accept", ""))
    spec = await _spec(request)
    review: Object = {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {},
        "spec": spec,
        "status": _status(resource.kind, request.user, spec, authorize),
    }
    return document(review, form, status=201)


async def _spec(request: Request) -> Any:
    """What was asked, if it was asked in words; it goes back as it came."""
    form = body_type(request.headers.get("content-type", ""))
    body = await bodies.read(request)
    asked = bodies.decode(body, form) if body and form != "protobuf" else {}
    return asked.get("spec", {}) if isinstance(asked, dict) else {}


def _status(kind: str, user: User, spec: Any, authorize: Authorize) -> Object:
    match kind:
        case "SelfSubjectReview":
            info: Object = {"username": user.name, "groups": list(user.groups)}
            return {"userInfo": {**info, "uid": user.uid} if user.uid else info}
        case "SelfSubjectAccessReview":
            return {"allowed": authorize(user, _asked(spec))}
        case _:
            return {
                "resourceRules": [_ANYTHING],
                "nonResourceRules": [_ANY_URL],
                "incomplete": False,
            }


def _asked(spec: Any) -> Attributes:
    """What a SelfSubjectAccessReview asks about; empty if that is not an object's."""
    found = spec.get("resourceAttributes") if isinstance(spec, dict) else None
    said = {k: str(v) for k, v in found.items()} if isinstance(found, dict) else {}
    subresource = f"/{said['subresource']}" if said.get("subresource") else ""
    return Attributes(
        said.get("verb", ""),
        said.get("group", ""),
        said.get("resource", "") + subresource,
        said.get("namespace", ""),
        said.get("name", ""),
    )
