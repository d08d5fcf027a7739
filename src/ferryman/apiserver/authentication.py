"""Who is asking: a bearer token for every request but the few that anybody may make.

``Authenticate`` says whose token it is. Everybody who is known may do everything: these servers
are one person's own. ``app`` puts the middleware before everything else, upgrades included.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ferryman.api.status import Unauthorized
from ferryman.apiserver.errors import status_response

PUBLIC = frozenset({"/healthz", "/livez", "/readyz", "/version"})
"""What Kubernetes shows to anybody too (``system:public-info-viewer``)."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who is known, as ``kubectl auth whoami`` shows it."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ("system:authenticated",)


Authenticate = Callable[[str], User | None]
"""Whose token this is; None for nobody's. The empty string is a request without one."""


def token_of(token: str, user: User) -> Authenticate:
    """Knows one token, compared in constant time; it must not be empty."""
    if not token:
        raise ValueError("an empty token would let everybody in")
    expected = token.encode()
    return lambda given: user if hmac.compare_digest(given.encode(), expected) else None


class BearerAuthentication:
    """ASGI middleware that sets ``request.user``, or answers 401."""

    def __init__(self, app: ASGIApp, authenticate: Authenticate) -> None:
        self._app = app
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # uvicorn is told to speak nothing else
            return
        if scope["path"] not in PUBLIC:
            user = self._authenticate(_bearer_token(Request(scope)))
            if user is None:
                await status_response(Unauthorized("Unauthorized"))(scope, receive, send)
                return
            scope["user"] = user
        await self._app(scope, receive, send)


def _bearer_token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
