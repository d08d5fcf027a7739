"""A kubeconfig file as a document: YAML whose scalars stay text, and typed looks into it.

A token may look like a number and a name like a boolean, so only null, true and false are told from
text; what looks like a number is a Numeral, a text that remembers it. ``kubeconfig`` knows what the
entries mean.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ferryman.api.status import BadRequest
from ferryman.errors import UserError

_LARGEST_FILE = 16 << 20


class Numeral(str):
    """A plain scalar that is a number in JSON, as the file spells it."""

    __slots__ = ()


class Entry(Struct, frozen=True):
    """A named cluster, user or context, and the file that it comes from."""

    value: Mapping[str, Any]
    file: str

    def text(self, key: str) -> str:
        value = self.value.get(key)
        if value is not None and not isinstance(value, str):
            raise UserError(f"{self.file}: {key} has to be a text")
        return value or ""

    def path(self, key: str) -> str:
        """A path in the file, made absolute; empty if there is none."""
        text = self.text(key)
        return os.path.join(os.path.dirname(os.path.abspath(self.file)), text) if text else ""

    def flag(self, key: str) -> bool:
        value = self.value.get(key)
        if not isinstance(value, bool | None):
            raise UserError(f"{self.file}: {key} has to be true or false")
        return bool(value)

    def items(self, key: str) -> list[Entry]:
        """A list of mappings; empty if there is none."""
        found = self.value.get(key) or []
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise UserError(f"{self.file}: {key} has to be a list of mappings")
        return [Entry(item, self.file) for item in found]

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty if there is none."""
        found = self.value.get(key) or []
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise UserError(f"{self.file}: {key} has to be a list of texts")
        return tuple(found)

    def inner(self, key: str) -> Entry | None:
        """A mapping; None if there is none."""
        found = self.value.get(key)
        if not isinstance(found, dict | None):
            raise UserError(f"{self.file}: {key} has to be a mapping")
        return None if found is None else Entry(found, self.file)

    def pem(self, key: str) -> bytes | None:
        """``key-data`` in base64, else the file that ``key`` names, else None."""
        if data := self.text(f"{key}-data"):
            try:
                return base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError) as cause:
                raise UserError(f"{self.file}: {key}-data is not base64: {cause}") from cause
        path = self.path(key)
        return read(path, f"{key} in {self.file}") if path else None


def read(path: str, what: str) -> bytes:
    """The file's bytes; raises UserError, which says ``what`` was wanted of it."""
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as cause:
        raise UserError(f"cannot read {what}: {path}: {cause.strerror}") from cause
    if len(data) > _LARGEST_FILE:
        raise UserError(f"cannot read {what}: {path} is larger than {_LARGEST_FILE} bytes")
    return data


def parse(data: bytes, file: str) -> Mapping[str, Any]:
    """The document, from YAML or JSON; raises UserError."""
    import yaml  # takes 15 ms; whoever only relays never needs it

    from ferryman.api.yaml import check_depth

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # dynamic
        yaml_implicit_resolvers = _RESOLVERS

    Loader.add_constructor(_NUMERAL, lambda loader, node: Numeral(loader.construct_scalar(node)))
    try:
        check_depth(data)
        document = yaml.load(data, Loader)  # noqa: S506 - a SafeLoader with fewer types
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, BadRequest) as cause:
        raise UserError(f"{file} is not YAML{_place(cause)}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UserError(f"{file} is not a kubeconfig: it is no mapping")
    return document


def _place(cause: Exception) -> str:
    """Where it is wrong and how, without quoting the file, which has secrets."""
    mark = getattr(cause, "problem_mark", None)
    where = f" at line {mark.line + 1}" if mark is not None else ""
    problem = getattr(cause, "problem", None) or getattr(cause, "message", "")
    return f"{where}: {problem}" if problem else where


def plain(value: Any) -> Any:
    """The value with its numerals made numbers, as JSON is to have it."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if not isinstance(value, Numeral):
        return value
    return int(value) if _WHOLE.match(value) else float(value)


_NUMERAL = "!numeral"
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\Z")
_NUMBER = r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2})?\Z"
"""JSON's numbers, but none that a float cannot say."""
_RESOLVERS = {
    first: [(tag, re.compile(form))]
    for tag, form, firsts in (
        ("tag:yaml.org,2002:null", r"(?:~|null|Null|NULL|)\Z", ("~", "n", "N", "")),
        ("tag:yaml.org,2002:bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
        (_NUMERAL, _NUMBER, "-0123456789"),
    )
    for first in firsts
}
