"""Request bodies: read within a limit, decoded, held against the kind's schema.

JSON and YAML for objects; Kubernetes' protobuf for the few requests that kubectl sends so
(``protobuf``). ``fieldValidation`` is answered here, because only HTTP has it: the store keeps or
drops unknown fields as the schema says.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from starlette.requests import ClientDisconnect, Request

from ferryman.api import codec
from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.api.status import BadRequest, TooLarge, UnsupportedMediaType
from ferryman.apiserver.negotiation import BodyType, body_type
from ferryman.apiserver.parameters import FieldValidation
from ferryman.registry.structural import unknown_fields

MOST_BYTES = 3 * 1024 * 1024
"""Kubernetes' own limit for what it decodes."""

_NO_PROTOBUF = (
    "objects are understood in JSON and YAML, not in protobuf; with kubectl, use a file (apply -f)"
)
_MOST_WARNINGS = 20


async def read(request: Request) -> bytes:
    """The whole body; raises TooLarge."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MOST_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise _too_large()
    except ClientDisconnect as cause:
        raise BadRequest("the request ended before its body") from cause
    return bytes(body)


async def read_object(request: Request, kind: Kind, validation: FieldValidation) -> Object:
    """The object that a create or an update brings; what is doubtful becomes a warning.

    Raises BadRequest (also for unknown and duplicate fields if they are to be errors),
    UnsupportedMediaType, TooLarge.
    """
    form = body_type(request.headers.get("content-type", ""))
    body = await read(request)
    if form == "protobuf":
        raise UnsupportedMediaType(_NO_PROTOBUF)
    decoded = decode(body, form)
    if not isinstance(decoded, dict):
        raise BadRequest("an object expected in the body of the request")
    if validation != "Ignore":
        twice = codec.duplicate_keys(body) if form == "json" else []
        duplicates = [f'duplicate field "{key}"' for key in twice[:_MOST_WARNINGS]]
        _judge(request, kind, [*duplicates, *_unknown(kind, decoded)], validation)
    return decoded


def check_patch(request: Request, kind: Kind, patch: Any, validation: FieldValidation) -> None:
    """Hold what a merge, strategic or apply patch writes against the schema, as above."""
    if validation != "Ignore":
        _judge(request, kind, _unknown(kind, _written(patch)), validation)


def decode(body: bytes, form: BodyType) -> Any:
    """Plain data from JSON or YAML; raises BadRequest."""
    if form == "yaml":
        from ferryman.api import yaml  # 20 ms that most servers never need

        return yaml.load(body)
    return codec.from_json(body)


def _judge(request: Request, kind: Kind, doubts: list[str], validation: FieldValidation) -> None:
    if doubts and validation == "Strict":
        name, version = kind.resource.kind, kind.resource.version
        raise BadRequest(
            f'{name} in version "{version}" cannot be handled as a {name}: strict decoding error: '
            + ", ".join(doubts)
        )
    request.state.warnings = doubts


def _unknown(kind: Kind, obj: Any) -> list[str]:
    """The fields that a kind's schema does not know, in Kubernetes' words."""
    found = islice(unknown_fields(kind.schema, obj), _MOST_WARNINGS)
    return [f'unknown field "{path}"' for path in found]


def _written(patch: Any) -> Any:
    """What a patch puts into an object: neither deletions nor directives."""
    if isinstance(patch, dict):
        return {
            key: _written(value)
            for key, value in patch.items()
            if value is not None and not key.startswith("$")
        }
    if isinstance(patch, list):
        return [_written(item) for item in patch]
    return patch


def _too_large() -> TooLarge:
    return TooLarge(f"the request's body is too large: at most {MOST_BYTES} bytes are read")
