from __future__ import annotations

import pytest

from ferryman.api.kinds.relay import RELAY, RELAYS
from ferryman.api.resource import Name
from ferryman.api.scheme import Scheme
from ferryman.errors import UserError
from tests.support.object_client import ISLAND, WIDGET, WIDGETS, widget

SCHEME = Scheme((WIDGET, ISLAND, RELAY))


def test_kinds_are_found_by_path_by_object_and_by_resource() -> None:
    assert SCHEME.by_plural("test.ferryman.dev", "v1", "widgets") is WIDGET
    assert SCHEME.by_plural("test.ferryman.dev", "v2", "widgets") is None
    assert SCHEME.of(widget("a")) is WIDGET
    assert SCHEME[RELAYS] is RELAY
    assert list(SCHEME) == [WIDGET, ISLAND, RELAY]
    with pytest.raises(UserError, match='no matches for kind "Widget" in version "v9"'):
        SCHEME.of(widget("a") | {"apiVersion": "v9"})


def test_kinds_and_objects_have_the_names_that_people_say() -> None:
    assert WIDGET.names == ("widgets", "widget", "wd")
    assert RELAY.names == ("relays", "relay", "rl")
    assert (WIDGETS.full_name, str(WIDGETS)) == ("widgets.test.ferryman.dev",) * 2
    assert (str(Name("a")), str(Name("a", "east"))) == ("a", "east/a")
