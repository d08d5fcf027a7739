"""YAML as people mean it: YAML 1.2's core scalars, no duplicate keys, limits; pure.

PyYAML alone reads YAML 1.1, where ``22:22`` is a number, ``on`` is true and ``017`` is 15. Here a
plain scalar is null, true, false, a decimal, hexadecimal or octal (``0o17``) integer or a float;
all else is text. Imported lazily by those who read YAML: PyYAML takes 20 ms.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

from ferryman.api.status import BadRequest

_MOST_NODES = 200_000
"""Aliases may make a small text into a huge object ("billion laughs"); this ends that."""

_DEEPEST = 100

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        "-+0123456789.",
    ),
)
"""Tag, form, first characters. Source: YAML 1.2.2, 10.3.2; ``017`` stays text, and so do ``.inf``
and ``.nan``, which JSON cannot say."""


class _Loader(_Base):  # type: ignore[misc]  # the C loader where libyaml is there
    """Builds plain data only, by the rules above."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # as above
    """Quotes what either version of YAML would take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True


def _construct_int(loader: Any, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node), 0)


def _construct_float(loader: Any, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


def _construct_mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "not a key", key_node.start_mark)
        key = key_node.value
        if key == "<<" and not key_node.style:
            why = "merge keys (<<) are no part of YAML 1.2"
            raise yaml.constructor.ConstructorError(None, None, why, key_node.start_mark)
        if key in mapping:
            why = f"duplicate key {key!r}"
            raise yaml.constructor.ConstructorError(None, None, why, key_node.start_mark)
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


for _tag, _form, _first in _CORE:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_form})\\Z"), list(_first)
        )
_Loader.yaml_implicit_resolvers[""] = [("tag:yaml.org,2002:null", re.compile(r"\Z"))]
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def load(text: str | bytes) -> Any:
    """The one document of a text; None if it is empty. Raises BadRequest, with the place."""
    documents = load_all(text)
    if len(documents) > 1:
        raise BadRequest(f"one YAML document expected, not {len(documents)}")
    return documents[0] if documents else None


def load_all(text: str | bytes) -> list[Any]:
    """Every document of a text, without the empty ones. Raises BadRequest, with the place."""
    try:
        check_depth(text)
        loader = _Loader(text)
        try:
            documents = []
            while loader.check_data():
                documents.append(loader.get_data())
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise BadRequest(f"not YAML: {' '.join(str(error).split())}") from error
    if sum(_size(document, {}) for document in documents) > _MOST_NODES:
        raise BadRequest("not YAML that anybody needs: its aliases make it too large")
    return [document for document in documents if document is not None]


def dump(obj: Any) -> str:
    """Plain data as YAML that ``load`` and YAML 1.1 readers both read back the same."""
    text: str = yaml.dump(
        obj, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text


def check_depth(text: str | bytes) -> None:
    """Raises BadRequest for deep nesting, which would crash libyaml's recursive composer."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise BadRequest("not YAML that anybody needs: nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _size(value: Any, known: dict[int, int]) -> int:
    """How many values there are once every alias is written out; linear in what is there."""
    if not isinstance(value, (dict, list)):
        return 1
    size = known.get(id(value))
    if size is None:
        inner = value.values() if isinstance(value, dict) else value
        size = known[id(value)] = 1 + sum(_size(v, known) for v in inner)
    return size
