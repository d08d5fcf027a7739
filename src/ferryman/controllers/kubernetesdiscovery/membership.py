"""Which pods a KubernetesDiscovery finds, and on whose account; pure.

A pod belongs if a watch names it or one of its owners, however far, in the watch's namespace; else
if an extra selector selects it in a namespace that this discovery watches itself. ``owners`` knows
the owners; ``plan`` makes the status of what is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from ferryman.api import codec
from ferryman.api.kinds.kubernetesdiscovery import KubernetesDiscoverySpec, LabelSelector
from ferryman.api.resource import Object
from ferryman.api.selectors import Selector, from_label_selector


class Ancestor(Struct, frozen=True):
    """A pod itself or one of its owners, as far as membership goes."""

    uid: str
    name: str


Trees = Mapping[str, tuple[Ancestor, ...]]
"""The owners of pods by the pods' uids, the nearest first."""


class Member(Struct, frozen=True):
    """A pod that was found; without an ancestor's uid only a selector found it."""

    pod: Object
    ancestor_uid: str


def namespaces(spec: KubernetesDiscoverySpec, default: str) -> frozenset[str]:
    """Where to look; selectors without any watch look in the cluster's default namespace."""
    return frozenset(watch.namespace for watch in spec.watches) or frozenset({default})


def members(
    spec: KubernetesDiscoverySpec, default: str, pods: Iterable[Object], trees: Trees
) -> list[Member]:
    """The pods that belong, in the order in which they were made."""
    looked_in = namespaces(spec, default)
    selectors = [selector(s) for s in spec.extra_selectors]
    found = []
    for pod in pods:
        namespace = pod["metadata"].get("namespace", "")
        if namespace not in looked_in:
            continue
        ancestor = _ancestor(spec, pod, namespace, trees)
        if ancestor or any(s.matches(pod) for s in selectors):
            found.append(Member(pod, ancestor))
    found.sort(key=lambda m: (m.pod["metadata"].get("creationTimestamp", ""), _name(m.pod)))
    return found


def selector(written: LabelSelector) -> Selector:
    """A selector as it is written in an object that was validated."""
    return Selector(labels=from_label_selector(codec.encode(written)))


def _ancestor(spec: KubernetesDiscoverySpec, pod: Object, namespace: str, trees: Trees) -> str:
    """The uid by which a watch claims the pod, or empty. Of a watch that has a uid the name is
    for people, as in Tilt; one without finds whatever has the name now.
    """
    uid = str(pod["metadata"].get("uid", ""))
    line = (Ancestor(uid, _name(pod)), *trees.get(uid, ()))
    for watch in spec.watches:
        if watch.namespace != namespace:
            continue
        for ancestor in line:
            if watch.uid == ancestor.uid if watch.uid else watch.name == ancestor.name:
                return ancestor.uid
    return ""


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])
