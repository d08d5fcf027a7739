"""Objects and lists as HTTP answers, in the form that the client accepts.

``negotiation`` found the form, ``tables`` renders the table view, ``watching`` writes streams.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ferryman.api import codec
from ferryman.api.client import ObjectList
from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.apiserver.negotiation import JSON, YAML, Form
from ferryman.apiserver.tables import Include, partial_metadata, table

_JSON = Form()


def object_response(
    kind: Kind,
    obj: Object,
    form: Form,
    now: datetime,
    *,
    status: int = 200,
    include: Include = "Metadata",
) -> Response:
    """One object of a kind."""
    match form.view:
        case "object":
            shown = obj
        case "metadata":
            shown = partial_metadata(obj, f"meta.k8s.io/{form.version}")
        case "table":
            metadata = {"resourceVersion": obj.get("metadata", {}).get("resourceVersion", "")}
            shown = table(
                kind, [obj], now, version=form.version, include=include, metadata=metadata
            )
    return document(shown, form, status=status)


def list_response(
    kind: Kind, listed: ObjectList, form: Form, now: datetime, *, include: Include = "Metadata"
) -> Response:
    """A page of a list."""
    metadata: Object = {"resourceVersion": listed.resource_version}
    if listed.continue_token:
        metadata["continue"] = listed.continue_token
    if listed.remaining is not None:
        metadata["remainingItemCount"] = listed.remaining
    match form.view:
        case "object":
            shown = {
                "kind": f"{kind.resource.kind}List",
                "apiVersion": kind.resource.api_version,
                "metadata": metadata,
                "items": listed.items,
            }
        case "metadata":
            api_version = f"meta.k8s.io/{form.version}"
            shown = {
                "kind": "PartialObjectMetadataList",
                "apiVersion": api_version,
                "metadata": metadata,
                "items": [partial_metadata(obj, api_version) for obj in listed.items],
            }
        case "table":
            shown = table(
                kind, listed.items, now, version=form.version, include=include, metadata=metadata
            )
    return document(shown, form)


def document(obj: Any, form: Form = _JSON, *, status: int = 200) -> Response:
    """Any plain data as JSON or YAML."""
    if form.encoding == "yaml":
        from ferryman.api import yaml  # 20 ms that most servers never need

        return Response(yaml.dump(obj), status, media_type=YAML)
    return Response(codec.to_json(obj), status, media_type=JSON)


def with_warnings(request: Request, response: Response) -> Response:
    """The answer with what ``bodies`` found doubtful about the request."""
    for warning in getattr(request.state, "warnings", ()):
        response.headers.append("Warning", _warning(warning))
    return response


def _warning(text: str) -> str:
    """RFC 7234, 5.5: code, agent, quoted text; header values are latin-1 and one line."""
    plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
    quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'
