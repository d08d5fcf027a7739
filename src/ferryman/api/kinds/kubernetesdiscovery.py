"""KubernetesDiscovery: Tilt's kind that finds a resource's pods and keeps a forward on the best.

Names, fields, defaults and rules are Tilt's to the letter. ``controllers.kubernetesdiscovery``
fills in the status, and with a template makes a Relay that follows the pods; ``PodLogStream``,
which ``podLogStreamTemplateSpec`` is for, belongs to the kinds of logs and is not among these.
Source: Tilt ``pkg/apis/core/v1alpha1/kubernetesdiscovery_types.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from ferryman.api import codec
from ferryman.api.kinds.annotations import annotation_causes
from ferryman.api.kinds.portforward import DEFAULT_CLUSTER, Forwards, Int32, forward_causes
from ferryman.api.openapi import object_schema
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.api.selectors import from_label_selector
from ferryman.api.status import Cause
from ferryman.api.tables import age
from ferryman.api.validation import bad, required
from ferryman.errors import UserError

KUBERNETES_DISCOVERIES = Resource(
    "tilt.dev", "v1alpha1", "kubernetesdiscoveries", "KubernetesDiscovery", namespaced=False
)

_ATOMIC = {"x-kubernetes-list-type": "atomic"}
_MOST = 1024
_Strings = Annotated[tuple[str, ...], Meta(max_length=_MOST, extra_json_schema=_ATOMIC)]


class Watch(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Whose pods: an object's, directly or through its descendants."""

    uid: Annotated[
        str, Meta(description="The uid of the pod or of any of its owners, however far.")
    ] = ""
    namespace: Annotated[str, Meta(description="The namespace to look in; required.")] = ""
    name: Annotated[
        str, Meta(description="The object's name; without a uid, what it is found by.")
    ] = ""


class Expression(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """As ``metav1.LabelSelectorRequirement``."""

    key: str
    operator: str
    values: _Strings = ()


class LabelSelector(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """As ``metav1.LabelSelector``: all of it has to hold."""

    match_labels: dict[str, str] | None = None
    match_expressions: Annotated[
        tuple[Expression, ...], Meta(max_length=_MOST, extra_json_schema=_ATOMIC)
    ] = ()


class PortForwardTemplate(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What to forward into the best pod; containerPort 0 is found out from the pod."""

    forwards: Forwards = ()


class PodLogStreamTemplate(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Which logs of the pods to keep."""

    since_time: str | None = None
    only_containers: _Strings = ()
    ignore_containers: _Strings = ()


class KubernetesDiscoverySpec(
    Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True
):
    """Which pods, and what to do with them."""

    watches: Annotated[
        tuple[Watch, ...],
        Meta(description="Whose pods.", max_length=_MOST, extra_json_schema=_ATOMIC),
    ] = ()
    extra_selectors: Annotated[
        tuple[LabelSelector, ...],
        Meta(
            description="Pods of the watches' namespaces that belong though nobody owns them.",
            max_length=_MOST,
            extra_json_schema=_ATOMIC,
        ),
    ] = ()
    port_forward_template_spec: PortForwardTemplate | None = None
    pod_log_stream_template_spec: PodLogStreamTemplate | None = None
    cluster: Annotated[
        str, Meta(description="The name of the Cluster object that the pods are in.")
    ] = DEFAULT_CLUSTER


class PodCondition(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """As Kubernetes says it."""

    type: str
    status: str
    last_transition_time: str | None = None
    reason: str = ""
    message: str = ""


class ContainerWaiting(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """It does not run yet."""

    reason: str


class ContainerRunning(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """It runs."""

    started_at: str | None = None


class ContainerTerminated(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """It ran."""

    started_at: str | None = None
    finished_at: str | None = None
    exit_code: Int32
    reason: str = ""


class ContainerState(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """At most one of them; none counts as waiting."""

    waiting: ContainerWaiting | None = None
    running: ContainerRunning | None = None
    terminated: ContainerTerminated | None = None


class Container(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A container and the ports that its pod documents for it."""

    name: str
    id: str
    ready: bool
    image: str
    restarts: Int32
    state: ContainerState
    ports: Annotated[tuple[Int32, ...], Meta(extra_json_schema=_ATOMIC)]


class PodOwner(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What owns the pod directly."""

    name: str
    api_version: str
    kind: str
    creation_timestamp: str | None = None


class Pod(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A pod that was found; ``ancestorUID`` is empty if only a selector found it."""

    uid: str
    name: str
    namespace: str
    created_at: str | None = None
    phase: str
    deleting: bool
    conditions: Annotated[tuple[PodCondition, ...], Meta(extra_json_schema=_ATOMIC)] = ()
    init_containers: Annotated[tuple[Container, ...], Meta(extra_json_schema=_ATOMIC)] = ()
    containers: Annotated[tuple[Container, ...], Meta(extra_json_schema=_ATOMIC)]
    ancestor_uid: str = field(name="ancestorUID", default="")
    pod_template_spec_hash: str = ""
    status: str = ""
    errors: Annotated[tuple[str, ...], Meta(extra_json_schema=_ATOMIC)] = ()
    owner: PodOwner | None = None


class Waiting(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Why pods cannot be watched now."""

    reason: str


class Running(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Since when pods are watched."""

    start_time: str


class KubernetesDiscoveryStatus(
    Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True
):
    """What was found. While ``waiting``, ``pods`` is what was known before."""

    monitor_start_time: str | None = None
    waiting: Waiting | None = None
    running: Running | None = None
    pods: Annotated[tuple[Pod, ...], Meta(extra_json_schema=_ATOMIC)] = ()


def spec_of(discovery: Object) -> KubernetesDiscoverySpec:
    """The spec as it came out of a store; BadRequest if it is none."""
    return codec.decode(KubernetesDiscoverySpec, discovery.get("spec"))


def status_of(discovery: Object) -> KubernetesDiscoveryStatus:
    """The status; an empty one if nobody has written any."""
    return codec.decode(KubernetesDiscoveryStatus, discovery.get("status") or {})


def new_discovery(name: str, spec: KubernetesDiscoverySpec, **metadata: Any) -> Object:
    """A KubernetesDiscovery to create."""
    return {
        "apiVersion": KUBERNETES_DISCOVERIES.api_version,
        "kind": KUBERNETES_DISCOVERIES.kind,
        "metadata": {"name": name, **metadata},
        "spec": codec.encode(spec),
    }


def _default(discovery: Object) -> None:
    """An empty cluster is Tilt's default one, too."""
    if not discovery["spec"].get("cluster"):
        discovery["spec"]["cluster"] = DEFAULT_CLUSTER


def _validate(discovery: Object) -> Iterable[Cause]:
    spec = spec_of(discovery)
    if not spec.watches and not spec.extra_selectors:
        yield required("spec.watches", "must specify at least one watch or extra selector")
    for i, watch in enumerate(spec.watches):
        if not watch.namespace:
            yield required(f"spec.watches[{i}].namespace", "namespace cannot be empty")
    for i, selector in enumerate(spec.extra_selectors):
        yield from _selector_causes(f"spec.extraSelectors[{i}]", selector)
    if spec.port_forward_template_spec is not None:
        at = "spec.portForwardTemplateSpec.forwards"
        if not spec.port_forward_template_spec.forwards:
            yield required(at, "at least one forward is required")
        yield from forward_causes(at, spec.port_forward_template_spec.forwards, least=0)
    yield from annotation_causes(discovery)


def _selector_causes(at: str, selector: LabelSelector) -> Iterator[Cause]:
    for i, term in enumerate(selector.match_expressions):
        try:
            from_label_selector({"matchExpressions": [codec.encode(term)]})
        except UserError as error:
            yield bad(f"{at}.matchExpressions[{i}].operator", term.operator, error.message)


def _pods(discovery: Object) -> list[Object]:
    found: list[Object] = (discovery.get("status") or {}).get("pods") or []
    return found


def _state_text(discovery: Object, _: datetime) -> str:
    status = discovery.get("status") or {}
    if waiting := status.get("waiting"):
        return str(waiting.get("reason", "Waiting"))
    return "Running" if "running" in status else ""


def _is_ready(pod: Object) -> bool:
    if pod.get("deleting"):
        return False
    return any(
        c.get("type") == "Ready" and c.get("status") == "True" for c in pod.get("conditions") or ()
    )


def _ready_text(discovery: Object, _: datetime) -> str:
    """How many of the pods that stay are ready: ``2/3``."""
    staying = [pod for pod in _pods(discovery) if not pod.get("deleting")]
    return f"{sum(map(_is_ready, staying))}/{len(staying)}"


def _pods_text(discovery: Object, _: datetime) -> str:
    return ",".join(str(pod.get("name", "")) for pod in _pods(discovery))


def _watches_text(discovery: Object, _: datetime) -> str:
    watches = discovery.get("spec", {}).get("watches") or ()
    return ",".join(
        f"{w.get('namespace', '')}/{w.get('name') or w.get('uid', '')}" for w in watches
    )


KUBERNETES_DISCOVERY = Kind(
    resource=KUBERNETES_DISCOVERIES,
    singular="kubernetesdiscovery",
    short_names=("kd", "kdisco"),
    categories=("all", "tilt"),
    columns=(
        Column("Name", lambda discovery, _: str(discovery["metadata"]["name"])),
        Column("State", _state_text, description="Running, or why the pods cannot be watched."),
        Column("Ready", _ready_text, description="How many of the pods are ready."),
        Column("Age", age),
        Column("Watches", _watches_text, wide=True, description="Whose pods."),
        Column("Pods", _pods_text, wide=True),
        Column(
            "Cluster", lambda discovery, _: str(discovery["spec"].get("cluster", "")), wide=True
        ),
    ),
    schema=object_schema(
        KUBERNETES_DISCOVERIES,
        KubernetesDiscoverySpec,
        KubernetesDiscoveryStatus,
        "The pods of a resource, and a forward to the best of them (Tilt).",
    ),
    default=_default,
    validate=_validate,
)
