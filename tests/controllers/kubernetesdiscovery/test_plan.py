"""Which pods belong, which one is the best, which is remembered: by tables."""

from __future__ import annotations

from typing import Any

import pytest

from ferryman.api.kinds.kubernetesdiscovery import (
    KubernetesDiscoverySpec,
    LabelSelector,
    Pod,
    Watch,
)
from ferryman.api.resource import Object
from ferryman.controllers.kubernetesdiscovery.membership import (
    Ancestor,
    Member,
    members,
    namespaces,
)
from ferryman.controllers.kubernetesdiscovery.plan import best, kept
from ferryman.controllers.kubernetesdiscovery.pods import pod_of


def pod(
    name: str,
    *,
    namespace: str = "n",
    labels: dict[str, str] | None = None,
    created: int = 0,
    phase: str = "Running",
    ready: bool = True,
    deleting: bool = False,
) -> Object:
    meta: Object = {
        "name": name,
        "namespace": namespace,
        "uid": f"u-{name}",
        "labels": labels or {},
        "creationTimestamp": f"2026-01-01T00:00:{created:02}Z",
    }
    if deleting:
        meta["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "metadata": meta,
        "spec": {},
        "status": {"phase": phase, "podIP": "10.0.0.1", "conditions": [condition]},
    }


TREES = {"u-a": (Ancestor("rs", "web-1"), Ancestor("dep", "web"))}
APP = LabelSelector(match_labels={"app": "x"})

BELONGS: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("the pod's own uid", {"watches": (Watch(uid="u-b", namespace="n"),)}, {"b": "u-b"}),
    ("an owner's uid", {"watches": (Watch(uid="rs", namespace="n"),)}, {"a": "rs"}),
    ("an owner's owner's", {"watches": (Watch(uid="dep", namespace="n"),)}, {"a": "dep"}),
    ("its name", {"watches": (Watch(name="web", namespace="n"),)}, {"a": "dep"}),
    ("beside a uid its name says nothing",
     {"watches": (Watch(uid="x", name="web", namespace="n"),)}, {}),
    ("another namespace", {"watches": (Watch(uid="dep", namespace="m"),)}, {}),
    ("a namespace alone", {"watches": (Watch(namespace="n"),)}, {}),
    (
        "a selector",
        {"watches": (Watch(namespace="n"),), "extra_selectors": (APP,)},
        {"b": ""},
    ),
    (
        "an ancestor beside a selector",
        {"watches": (Watch(uid="u-b", namespace="n"),), "extra_selectors": (APP,)},
        {"b": "u-b"},
    ),
    (
        "a selector is bound to the watches' namespaces",
        {"watches": (Watch(namespace="m"),), "extra_selectors": (APP,)},
        {"c": ""},
    ),
    ("a selector alone", {"extra_selectors": (APP,)}, {"b": ""}),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "found"), [b[1:] for b in BELONGS], ids=[b[0] for b in BELONGS])
def test_pods_belong_by(spec: dict[str, Any], found: dict[str, str]) -> None:
    pods = [
        pod("a"),
        pod("b", labels={"app": "x"}),
        pod("c", labels={"app": "x"}, namespace="m"),
    ]
    belonging = members(KubernetesDiscoverySpec(**spec), "n", pods, TREES)
    assert {m.pod["metadata"]["name"]: m.ancestor_uid for m in belonging} == found


def test_selectors_without_watches_look_in_the_default_namespace() -> None:
    assert namespaces(KubernetesDiscoverySpec(extra_selectors=(APP,)), "d") == {"d"}
    watches = (Watch(namespace="a"), Watch(namespace="b"))
    assert namespaces(KubernetesDiscoverySpec(watches=watches), "d") == {"a", "b"}


BEST = [
    ("none", [], None),
    ("not while pending", [pod("a", phase="Pending")], None),
    ("not when completed", [pod("a", phase="Succeeded"), pod("b", phase="Failed")], None),
    ("a pending one is no rival", [pod("a"), pod("b", phase="Pending", created=1)], "a"),
    ("the newest", [pod("a", created=1), pod("b", created=0)], "a"),
    ("the greatest name of equals", [pod("a"), pod("c"), pod("b")], "c"),
    ("one that stays", [pod("a"), pod("b", created=1, deleting=True)], "a"),
    ("one that is going, if there is no other", [pod("a", deleting=True)], "a"),
    ("even without a phase", [pod("a", phase="Pending", deleting=True)], "a"),
    ("a ready one before a newer", [pod("a"), pod("b", created=1, ready=False)], "a"),
    ("one that is not ready before one that goes",
     [pod("a", deleting=True), pod("b", ready=False)], "b"),
]  # fmt: skip


@pytest.mark.parametrize(("pods", "name"), [b[1:] for b in BEST], ids=[b[0] for b in BEST])
def test_the_best_pod_is(pods: list[Object], name: str | None) -> None:
    for seen in (pods, list(reversed(pods))):
        found = best(seen)
        assert (found["metadata"]["name"] if found else None) == name


def said(name: str, ancestor: str = "dep", **more: Any) -> Pod:
    return pod_of(pod(name, **{"phase": "Succeeded", **more}), ancestor, None)


WATCHING = KubernetesDiscoverySpec(watches=(Watch(uid="dep", namespace="n"),))

KEPT = [
    ("alone", [said("a")], [], True, ["a"]),
    ("failed ones, too", [said("a", phase="Failed")], [], True, ["a"]),
    ("not one that ran", [said("a", phase="Running")], [], True, []),
    ("not beside a sibling", [said("a")], [Member(pod("b"), "dep")], True, []),
    ("not if it is not gone", [said("a")], [Member(pod("a", phase="Succeeded"), "")], True, []),
    ("the newest of several", [said("a", created=2), said("b")], [], True, ["a"]),
    ("a new spec that still watches it", [said("a")], [], False, ["a"]),
    ("not of a former spec", [said("a", "x"), said("b", "")], [], False, []),
    ("found by a selector of this spec", [said("a", "")], [], True, ["a"]),
]


@pytest.mark.parametrize(
    ("before", "found", "same", "names"), [k[1:] for k in KEPT], ids=[k[0] for k in KEPT]
)
def test_of_what_is_gone_is_remembered(
    before: list[Pod], found: list[Member], same: bool, names: list[str]
) -> None:
    assert [p.name for p in kept(WATCHING, before, found, same_spec=same)] == names
