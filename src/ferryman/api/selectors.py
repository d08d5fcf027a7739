"""Label and field selectors: parsed once, matched often.

Grammar: Kubernetes' ``labels.Parse`` (``a=b``, ``a==b``, ``a!=b``, ``a``, ``!a``, ``a in (b,c)``,
``a notin (b,c)``) and ``fields.ParseSelector`` (``metadata.name=x``, ``!=``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from ferryman.api.resource import Object
from ferryman.errors import UserError

Operator = Literal["in", "notin", "exists", "absent"]

_TERM = re.compile(
    r"""\s*(?:
      (?P<setkey>[^\s!=,()]+)\s+(?P<setop>in|notin)\s*\((?P<values>[^()]*)\)
    | (?P<key>[^\s!=,()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s,()=!]*)
    | !\s*(?P<absent>[^\s!=,()]+)
    | (?P<exists>[^\s!=,()]+)
    )\s*(?:,|$)""",
    re.VERBOSE,
)


class Requirement(Struct, frozen=True):
    """One term of a selector."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a set of labels fulfils it; an absent key is ``notin`` anything."""
        has = self.key in labels
        match self.operator:
            case "in":
                return has and labels[self.key] in self.values
            case "notin":
                return not has or labels[self.key] not in self.values
            case "exists":
                return has
            case "absent":
                return not has

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "absent":
                return f"!{self.key}"
            case "in" if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case "notin" if len(self.values) == 1:
                return f"{self.key}!={self.values[0]}"
            case _:
                return f"{self.key} {self.operator} ({','.join(self.values)})"


class Selector(Struct, frozen=True):
    """Which objects: all of the label terms and all of the field terms. Empty selects all."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def matches(self, obj: Object) -> bool:
        """Whether the object is selected."""
        meta = obj.get("metadata", {})
        labels = meta.get("labels") or {}
        return all(r.matches(labels) for r in self.labels) and all(
            r.matches({r.key: _field(obj, r.key)}) for r in self.fields
        )

    @property
    def label_text(self) -> str:
        """As ``labelSelector=`` takes it."""
        return ",".join(str(r) for r in self.labels)

    @property
    def field_text(self) -> str:
        """As ``fieldSelector=`` takes it."""
        return ",".join(str(r) for r in self.fields)


ALL = Selector()


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """The terms of a label selector; raises UserError."""
    return tuple(_terms(text, "label"))


def parse_fields(text: str) -> tuple[Requirement, ...]:
    """The terms of a field selector: equality only; raises UserError."""
    terms = tuple(_terms(text, "field"))
    for term in terms:
        if term.operator not in ("in", "notin") or len(term.values) != 1:
            raise UserError(f"not a field selector: {text!r}", "write field=value or field!=value")
    return terms


def from_label_selector(selector: Mapping[str, Any]) -> tuple[Requirement, ...]:
    """The terms of a ``metav1.LabelSelector`` (matchLabels, matchExpressions)."""
    operators: dict[str, Operator] = {
        "In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent",
    }  # fmt: skip
    terms = [Requirement(k, "in", (v,)) for k, v in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        operator = operators.get(expression.get("operator", ""))
        if operator is None:
            raise UserError(f"not a selector operator: {expression.get('operator')!r}")
        values = tuple(expression.get("values") or ())
        terms.append(Requirement(expression["key"], operator, values))
    return tuple(terms)


def _terms(text: str, what: str) -> list[Requirement]:
    terms: list[Requirement] = []
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise UserError(f"not a {what} selector: {text!r}", f"stuck at {text[at:]!r}")
        at = found.end()
        group = found.groupdict()
        if group["setkey"] is not None:
            values = tuple(v.strip() for v in group["values"].split(","))
            terms.append(
                Requirement(group["setkey"], "in" if group["setop"] == "in" else "notin", values)
            )
        elif group["key"] is not None:
            operator: Operator = "notin" if group["op"] == "!=" else "in"
            terms.append(Requirement(group["key"], operator, (group["value"],)))
        elif group["absent"] is not None:
            terms.append(Requirement(group["absent"], "absent"))
        else:
            terms.append(Requirement(group["exists"], "exists"))
    return terms


def _field(obj: Object, path: str) -> str:
    at: Any = obj
    for part in path.split("."):
        at = at.get(part) if isinstance(at, dict) else None
    return "" if at is None else str(at).lower() if isinstance(at, bool) else str(at)
