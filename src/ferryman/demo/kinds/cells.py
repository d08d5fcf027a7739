"""Cells of ``kubectl get`` that several of Kubernetes' kinds share, besides ``api.columns``.

Source: ``k8s.io/kubernetes/pkg/printers/internalversion``.
"""

from __future__ import annotations

from ferryman.api.resource import Object
from ferryman.api.scheme import Column


def status_of(obj: Object) -> Object:
    """The object's status, or nothing yet."""
    status = obj.get("status")
    return status if isinstance(status, dict) else {}


def selector_text(selector: object) -> str:
    """A selector, as wide columns show it."""
    if not isinstance(selector, dict):
        return "<none>"
    labels = selector.get("matchLabels", selector)
    if not isinstance(labels, dict) or not labels:
        return "<none>"
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _containers(obj: Object) -> list[Object]:
    containers = obj["spec"].get("template", {}).get("spec", {}).get("containers") or []
    return [c for c in containers if isinstance(c, dict)]


WORKLOAD_WIDE = (
    Column(
        "Containers", lambda o, _: ",".join(str(c.get("name")) for c in _containers(o)), wide=True
    ),
    Column("Images", lambda o, _: ",".join(str(c.get("image")) for c in _containers(o)), wide=True),
)
SELECTOR = Column("Selector", lambda o, _: selector_text(o["spec"].get("selector")), wide=True)
