"""Causes in Kubernetes' words, and the syntax of names that many kinds share; pure.

Source: apimachinery ``pkg/util/validation`` and ``field/errors.go`` (1.36).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ferryman.api.status import Cause

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL + r"\Z")
_DNS_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
_PORT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")


def required(field: str, why: str = "") -> Cause:
    """A field that must be there is not."""
    return Cause(field, f"Required value: {why}" if why else "Required value", "FieldValueRequired")


def bad(field: str, value: Any, why: str) -> Cause:
    """A value that cannot be; ``why`` says what can."""
    return Cause(field, f"Invalid value: {_shown(value)}: {why}")


def mistyped(field: str, value: Any, expected: str) -> Cause:
    """A value of another type than the schema's."""
    why = f'{field} in body must be of type {expected}: "{type_name(value)}"'
    return Cause(field, f'Invalid value: "{type_name(value)}": {why}', "FieldValueTypeInvalid")


def unsupported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    """A value that is none of a few."""
    listed = ", ".join(f'"{s}"' for s in supported)
    message = f"Unsupported value: {_shown(value)}: supported values: {listed}"
    return Cause(field, message, "FieldValueNotSupported")


def duplicate(field: str, value: Any) -> Cause:
    """A value that must be there once is there twice."""
    return Cause(field, f"Duplicate value: {_shown(value)}", "FieldValueDuplicate")


def forbidden(field: str, why: str) -> Cause:
    """A field that may not be set, or not be changed."""
    return Cause(field, f"Forbidden: {why}", "FieldValueForbidden")


def too_many(field: str, count: int, most: int) -> Cause:
    """A list or map that is too long."""
    return Cause(field, f"Too many: {count}: must have at most {most} items", "FieldValueTooMany")


def type_name(value: Any) -> str:
    """JSON's name for a value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def subdomain(field: str, value: str) -> Iterator[Cause]:
    """What is wrong with a DNS-1123 subdomain, which names of objects are."""
    if len(value) > 253:
        yield bad(field, value, "must be no more than 253 bytes")
    if not _DNS_SUBDOMAIN.match(value):
        yield bad(
            field,
            value,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            "'-' or '.', and must start and end with an alphanumeric character",
        )


def label(field: str, value: str) -> Iterator[Cause]:
    """What is wrong with a DNS-1123 label, which namespaces and container names are."""
    if len(value) > 63:
        yield bad(field, value, "must be no more than 63 bytes")
    if not _DNS_LABEL.match(value):
        yield bad(
            field,
            value,
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
            "'-', and must start and end with an alphanumeric character",
        )


def qualified_name(field: str, value: str) -> Iterator[Cause]:
    """What is wrong with ``[prefix/]name``, which keys of labels and finalizers are."""
    prefix, slash, name = value.rpartition("/")
    if slash and (len(prefix) > 253 or not _DNS_SUBDOMAIN.match(prefix)):
        yield bad(field, value, "prefix part must be a lowercase RFC 1123 subdomain")
    if not name or len(name) > 63 or not _QUALIFIED.match(name):
        yield bad(
            field,
            value,
            "name part must consist of at most 63 alphanumeric characters, '-', '_' or '.', and "
            "must start and end with an alphanumeric character",
        )


def label_value(field: str, value: str) -> Iterator[Cause]:
    """What is wrong with a label's value."""
    if value and (len(value) > 63 or not _QUALIFIED.match(value)):
        yield bad(
            field,
            value,
            "a valid label must be an empty string or consist of at most 63 alphanumeric "
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        )


def port_number(field: str, value: int, least: int = 1) -> Iterator[Cause]:
    """What is wrong with a port; ``least`` 0 allows a random one."""
    if not least <= value <= 65535:
        yield bad(field, value, f"must be between {least} and 65535, inclusive")


def port_name(field: str, value: str) -> Iterator[Cause]:
    """What is wrong with an IANA service name, which names of ports are."""
    if (
        len(value) > 15
        or not _PORT_NAME.match(value)
        or "--" in value
        or not any(c.isalpha() for c in value)
    ):
        yield bad(
            field,
            value,
            "a port's name must have at most 15 lower case letters, digits and single '-', with "
            "at least one letter",
        )


def _shown(value: Any) -> str:
    if isinstance(value, str):
        short = value if len(value) <= 100 else value[:97] + "..."
        return f'"{short}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    return f'"{type_name(value)}"'
