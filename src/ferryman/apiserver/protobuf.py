"""The little protobuf that clients send even to servers that speak JSON; pure.

Typed Go clients send ``DeleteOptions`` and reviews in Kubernetes' protobuf envelope. Reviews need
no decoding to be answered; of DeleteOptions all fields matter. Sources: apimachinery
``runtime.Unknown`` and ``meta/v1/generated.proto`` (1.36).
"""

from __future__ import annotations

from collections.abc import Iterator

from ferryman.api.resource import Object
from ferryman.api.status import BadRequest

_MAGIC = b"k8s\0"
_RAW = 2  # of runtime.Unknown
_MOST_FIELDS = 64


def delete_options(body: bytes) -> Object:
    """``DeleteOptions`` as JSON has them; raises BadRequest."""
    options: Object = {}
    for number, value in _fields(_payload(body)):
        match number, value:
            case 1, int():
                options["gracePeriodSeconds"] = _signed(value)
            case 2, bytes():
                options["preconditions"] = _preconditions(value)
            case 3, int():
                options["orphanDependents"] = bool(value)
            case 4, bytes():
                options["propagationPolicy"] = _text(value)
            case 5, bytes():
                options.setdefault("dryRun", []).append(_text(value))
    return options


def _preconditions(message: bytes) -> Object:
    names = {1: "uid", 2: "resourceVersion"}
    return {
        names[number]: _text(value)
        for number, value in _fields(message)
        if number in names and isinstance(value, bytes)
    }


def _payload(body: bytes) -> bytes:
    if not body.startswith(_MAGIC):
        raise BadRequest("not Kubernetes' protobuf: the magic bytes are missing")
    for number, value in _fields(body[len(_MAGIC) :]):
        if number == _RAW and isinstance(value, bytes):
            return value
    return b""


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers with their varints or bytes; fixed-width fields are passed over."""
    at, count = 0, 0
    while at < len(message):
        count += 1
        if count > _MOST_FIELDS:
            raise BadRequest("not protobuf that anybody needs: too many fields")
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                value, at = _varint(message, at)
                yield key >> 3, value
            case 2:
                length, at = _varint(message, at)
                if length > len(message) - at:
                    raise BadRequest("not protobuf: a field is cut short")
                yield key >> 3, message[at : at + length]
                at += length
            case 1 | 5 as wire_type:
                at += 8 if wire_type == 1 else 4
            case _:
                raise BadRequest("not protobuf: an unknown wire type")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise BadRequest("not protobuf: a number is cut short")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as cause:
        raise BadRequest("not protobuf: text is not UTF-8") from cause
