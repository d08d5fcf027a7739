"""What a person may forward to, and what that comes to in a cluster; pure.

``deploy/example-go`` is parsed to a Target; ``object_selector`` and ``pod_selector`` say what to
watch for it, ``pods_of`` which of the pods seen belong to it, ``resolve_port`` which port in a pod
is meant. ``pods`` then judges the pods, ``dialspec`` makes endpoints of both.

Rules and error texts are kubectl's (``polymorphichelpers``, ``pkg/util/service_port.go``, 1.37),
so that what people search for is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ferryman.api.resource import Object, Resource
from ferryman.api.selectors import Requirement, Selector, from_label_selector
from ferryman.errors import UserError
from ferryman.kube.resources import DEPLOYMENTS, PODS, SERVICES, STATEFULSETS

TargetKind = Literal["pod", "deployment", "statefulset", "service"]

RESOURCES: Mapping[TargetKind, Resource] = {
    "pod": PODS,
    "deployment": DEPLOYMENTS,
    "statefulset": STATEFULSETS,
    "service": SERVICES,
}
_SHORT: Mapping[str, TargetKind] = {
    "po": "pod",
    "deploy": "deployment",
    "sts": "statefulset",
    "svc": "service",
}
_HEADLESS = "None"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """Something in a cluster that has pods."""

    kind: TargetKind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def resource(self) -> Resource:
        """The kind to read the target itself from."""
        return RESOURCES[self.kind]


def parse(text: str, namespace: str) -> Target:
    """The target that ``TYPE/NAME`` or ``NAME`` (a pod) means; raises UserError."""
    kind, slash, name = text.partition("/")
    if not slash:
        kind, name = "pod", text
    if "/" in name:
        raise UserError("arguments in resource/name form may not have more than one slash")
    if not kind or not name:
        raise UserError(
            f"arguments in resource/name form must have a single resource and name: {text!r}",
            "write TYPE/NAME, such as deploy/example-go",
        )
    return Target(parse_kind(kind), namespace, name)


def parse_kind(text: str) -> TargetKind:
    """The kind that ``deploy``, ``Deployment`` or ``deployments.v1.apps`` means; UserError."""
    name, _, group = text.lower().partition(".")
    for kind, resource in RESOURCES.items():
        versioned = f"{resource.version}.{resource.group}".rstrip(".")
        called_so = name in (kind, resource.plural) or _SHORT.get(name) == kind
        if called_so and group in ("", resource.group, versioned):
            return kind
    import difflib  # only a mistake needs it

    near = difflib.get_close_matches(name, [*RESOURCES, *_SHORT], n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(RESOURCES)}"
    raise UserError(f'the server doesn\'t have a resource type "{text}"', hint)


def object_selector(target: Target) -> Selector:
    """Selects the target itself among ``target.resource``."""
    return Selector(fields=(Requirement("metadata.name", "in", (target.name,)),))


def pod_selector(target: Target, target_object: Object) -> Selector:
    """Selects the pods that may belong to the target, as narrowly as the server can.

    Raises UserError if the target can have none.
    """
    if target.kind == "pod":
        return object_selector(target)
    spec = target_object.get("spec") or {}
    selector = spec.get("selector") or {}
    if target.kind == "service":
        if not selector:
            raise UserError(
                f"cannot attach to *v1.Service: invalid service '{target.name}': "
                "Service is defined without a selector"
            )
        selector = {"matchLabels": selector}
    terms = from_label_selector(selector)
    if not terms:  # an empty selector would select every pod of the namespace
        raise UserError(f"{target} has no selector, so no pods belong to it")
    return Selector(labels=terms)


def pods_of(
    target: Target,
    target_object: Object,
    pods: Iterable[Object],
    replica_sets: Iterable[Object] | None = None,
) -> list[Object]:
    """The pods that belong to the target, in the order given.

    A deployment's pods belong through ReplicaSets: with these given, ownership is exact. Without
    (we may not be allowed to read them), labels decide, as in kubectl, except that a pod which
    something other than a ReplicaSet controls is not a deployment's. Raises as ``pod_selector``.
    """
    selector = pod_selector(target, target_object)
    owners = _owners(target, target_object, replica_sets)
    return [
        pod
        for pod in pods
        if pod["metadata"].get("namespace", "") == target.namespace
        and selector.matches(pod)
        and _owned(target, pod, owners)
    ]


def _owners(
    target: Target, target_object: Object, replica_sets: Iterable[Object] | None
) -> frozenset[str] | None:
    """The UIDs that may control a pod of the target; None if they are not known."""
    uid = target_object["metadata"].get("uid", "")
    if target.kind == "statefulset":
        return frozenset({uid})
    if target.kind == "deployment" and replica_sets is not None:
        return frozenset(
            r["metadata"].get("uid", "")
            for r in replica_sets
            if (_controller(r) or {}).get("uid") == uid
        )
    return None


def _owned(target: Target, pod: Object, owners: frozenset[str] | None) -> bool:
    controller = _controller(pod)
    if controller is None:
        return True  # with matching labels, it is about to be adopted
    if owners is not None:
        return controller.get("uid") in owners
    return target.kind != "deployment" or controller.get("kind") == "ReplicaSet"


def _controller(obj: Object) -> Mapping[str, Any] | None:
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def resolve_port(target_object: Object, pod: Object, port: int | str) -> int:
    """The port inside ``pod`` that ``port`` of the target means; raises UserError.

    A service's port (number or name) leads to its targetPort; anything else's is the pod's own:
    a name is looked up among the containers' ports, a number need not be declared.
    """
    return container_port(pod, target_port(target_object, port))


def target_port(target_object: Object, port: int | str) -> int | str:
    """The part of ``resolve_port`` that needs no pod: a pod's port, by number or by name."""
    if target_object.get("kind") != "Service":
        return port
    name, spec = target_object["metadata"]["name"], target_object.get("spec") or {}
    declared = spec.get("ports") or ()
    if isinstance(port, str):
        found = [p for p in declared if p.get("name") == port]
        if not found:
            raise UserError(
                f"Service '{name}' does not have a named port '{port}'", _known(declared, "port")
            )
    else:
        found = [p for p in declared if p.get("port") == port]
        if not found:
            raise UserError(
                f"Service {name} does not have a service port {port}", _known(declared, "port")
            )
    served = _tcp(found)
    if served is None:
        raise UserError(f"UDP protocol is not supported for {port}")
    if spec.get("clusterIP") == _HEADLESS:
        return int(served["port"])  # its clients reach the pods directly, at this very port
    wanted = served.get("targetPort") or served["port"]
    return wanted if isinstance(wanted, int | str) else int(served["port"])


def container_port(pod: Object, port: int | str) -> int:
    """The number of a port inside ``pod``, by number or name; raises UserError."""
    if isinstance(port, int):
        return port
    if port.isascii() and port.isdecimal():
        return int(port)
    declared = [p for c in _containers(pod) for p in c.get("ports") or ()]
    found = [p for p in declared if p.get("name") == port]
    if not found:
        raise UserError(
            f"Pod '{pod['metadata']['name']}' does not have a named port '{port}'",
            _known(declared, "containerPort"),
        )
    served = _tcp(found)
    if served is None:
        raise UserError(f"UDP protocol is not supported for {port}")
    return int(served["containerPort"])


def _containers(pod: Object) -> list[Mapping[str, Any]]:
    """Containers that serve: the main ones and the sidecars (init containers that restart)."""
    spec = pod.get("spec") or {}
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [*(spec.get("containers") or ()), *sidecars]


def _tcp(ports: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first of them that speaks TCP; SCTP and UDP cannot be forwarded."""
    return next((p for p in ports if p.get("protocol", "TCP") == "TCP"), None)


def _known(ports: Iterable[Mapping[str, Any]], number: str) -> str:
    """The ports that there are, for a hint."""
    texts = [f"{p[number]} ({p['name']})" if p.get("name") else f"{p[number]}" for p in ports]
    return f"it has {', '.join(texts)}" if texts else ""
