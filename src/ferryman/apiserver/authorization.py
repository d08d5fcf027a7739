"""Who may do what: asked before every request for an object or a list, upgrades included.

``Authorize`` decides; a refusal is Kubernetes' 403, in whose words clients look for the rule that
is missing. Paths about the API itself are everybody's who is known, as in Kubernetes
(``system:discovery``). ``reviews`` gives the same answers to who asks beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from ferryman.api.scheme import Scheme as Kinds
from ferryman.api.status import Forbidden, NotFound
from ferryman.apiserver.authentication import User
from ferryman.apiserver.errors import status_response
from ferryman.apiserver.paths import resolve

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request does; ``resource`` carries the subresource, as in ``pods/log``."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""


Authorize = Callable[[User, Attributes], bool]


def everything(_: User, __: Attributes) -> bool:
    """Who is known may do everything: these servers are one person's own."""
    return True


def attributes(kinds: Kinds, scope: Scope) -> Attributes | None:
    """What a request does; None if it is not about objects."""
    try:
        target = resolve(kinds, scope["path"])
    except NotFound:
        return None
    query: bytes = scope["query_string"]
    watching = b"watch=true" in query or b"watch=1" in query
    read = "get" if target.name else "watch" if watching else "list"
    verb = _VERBS.get(scope["method"], read)
    if verb == "delete" and not target.name:
        verb = "deletecollection"
    resource = target.kind.resource
    subresource = f"/{target.subresource}" if target.subresource else ""
    return Attributes(
        verb, resource.group, resource.plural + subresource, target.namespace, target.name
    )


def refusal(user: User, asked: Attributes) -> Forbidden:
    """In Kubernetes' words (``apiserver/pkg/endpoints/handlers/responsewriters``)."""
    plural = asked.resource.partition("/")[0]
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    named = f' "{asked.name}"' if asked.name else ""
    group = f".{asked.group}" if asked.group else ""
    return Forbidden(
        f'{plural}{group}{named} is forbidden: User "{user.name}" cannot {asked.verb} resource '
        f'"{asked.resource}" in API group "{asked.group}" {where}',
        details={"name": asked.name, "group": asked.group, "kind": plural},
    )


class Authorization:
    """ASGI middleware behind the one that sets ``user``; answers 403."""

    def __init__(self, app: ASGIApp, kinds: Kinds, authorize: Authorize) -> None:
        self._app = app
        self._kinds = kinds
        self._authorize = authorize

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = attributes(self._kinds, scope) if scope["type"] == "http" else None
        if asked is not None and "user" in scope:
            for one in _all_of(asked):
                if not self._authorize(scope["user"], one):
                    await status_response(refusal(scope["user"], one))(scope, receive, send)
                    return
        await self._app(scope, receive, send)


def _all_of(asked: Attributes) -> tuple[Attributes, ...]:
    """A WebSocket into a pod, which is a GET, needs the verb of what it does too (since 1.35)."""
    connecting = asked.resource in ("pods/portforward", "pods/exec", "pods/attach")
    if not connecting or asked.verb != "get":
        return (asked,)
    return (
        asked,
        Attributes("create", asked.group, asked.resource, asked.namespace, asked.name),
    )
