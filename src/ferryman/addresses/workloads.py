"""Addresses of workloads in Kubernetes: ``deploy/web:8000``, ``svc/web:http,namespace=shop``; pure.

Only the writing is known here; ``kube.targets`` knows what the kinds mean and a cluster whether
there is such an object.
"""

from __future__ import annotations

from dataclasses import dataclass

from ferryman.errors import UserError

_KINDS = frozenset(
    name
    for kind in (
        "pod po pods",
        "deployment deploy deployments",
        "statefulset sts statefulsets",
        "service svc services",
        "replicaset rs replicasets",
        "daemonset ds daemonsets",
        "job jobs",
        "cronjob cj cronjobs",
        "replicationcontroller rc replicationcontrollers",
    )
    for name in kind.split()
)
_OPTIONS = ("namespace", "context")


@dataclass(frozen=True, slots=True)
class WorkloadAddress:
    """``port`` is a number or a name. Empty ``namespace`` and ``context`` are the kubeconfig's."""

    kind: str
    name: str
    port: int | str
    namespace: str = ""
    context: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}:{self.port}"


def is_workload(text: str) -> bool:
    """Whether this is meant to be one: it begins with a kind that is known, and a slash."""
    kind, slash, _ = text.partition("/")
    return bool(slash) and kind.lower() in _KINDS


def parse(text: str) -> WorkloadAddress:
    """What ``TYPE/NAME:PORT[,namespace=NS][,context=NAME]`` means; raises UserError."""
    place, *words = text.split(",")
    kind, _, rest = place.partition("/")
    name, colon, port = rest.partition(":")
    if not colon or not port:
        raise UserError(f"{place} needs a port", f"such as {kind}/{name or 'web'}:8000")
    if not name or not all(c.isalnum() or c in "-." for c in name) or not name.isascii():
        raise UserError(f"not a workload's name: {name!r}", f"write {kind}/NAME:{port}")
    found: dict[str, str] = {}
    for word in words:
        option, equals, value = word.partition("=")
        if option not in _OPTIONS or not equals or not value:
            hint = "it has namespace=NAME and context=NAME"
            raise UserError(f'unknown option "{word}" of {place}', hint)
        found[option] = value
    return WorkloadAddress(kind.lower(), name, _port(port), **found)


def _port(text: str) -> int | str:
    if text.isascii() and text.isdecimal():
        if len(text) > 5 or not 0 < int(text) <= 65535:
            raise UserError(f"not a port: {text!r}", "a port is a number from 1 to 65535")
        return int(text)
    if not text.isascii() or not text.replace("-", "").isalnum() or len(text) > 15:
        raise UserError(f"not a port: {text!r}", "a number, or the name of a port")
    return text
