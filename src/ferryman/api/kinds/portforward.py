"""PortForward: Tilt's kind for local ports that lead to one pod.

Names, fields, defaults and rules are Tilt's to the letter, so that what was written for Tilt works
here. ``controllers.portforward`` makes a Relay of it and mirrors that Relay in its status; one
that a KubernetesDiscovery made only shows that discovery's Relay.
Source: Tilt ``pkg/apis/core/v1alpha1/portforward_types.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from ferryman.api import codec
from ferryman.api.kinds.annotations import annotation_causes
from ferryman.api.openapi import object_schema
from ferryman.api.resource import Object, Resource
from ferryman.api.scheme import Column, Kind
from ferryman.api.status import Cause
from ferryman.api.tables import age
from ferryman.api.validation import bad, duplicate, required

PORT_FORWARDS = Resource("tilt.dev", "v1alpha1", "portforwards", "PortForward", namespaced=False)

DEFAULT_CLUSTER = "default"
Int32 = Annotated[int, Meta(extra_json_schema={"format": "int32"})]
MOST_FORWARDS = 256
"""As many as a Relay has ports."""
_ATOMIC = {"x-kubernetes-list-type": "atomic"}


class Forward(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One local port, and the port of the container that it leads to."""

    local_port: Annotated[
        Int32, Meta(description="The port to listen on; 0 is a random one, kept for life.")
    ] = 0
    container_port: Annotated[Int32, Meta(description="The port inside the pod.")] = 0
    host: Annotated[
        str,
        Meta(description="Where to listen: an IP address or a name; localhost by default."),
    ] = ""
    name: Annotated[str, Meta(description="What to call the link that is shown.")] = ""
    path: Annotated[str, Meta(description="The path of that link.")] = ""


Forwards = Annotated[tuple[Forward, ...], Meta(max_length=MOST_FORWARDS, extra_json_schema=_ATOMIC)]


class PortForwardSpec(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Which pod, and which of its ports."""

    pod_name: Annotated[str, Meta(description="The pod's name; required.")] = ""
    namespace: Annotated[
        str, Meta(description="The pod's namespace; that of the cluster's context by default.")
    ] = ""
    forwards: Annotated[Forwards, Meta(description="What to forward; at least one.")] = ()
    cluster: Annotated[
        str, Meta(description="The name of the Cluster object that the pod is in.")
    ] = DEFAULT_CLUSTER


class ForwardStatus(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One forward as it is; ``addresses`` are IP addresses, ``error`` is for people."""

    local_port: Int32
    container_port: Int32
    addresses: Annotated[tuple[str, ...], Meta(extra_json_schema=_ATOMIC)] = ()
    started_at: str = ""
    error: str = ""


class PortForwardStatus(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What is so; in the order of ``spec.forwards``."""

    forward_statuses: Annotated[tuple[ForwardStatus, ...], Meta(extra_json_schema=_ATOMIC)] = ()


def spec_of(forward: Object) -> PortForwardSpec:
    """The spec of a PortForward as it came out of a store; BadRequest if it is none."""
    return codec.decode(PortForwardSpec, forward.get("spec"))


def status_of(forward: Object) -> PortForwardStatus:
    """The status; an empty one if nobody has written any."""
    return codec.decode(PortForwardStatus, forward.get("status") or {})


def new_port_forward(name: str, spec: PortForwardSpec, **metadata: Any) -> Object:
    """A PortForward to create."""
    return {
        "apiVersion": PORT_FORWARDS.api_version,
        "kind": PORT_FORWARDS.kind,
        "metadata": {"name": name, **metadata},
        "spec": codec.encode(spec),
    }


def forward_causes(at: str, forwards: Sequence[Forward], least: int) -> Iterator[Cause]:
    """What is wrong with forwards; ``least`` 0 lets the container port be found out."""
    taken: set[int] = set()
    for i, forward in enumerate(forwards):
        local, container = forward.local_port, forward.container_port
        if local and local in taken:
            yield duplicate(f"{at}[{i}].localPort", local)
        taken.add(local)
        if not 0 <= local <= 65535:
            yield bad(f"{at}[{i}].localPort", local, "must be in the range [0, 65535]")
        if not least <= container <= 65535:
            bounds = "[0, 65535]" if least == 0 else "(0, 65535]"
            yield bad(f"{at}[{i}].containerPort", container, f"must be in the range {bounds}")
        if any(c in forward.host for c in "[]/% \t\n") or len(forward.host) > 253:
            yield bad(f"{at}[{i}].host", forward.host, "must be an IP address or a host's name")


def _default(forward: Object) -> None:
    """An empty cluster is Tilt's default one, too."""
    if not forward["spec"].get("cluster"):
        forward["spec"]["cluster"] = DEFAULT_CLUSTER


def _validate(forward: Object) -> Iterable[Cause]:
    spec = spec_of(forward)
    if not spec.pod_name:
        yield required("spec.podName", "podName cannot be empty")
    if not spec.forwards:
        yield required("spec.forwards", "at least one forward is required")
    yield from forward_causes("spec.forwards", spec.forwards, least=1)
    yield from annotation_causes(forward)


def _statuses(forward: Object) -> list[Object]:
    found: list[Object] = (forward.get("status") or {}).get("forwardStatuses") or []
    return found


def _forwards_text(forward: Object, _: datetime) -> str:
    """``8080->8000,127.0.0.2:41234->80``: with the real local port once there is one."""
    statuses, texts = _statuses(forward), []
    for i, wanted in enumerate(forward.get("spec", {}).get("forwards") or ()):
        status = statuses[i] if i < len(statuses) else {}
        local = status.get("localPort") or wanted.get("localPort") or 0
        host = wanted.get("host", "")
        where = f"{host}:{local}" if host not in ("", "localhost") else str(local)
        texts.append(f"{where}->{wanted.get('containerPort', 0)}")
    return ",".join(texts)


def _ready_text(forward: Object, _: datetime) -> str:
    """How many of the forwards are as they should be: ``1/2``."""
    fine = [s for s in _statuses(forward) if s.get("addresses") and not s.get("error")]
    return f"{len(fine)}/{len(forward.get('spec', {}).get('forwards') or ())}"


def _error_text(forward: Object, _: datetime) -> str:
    return next((str(s["error"]) for s in _statuses(forward) if s.get("error")), "")


def _spec_text(field: str) -> Any:
    def cell(forward: Object, _: datetime) -> str:
        return str(forward.get("spec", {}).get(field, ""))

    return cell


PORT_FORWARD = Kind(
    resource=PORT_FORWARDS,
    singular="portforward",
    short_names=("pf",),
    categories=("all", "tilt"),
    columns=(
        Column("Name", lambda forward, _: str(forward["metadata"]["name"])),
        Column("Pod", _spec_text("podName"), description="Where it leads to."),
        Column("Forwards", _forwards_text, description="Local and container ports."),
        Column("Ready", _ready_text, description="How many of the forwards work."),
        Column("Age", age),
        Column("Namespace", _spec_text("namespace"), wide=True),
        Column("Cluster", _spec_text("cluster"), wide=True),
        Column("Error", _error_text, wide=True, description="What is wrong with the first."),
    ),
    schema=object_schema(
        PORT_FORWARDS, PortForwardSpec, PortForwardStatus, "Local ports that lead to a pod (Tilt)."
    ),
    default=_default,
    validate=_validate,
)
