"""On which node a pod is to run, or why on none; pure."""

from __future__ import annotations

from collections.abc import Sequence

from ferryman.api.resource import Object
from ferryman.demo.controllers.objects import condition


def plan(pod: Object, nodes: Sequence[Object]) -> tuple[str, str]:
    """A node's name and an empty reason, or an empty name and the reason."""
    reasons: dict[str, int] = {}
    for node in nodes:
        reason = _unfit(pod, node)
        if not reason:
            return str(node["metadata"]["name"]), ""
        reasons[reason] = reasons.get(reason, 0) + 1
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return "", f"0/{len(nodes)} nodes are available: {listed or 'there are none'}."


def _unfit(pod: Object, node: Object) -> str:
    if (node.get("spec") or {}).get("unschedulable"):
        return "node(s) were unschedulable"
    if condition(node, "Ready").get("status") != "True":
        return "node(s) were not ready"
    wanted = pod["spec"].get("nodeSelector") or {}
    labels = node["metadata"].get("labels") or {}
    if not wanted.items() <= labels.items():
        return "node(s) didn't match Pod's node affinity/selector"
    return ""
