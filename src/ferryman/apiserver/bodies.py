"""Request bodies: read within a limit, decoded, held against the kind's schema.

JSON and YAML for objects; Kubernetes' protobuf for the few requests that kubectl sends so
(``protobuf``). ``fieldValidation`` is answered here, because only HTTP has it: the store keeps or
drops unknown fields as the schema says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request

from ferryman.api import codec
from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.api.status import BadRequest, TooLarge
from ferryman.apiserver.negotiation import BodyType, body_type
from ferryman.apiserver.parameters import FieldValidation
from ferryman.registry.structural import unknown_fields

MOST_BYTES = 3 * 1024 * 1024
"""Kubernetes' own limit for what it decodes."""

_MOST_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class Decoded:
    """An object from a request, and what a client should be warned of."""

    obj: Object
    warnings: tuple[str, ...] = ()


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


async def read_object(request: Request, kind: Kind, validation: FieldValidation) -> Decoded:
    """The object that a create or an update brings.

    Raises BadRequest (also for unknown and duplicate fields if they are to be errors),
    UnsupportedMediaType, TooLarge.
    """
    form = body_type(request.headers.get("content-type", ""))
    body = await read(request)
    if form == "protobuf":
        raise BadRequest("objects are understood in JSON and YAML only, not in protobuf")
    decoded = decode(body, form)
    if not isinstance(decoded, dict):
        raise BadRequest("an object expected in the body of the request")
    doubts = () if validation == "Ignore" else _doubts(kind, body, form, decoded)
    return Decoded(decoded, judge(kind, doubts, validation))


def decode(body: bytes, form: BodyType) -> Any:
    """Plain data from JSON or YAML; raises BadRequest."""
    if form == "yaml":
        from ferryman.api import yaml  # 20 ms that most servers never need

        return yaml.load(body)
    return codec.from_json(body)


def judge(kind: Kind, doubts: tuple[str, ...], validation: FieldValidation) -> tuple[str, ...]:
    """The warnings that doubts about fields become; raises BadRequest if they are errors."""
    if doubts and validation == "Strict":
        raise BadRequest(
            f"{kind.resource.kind} in version {kind.resource.version!r} cannot be handled as a "
            f"{kind.resource.kind}: strict decoding error: {', '.join(doubts)}".replace("'", '"')
        )
    return doubts


def doubts_about(kind: Kind, obj: Object) -> tuple[str, ...]:
    """The fields that a kind's schema does not know, in Kubernetes' words."""
    found: list[str] = []
    for path in unknown_fields(kind.schema, obj):
        found.append(f'unknown field "{path}"')
        if len(found) == _MOST_WARNINGS:
            break
    return tuple(found)


def _doubts(kind: Kind, body: bytes, form: BodyType, obj: Object) -> tuple[str, ...]:
    twice = codec.duplicate_keys(body) if form == "json" else []
    duplicates = tuple(f'duplicate field "{key}"' for key in twice[:_MOST_WARNINGS])
    return (*duplicates, *doubts_about(kind, obj))


def _too_large() -> TooLarge:
    return TooLarge(f"the request's body is too large: at most {MOST_BYTES} bytes are read")
