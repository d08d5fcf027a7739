"""What a person may forward to, and what that comes to in a cluster; pure.

``deploy/example-go`` is parsed to a Target; ``object_selector`` and ``pod_selector`` say what to
watch for it, ``pods_of`` which of the pods seen belong to it, ``resolve_port`` which port in a pod
is meant. What else has to be known for that (``looks_at``) is gathered by whoever watches, and
comes in as Related. ``pods`` then judges the pods, ``dialspec`` makes endpoints of both.

Rules and error texts are kubectl's (``polymorphichelpers``, ``pkg/util/service_port.go``, 1.37),
so that what people search for is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct, field

from ferryman.api.resource import Object, Resource
from ferryman.api.selectors import ALL, Requirement, Selector, from_label_selector, parse_labels
from ferryman.errors import UserError
from ferryman.kube import owners, resources

Belonging = Literal["Itself", "Labels", "ReplicaSets", "Owner", "Ancestor"]
"""How a kind's pods are told: it is the pod; by labels; by labels if a ReplicaSet has them; by
labels if it has them itself; by the owners of their owners."""


class _Kind(Struct, frozen=True):
    resource: Resource
    short: str
    belonging: Belonging


_KINDS: Mapping[str, _Kind] = {
    "pod": _Kind(resources.PODS, "po", "Itself"),
    "deployment": _Kind(resources.DEPLOYMENTS, "deploy", "ReplicaSets"),
    "statefulset": _Kind(resources.STATEFULSETS, "sts", "Owner"),
    "service": _Kind(resources.SERVICES, "svc", "Labels"),
    "replicaset": _Kind(resources.REPLICASETS, "rs", "Owner"),
    "daemonset": _Kind(resources.DAEMONSETS, "ds", "Owner"),
    "job": _Kind(resources.JOBS, "", "Owner"),
    "cronjob": _Kind(resources.CRONJOBS, "cj", "Ancestor"),
    "replicationcontroller": _Kind(resources.REPLICATIONCONTROLLERS, "rc", "Owner"),
}
KINDS = tuple(_KINDS)
"""The kinds that are known without asking a cluster; any other one may own pods too."""
_HEADLESS = "None"


class Target(Struct, frozen=True, order=True):
    """Something in a cluster that has pods: an object of a kind, or whatever a selector selects.

    ``kind`` is one of ``KINDS``, or as a person calls it: then the cluster has to be asked.
    """

    kind: str
    namespace: str
    name: str
    selector: str = ""
    """Labels, as ``-l`` takes them, of pods; then there is no name."""

    def __str__(self) -> str:
        return f"pods with {self.selector}" if self.selector else f"{self.kind}/{self.name}"

    @property
    def resource(self) -> Resource | None:
        """The kind to read the target itself from; None if only the cluster knows."""
        known = _KINDS.get(self.kind)
        return known.resource if known is not None else None

    @property
    def belonging(self) -> Belonging:
        """How its pods are told from others."""
        if self.selector:
            return "Labels"
        known = _KINDS.get(self.kind)
        return known.belonging if known is not None else "Ancestor"


class Related(Struct, frozen=True):
    """What else decides which pods belong to a target; see ``looks_at``."""

    slices: tuple[Object, ...] = ()
    """The EndpointSlices of a service without selector."""
    owners: Mapping[str, Object] = field(default_factory=dict)
    """The owners of the pods, and theirs, by uid."""


NOTHING_RELATED = Related()


class UnknownKind(UserError):
    """There is no such kind, here or in the cluster."""


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


def selected(labels: str, namespace: str) -> Target:
    """The pods that a label selector selects, as a target; raises UserError."""
    if not parse_labels(labels):
        raise UserError("an empty selector selects every pod of the namespace", "write -l app=web")
    return Target("pod", namespace, "", labels)


def parse_kind(text: str) -> str:
    """The kind that ``deploy``, ``Deployment`` or ``deployments.v1.apps`` means.

    A kind that is not known here comes back as it is, in lower case. Raises UserError for what
    cannot be a kind's name.
    """
    whole = text.lower()
    name, _, group = whole.partition(".")
    for kind, known in _KINDS.items():
        versioned = f"{known.resource.version}.{known.resource.group}".rstrip(".")
        called_so = name in (kind, known.resource.plural, known.short or kind)
        if called_so and group in ("", known.resource.group, versioned):
            return kind
    if not whole.isascii() or not whole.replace("-", "").replace(".", "").isalnum():
        raise unknown_kind(text, ())
    return whole


def unknown_kind(text: str, others: Iterable[str]) -> UnknownKind:
    """The error for a kind that there is not; ``others`` are those that the cluster has."""
    import difflib  # only a mistake needs it

    names = dict.fromkeys([*_KINDS, *(k.short for k in _KINDS.values() if k.short), *others])
    near = difflib.get_close_matches(text.lower(), list(names), n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_KINDS)}"
    return UnknownKind(f'the server doesn\'t have a resource type "{text}"', hint)


def object_selector(target: Target) -> Selector:
    """Selects the target itself among its kind."""
    return Selector(fields=(Requirement("metadata.name", "in", (target.name,)),))


def pod_selector(target: Target, target_object: Object) -> Selector:
    """Selects the pods that may belong to the target, as narrowly as the server can.

    Raises UserError if the target can have none.
    """
    if target.selector:
        return Selector(labels=parse_labels(target.selector))
    if target.belonging == "Itself":
        return object_selector(target)
    if target.belonging == "Ancestor":
        return ALL
    selector = (target_object.get("spec") or {}).get("selector") or {}
    if target.kind == "service":
        if not selector:
            _check_leads_to_pods(target_object)
            return ALL
        selector = {"matchLabels": selector}
    elif target.kind == "replicationcontroller":
        selector = {"matchLabels": selector}
    terms = from_label_selector(selector)
    if not terms:  # an empty selector would select every pod of the namespace
        raise UserError(f"{target} has no selector, so no pods belong to it")
    return Selector(labels=terms)


def looks_at(target: Target, target_object: Object) -> Literal["", "slices", "owners"]:
    """Which part of Related has to be known to tell the target's pods."""
    if target.belonging == "Ancestor":
        return "owners"
    if target.kind == "service" and not (target_object.get("spec") or {}).get("selector"):
        return "slices"
    return ""


def check_has_pods(target: Target, target_object: Object, related: Related | None) -> None:
    """Raises UserError, with the reason, for a target to which no pods can belong as things are.

    ``related`` is None as long as it is not known.
    """
    pod_selector(target, target_object)
    bare = looks_at(target, target_object) == "slices"
    if bare and related is not None and not related.slices:
        raise UserError(
            f"cannot attach to *v1.Service: invalid service '{target.name}': "
            "Service is defined without a selector",
            "nor has anybody made EndpointSlices for it",
        )


def slice_selector(target: Target) -> Selector:
    """Selects the EndpointSlices of a service."""
    return Selector(labels=(Requirement("kubernetes.io/service-name", "in", (target.name,)),))


def _check_leads_to_pods(service: Object) -> None:
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        raise UserError(
            f"service/{service['metadata']['name']} leads to {spec.get('externalName')}, which is "
            "no pod",
            "use `ferry relay` for what is not in the cluster",
        )


def pods_of(
    target: Target,
    target_object: Object,
    pods: Iterable[Object],
    related: Related = NOTHING_RELATED,
) -> list[Object]:
    """The pods that belong to the target, in the order given; raises as ``pod_selector``.

    A deployment's pods belong through ReplicaSets, which need not be read: labels decide, as in
    kubectl, except that a pod which something other than a ReplicaSet controls is not one of them.
    """
    selector = pod_selector(target, target_object)
    found = [
        pod
        for pod in pods
        if pod["metadata"].get("namespace", "") == target.namespace and selector.matches(pod)
    ]
    uid = str(target_object["metadata"].get("uid", ""))
    if looks_at(target, target_object) == "slices":
        named = _pods_of_slices(related.slices)
        return [pod for pod in found if str(pod["metadata"].get("uid", "")) in named]
    match target.belonging:
        case "Ancestor":
            found = [pod for pod in found if owners.descends(pod, uid, related.owners)]
            return _of_newest_job(found, related) if target.kind == "cronjob" else found
        case "Owner":
            return [pod for pod in found if (owners.controller(pod) or {}).get("uid", uid) == uid]
        case "ReplicaSets":
            own = "ReplicaSet"
            return [p for p in found if (owners.controller(p) or {}).get("kind", own) == own]
    return found


def _pods_of_slices(slices: Iterable[Object]) -> frozenset[str]:
    """The UIDs of the pods that the endpoints of a service are."""
    references = [e.get("targetRef") or {} for s in slices for e in s.get("endpoints") or ()]
    return frozenset(str(r.get("uid")) for r in references if r.get("kind") == "Pod")


def _of_newest_job(pods: list[Object], related: Related) -> list[Object]:
    """Those of the job that was made last; it is the pods' controller."""
    jobs = {str(reference["uid"]) for pod in pods if (reference := owners.controller(pod))}
    made = {
        uid: (str(job["metadata"].get("creationTimestamp", "")), str(job["metadata"]["name"]))
        for uid in jobs
        if (job := related.owners.get(uid)) is not None
    }
    newest = max(made, key=lambda uid: made[uid], default="")
    return [pod for pod in pods if (owners.controller(pod) or {}).get("uid") == newest]


def template_of(target_object: Object) -> Object:
    """What its pods are to be like, as far as it says; a cron job's is in its job's."""
    spec = target_object.get("spec") or {}
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    return dict(spec.get("template") or job.get("template") or {})


def resolve_port(
    target_object: Object, pod: Object, port: int | str, related: Related = NOTHING_RELATED
) -> int:
    """The port inside ``pod`` that ``port`` of the target means; raises UserError.

    A service's port (number or name) leads to its targetPort; anything else's is the pod's own:
    a name is looked up among the containers' ports, a number need not be declared.
    """
    return container_port(pod, target_port(target_object, port, related))


def target_port(
    target_object: Object, port: int | str, related: Related = NOTHING_RELATED
) -> int | str:
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
    if not spec.get("selector"):
        # Whoever made the slices has said where the pods listen; targetPort binds them to nothing.
        named = [p for s in related.slices for p in s.get("ports") or ()]
        written = [p for p in named if (p.get("name") or "") == (served.get("name") or "")]
        if written and written[0].get("port"):
            return int(written[0]["port"])
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
