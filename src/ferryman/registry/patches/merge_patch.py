"""JSON Merge Patch: objects merge, null removes, everything else replaces (RFC 7386); pure."""

from __future__ import annotations

from typing import Any

from ferryman.api import codec


def merge_patch(target: Any, patch: Any) -> Any:
    """The target as the patch wants it; the arguments stay as they are."""
    if not isinstance(patch, dict):
        return codec.copy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
