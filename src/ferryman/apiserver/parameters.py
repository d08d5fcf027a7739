"""The query parameters of requests, read as Kubernetes reads them; pure.

Sources: ``metav1.ListOptions``, ``CreateOptions``, ``PatchOptions``, ``DeleteOptions``; for
booleans apimachinery's ``Convert_Slice_string_To_bool``. Unknown parameters mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from ferryman.api.client import Propagation
from ferryman.api.selectors import Requirement, Selector, parse_fields, parse_labels
from ferryman.api.status import BadRequest, Cause, Invalid
from ferryman.apiserver.tables import Include

Query = Mapping[str, str]
FieldValidation = Literal["Ignore", "Warn", "Strict"]

_Word = TypeVar("_Word", bound=str)

_SELECTABLE = frozenset({"metadata.name", "metadata.namespace"})
_LONGEST_SELECTOR = 16 * 1024


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What to list or watch; ``timeout`` is in seconds, 0 for none."""

    selector: Selector
    limit: int
    continue_token: str
    resource_version: str
    exact: bool
    watch: bool
    timeout: int
    bookmarks: bool
    initial_events: bool
    include: Include


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How to write."""

    dry_run: bool
    manager: str
    validation: FieldValidation
    force: bool


def list_options(
    query: Query, selectable: frozenset[str] = frozenset(), name: str = ""
) -> ListOptions:
    """Raises BadRequest and Invalid.

    ``selectable`` are the fields beside name and namespace that a field selector may name; with
    ``name`` only that object is meant.
    """
    labels = parse_labels(_selector(query, "labelSelector"))
    fields = parse_fields(_selector(query, "fieldSelector"))
    for term in fields:
        if term.key not in _SELECTABLE | selectable:
            raise BadRequest(f"field label not supported: {term.key}")
    if name:
        fields = (*fields, Requirement("metadata.name", "in", (name,)))
    match = query.get("resourceVersionMatch", "")
    initial_events = "sendInitialEvents" in query and boolean(query, "sendInitialEvents")
    watch = boolean(query, "watch")
    _check_versions(query, match, watch)
    return ListOptions(
        selector=Selector(labels, fields),
        limit=_number(query, "limit"),
        continue_token=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        exact=match == "Exact",
        watch=watch,
        timeout=_number(query, "timeoutSeconds"),
        bookmarks=boolean(query, "allowWatchBookmarks"),
        initial_events=initial_events,
        include=_one_of(query, "includeObject", ("Metadata", "None", "Object")),
    )


def write_options(query: Query, user_agent: str = "") -> WriteOptions:
    """Raises BadRequest and Invalid. The manager is the client's program if it names none."""
    return WriteOptions(
        dry_run=dry_run(query.get("dryRun", "")),
        manager=query.get("fieldManager", "") or user_agent.partition("/")[0][:128],
        validation=_one_of(query, "fieldValidation", ("Warn", "Ignore", "Strict")),
        force=boolean(query, "force"),
    )


def dry_run(value: str) -> bool:
    """What a ``dryRun`` parameter or field says; raises Invalid for anything but "All"."""
    if value not in ("", "All"):
        raise _unsupported("dryRun", value, ("All",))
    return value == "All"


def propagation(value: str, *, orphan: bool | None = None) -> Propagation:
    """A ``propagationPolicy``; ``orphan`` is the older ``orphanDependents``. Raises Invalid."""
    policies: dict[str, Propagation] = {
        "": "Orphan" if orphan else "Background",
        "Background": "Background",
        "Foreground": "Foreground",
        "Orphan": "Orphan",
    }
    if value not in policies:
        raise _unsupported("propagationPolicy", value, tuple(policies)[1:])
    return policies[value]


def boolean(query: Query, key: str) -> bool:
    """Absent, "false" and "0" are false; anything else is true."""
    return query.get(key, "false").lower() not in ("false", "0")


def _check_versions(query: Query, match: str, watch: bool) -> None:
    """Source: ``ValidateListOptions`` of apimachinery's ``internalversion/validation``."""
    if match not in ("", "Exact", "NotOlderThan"):
        raise _unsupported("resourceVersionMatch", match, ("Exact", "NotOlderThan"))
    streaming = "sendInitialEvents" in query
    if streaming and not watch:
        raise _forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if streaming and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise _forbidden("resourceVersionMatch", why)
    if watch and match and not streaming:
        raise _forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden for watch")
    if match == "Exact" and query.get("resourceVersion", "") in ("", "0"):
        raise _forbidden("resourceVersionMatch", 'resourceVersionMatch "Exact" needs a version')


def _selector(query: Query, key: str) -> str:
    text = query.get(key, "")
    if len(text) > _LONGEST_SELECTOR:
        raise BadRequest(f"{key} is too long")
    return text


def _number(query: Query, key: str) -> int:
    text = query.get(key, "")
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise BadRequest(f"{key}: not a number: {text!r}")
    return int(text)


def _one_of(query: Query, key: str, values: tuple[_Word, ...]) -> _Word:
    """The first of the values is meant if there is none."""
    given = query.get(key, "")
    for value in values:
        if given in (value, ""):
            return value
    raise _unsupported(key, given, values)


def _unsupported(field: str, value: str, supported: tuple[str, ...]) -> Invalid:
    listed = ", ".join(f'"{s}"' for s in supported)
    cause = Cause(
        field, f'Unsupported value: "{value}": supported values: {listed}', "FieldValueNotSupported"
    )
    return Invalid(f"the request's options are invalid: {cause}", causes=[cause])


def _forbidden(field: str, why: str) -> Invalid:
    cause = Cause(field, f"Forbidden: {why}", "FieldValueForbidden")
    return Invalid(f"the request's options are invalid: {cause}", causes=[cause])
