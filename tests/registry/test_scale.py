from __future__ import annotations

from typing import Any

import pytest

from ferryman.api.status import BadRequest, Invalid, NotFound
from ferryman.registry.scale import from_scale, to_scale
from tests.support.object_client import ISLAND, WIDGET, island, widget


def kept() -> dict[str, Any]:
    obj = widget("a", replicas=3, selector={"matchLabels": {"a": "b"}})
    obj["metadata"]["resourceVersion"] = "5"
    return {**obj, "status": {"replicas": 2}}


def test_a_scale_says_how_many_there_are_and_should_be() -> None:
    assert to_scale(WIDGET, kept()) == {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "a", "namespace": "east", "resourceVersion": "5"},
        "spec": {"replicas": 3},
        "status": {"replicas": 2, "selector": "a=b"},
    }


def test_scaling_changes_the_replicas_and_is_based_on_the_scales_version() -> None:
    scale = {"metadata": {"resourceVersion": "4"}, "spec": {"replicas": 0}}
    scaled = from_scale(WIDGET, kept(), scale)
    assert scaled["spec"] == {**kept()["spec"], "replicas": 0}
    assert scaled["metadata"]["resourceVersion"] == "4"
    assert from_scale(WIDGET, kept(), {"spec": {}})["spec"]["replicas"] == 0


@pytest.mark.parametrize("scale", [None, [], {}, {"spec": 3}])
def test_what_is_no_scale_is_a_bad_request(scale: Any) -> None:
    with pytest.raises(BadRequest):
        from_scale(WIDGET, kept(), scale)


@pytest.mark.parametrize("replicas", [-1, "3", True, 1.5])
def test_only_a_number_scales(replicas: Any) -> None:
    with pytest.raises(Invalid, match=r"spec\.replicas"):
        from_scale(WIDGET, kept(), {"spec": {"replicas": replicas}})


def test_a_kind_that_does_not_scale_has_no_scale() -> None:
    with pytest.raises(NotFound):
        to_scale(ISLAND, island("a"))
