"""What a delete does to an object: gone at once, or marked as deleting until others agree; pure.

Finalizers hold an object until their owners have removed them; the garbage collector's are
``orphan`` and ``foregroundDeletion``. Objects of ``graceful`` kinds wait for their keeper, which
deletes them again with grace period 0. Source: apiserver ``registry/rest/delete.go`` and
``registry/generic/registry/store.go`` (1.36).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ferryman.api.client import Preconditions, Propagation
from ferryman.api.conditions import rfc3339
from ferryman.api.resource import Object
from ferryman.api.scheme import Kind
from ferryman.api.status import BadRequest, stale

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

_DEFAULT_GRACE = 30
_FINISHED_PHASES = ("Succeeded", "Failed")


def check_preconditions(kind: Kind, obj: Object, preconditions: Preconditions) -> None:
    """Raises StaleVersion if the object is not the one that is meant."""
    meta = obj["metadata"]
    for what, wanted, found in (
        ("UID", preconditions.uid, meta["uid"]),
        ("ResourceVersion", preconditions.resource_version, meta["resourceVersion"]),
    ):
        if wanted is not None and wanted != found:
            why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: "
            raise stale(kind.resource, meta["name"], why + found)


def prepare_delete(
    kind: Kind, old: Object, propagation: Propagation, grace: int | None, now: datetime
) -> Object | None:
    """None if the object is to go now; else the object to keep, ``old`` itself if unchanged."""
    if grace is not None and grace < 0:
        raise BadRequest("gracePeriodSeconds must not be negative")
    finalizers = _finalizers(old, propagation)
    seconds = _grace(kind, old, grace)
    if not finalizers and not seconds:
        return None
    meta = {key: value for key, value in old["metadata"].items() if key != "finalizers"}
    if finalizers:
        meta["finalizers"] = finalizers
    if "deletionTimestamp" not in meta or seconds < meta.get("deletionGracePeriodSeconds", 0):
        if "deletionTimestamp" not in meta and "generation" in meta:
            meta["generation"] += 1
        meta["deletionTimestamp"] = rfc3339(now + timedelta(seconds=seconds))
        meta["deletionGracePeriodSeconds"] = seconds
    return old if meta == old["metadata"] else {**old, "metadata": meta}


def is_finished(kind: Kind, obj: Object) -> bool:
    """Whether a deleting object has nothing left to wait for, so that it goes with this write."""
    meta = obj["metadata"]
    waiting = meta.get("finalizers") or (kind.graceful and meta.get("deletionGracePeriodSeconds"))
    return "deletionTimestamp" in meta and not waiting


def _finalizers(old: Object, propagation: Propagation) -> list[str]:
    """The garbage collector's follow from how the delete was asked for, the first time.

    Later deletes (a keeper's, with grace period 0) say nothing about dependents.
    """
    finalizers = old["metadata"].get("finalizers", [])
    if "deletionTimestamp" in old["metadata"] and propagation == "Background":
        return list(finalizers)
    kept = [f for f in finalizers if f not in (FOREGROUND, ORPHAN)]
    wanted = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(propagation, [])
    return kept + wanted


def _grace(kind: Kind, old: Object, grace: int | None) -> int:
    """Seconds; a pod that has ended needs none. A grace period may get shorter only."""
    if not kind.graceful or old.get("status", {}).get("phase") in _FINISHED_PHASES:
        return 0
    if grace is None:
        grace = old.get("spec", {}).get("terminationGracePeriodSeconds")
    seconds = _DEFAULT_GRACE if grace is None else int(grace)
    return min(seconds, int(old["metadata"].get("deletionGracePeriodSeconds", seconds)))
