"""The patch formats, by their names in ``ObjectClient.patch``; pure.

``patched`` gives the new object; ``prepare`` then treats it like any update, so that a patch can
do nothing that an update cannot. One file a format.
"""

from __future__ import annotations

from typing import Any

from ferryman.api import codec
from ferryman.api.client import PatchType
from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.api.status import BadRequest, UnsupportedMediaType
from ferryman.api.validation import type_name
from ferryman.registry.patches.json_patch import json_patch
from ferryman.registry.patches.merge_patch import merge_patch
from ferryman.registry.patches.strategic import strategic_patch

__all__ = ["json_patch", "merge_patch", "patched", "strategic_patch"]

_FIXED = ("apiVersion", "kind")


def patched(kind: Kind, document: Object, patch_type: PatchType, body: Any) -> Object:
    """A new object, as the patch wants it; ``document`` stays as it is.

    A ``resourceVersion`` or ``uid`` in the patch is a precondition, which ``prepare`` checks.
    Raises BadRequest, Invalid, TooLarge, UnsupportedMediaType.
    """
    match patch_type:
        case "json":
            result = json_patch(document, body)
        case "merge":
            if not isinstance(body, dict):
                raise BadRequest(f"a merge patch is an object, not {type_name(body)}")
            result = merge_patch(codec.copy(document), body)
        case "strategic":
            result = strategic_patch(document, body, kind.schema)
        case "apply":
            raise UnsupportedMediaType("server-side apply is not supported; use client-side apply")
    meta, was = (_metadata(obj) for obj in (result, document))
    for field in ("name", "namespace"):
        if meta.get(field) != was.get(field):
            raise BadRequest(f"metadata.{field} may not be changed by a patch")
    if not meta.get("resourceVersion"):
        meta["resourceVersion"] = was["resourceVersion"]
    for field in _FIXED:
        if result.get(field) != document.get(field):
            raise BadRequest(f"{field} may not be changed by a patch")
    return result  # type: ignore[no-any-return]  # _metadata has seen that it is an object


def _metadata(obj: Any) -> dict[str, Any]:
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    if not isinstance(meta, dict):
        raise BadRequest("a patch must leave an object with metadata")
    return meta
