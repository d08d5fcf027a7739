from __future__ import annotations

from typing import Any

import pytest

from ferryman.api.selectors import (
    Requirement,
    Selector,
    from_label_selector,
    parse_fields,
    parse_labels,
)
from ferryman.errors import UserError

WEB = {"app": "web", "tier": "front", "empty": ""}

LABELS = [
    ("", True),
    ("app=web", True),
    ("app==web", True),
    (" app = web , tier=front ", True),
    ("app=db", False),
    ("app!=db", True),
    ("app!=web", False),
    ("other!=x", True),
    ("app in (db, web)", True),
    ("app in (db)", False),
    ("app notin (db)", True),
    ("other notin (db)", True),
    ("app notin (web,db),tier", False),
    ("app", True),
    ("other", False),
    ("!other", True),
    ("!app", False),
    ("empty=", True),
    ("app=", False),
    ("example.com/name=x", False),
]


@pytest.mark.parametrize(("text", "matches"), LABELS)
def test_label_selectors_match_as_in_kubernetes(text: str, matches: bool) -> None:
    selector = Selector(labels=parse_labels(text))
    assert selector.matches({"metadata": {"labels": WEB}}) == matches
    again = Selector(labels=parse_labels(selector.label_text))
    assert again == selector


@pytest.mark.parametrize("text", ["a=b=c", "a in b", "a in (b", "=b", "!", "a b", "a=b;c=d"])
def test_what_is_no_label_selector_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="not a label selector"):
        parse_labels(text)


def test_field_selectors_look_into_the_object() -> None:
    pod = {"metadata": {"name": "a"}, "status": {"phase": "Running", "ready": True}}

    def selects(text: str) -> bool:
        return Selector(fields=parse_fields(text)).matches(pod)

    assert selects("metadata.name=a,status.phase!=Pending")
    assert selects("status.ready=true")
    assert selects("status.missing.deeper=")
    assert not selects("metadata.name=b")
    assert Selector(fields=parse_fields("a.b=c,d!=e")).field_text == "a.b=c,d!=e"


@pytest.mark.parametrize("text", ["metadata.name", "!metadata.name", "metadata.name in (a)x"])
def test_field_selectors_know_equality_only(text: str) -> None:
    with pytest.raises(UserError, match="not a field selector"):
        parse_fields(text)


def test_label_selectors_of_objects_mean_the_same() -> None:
    selector: dict[str, Any] = {
        "matchLabels": {"a": "b"},
        "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["d", "e"]},
            {"key": "f", "operator": "NotIn", "values": ["g"]},
            {"key": "h", "operator": "Exists"},
            {"key": "i", "operator": "DoesNotExist"},
        ],
    }
    terms = from_label_selector(selector)
    assert terms == (
        Requirement("a", "in", ("b",)),
        Requirement("c", "in", ("d", "e")),
        Requirement("f", "notin", ("g",)),
        Requirement("h", "exists"),
        Requirement("i", "absent"),
    )
    assert Selector(labels=terms).label_text == "a=b,c in (d,e),f!=g,h,!i"
    assert from_label_selector({}) == ()
    with pytest.raises(UserError, match="not a selector operator"):
        from_label_selector({"matchExpressions": [{"key": "a", "operator": "Like"}]})
