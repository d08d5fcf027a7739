"""What two answers to the same request differ in, in lines for a person; pure.

Statuses, headers (not those that differ by nature) and bodies: JSON by what it says, text by its
lines, other bytes by their first difference. What was redacted on either side is equal.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from ferryman.inspection.bodies import content, text
from ferryman.inspection.events import Fields
from ferryman.inspection.exchanges import Exchange, Message
from ferryman.inspection.redaction import REDACTED
from ferryman.inspection.titles import printable

_NATURAL = """
    age alt-svc connection content-encoding content-length date expires keep-alive traceparent
    transfer-encoding vary via x-amzn-trace-id x-correlation-id x-request-id x-runtime x-trace-id
"""
BY_NATURE = frozenset(_NATURAL.split())
"""Headers that are not compared; bodies are compared without their codings."""

_LINES = 20
_WIDTH = 80
_DEPTH = 100
_BODY = 4 << 20
_DIFFED_LINES = 2000  # difflib is quadratic
_ABSENT = object()


def differences(recorded: Exchange, again: Exchange, ignore: Collection[str] = ()) -> list[str]:
    """A line for each, no more than a screenful; none if the answers are the same.

    ``ignore`` names further headers, in lower case.
    """
    before, after = recorded.answer, again.answer
    if before is None or after is None:
        if before is after:
            return []
        return ["an answer: there was none" if after else "no answer: there was one"]
    lines = list(islice(_all(before, after, BY_NATURE | set(ignore)), _LINES + 1))
    return [*lines[:_LINES], "…"] if len(lines) > _LINES else lines


def _all(before: Message, after: Message, ignore: Collection[str]) -> Iterator[str]:
    if before.title != after.title and REDACTED not in before.title + after.title:
        name = "status" if "status" in after.facts else "answer"
        yield f"{name}: {_short(before.title)} → {_short(after.title)}"
    yield from _fields(before.fields, after.fields, ignore)
    yield from _fields(before.trailers, after.trailers, ignore)
    if after.error and after.error != before.error:
        yield f"the answer is not whole: {_short(after.error)}"
    if not before.whole:  # cut when it was kept: nobody knows the rest
        return
    yield from _bodies(before, after)


def _fields(before: Fields, after: Fields, ignore: Collection[str]) -> Iterator[str]:
    old, new = _by_name(before), _by_name(after)
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name, "(none)"), new.get(name, "(none)")
        if name in ignore or was == now or REDACTED in was + now:
            continue
        yield f"{printable(name)}: {_short(was)} → {_short(now)}"


def _by_name(fields: Fields) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in fields:
        if not name.startswith(":"):
            values.setdefault(name.lower(), []).append(value)
    return {name: ", ".join(found) for name, found in values.items()}


def _bodies(before: Message, after: Message) -> Iterator[str]:
    was, now = content(before, _BODY).data, content(after, _BODY).data
    if was == now:
        return
    try:
        yield from _values("$", json.loads(was), json.loads(now))
        return
    except (ValueError, RecursionError):
        pass
    old, new = (
        text(data, str(m.facts.get("type", ""))) for data, m in ((was, before), (now, after))
    )
    if old is None or new is None:
        at = next((n for n, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), None)
        at = min(len(was), len(now)) if at is None else at
        yield f"body: {len(was)} bytes → {len(now)} bytes, different from byte {at} on"
        return
    yield from _lines(old.splitlines(), new.splitlines())


def _lines(old: list[str], new: list[str]) -> Iterator[str]:
    if max(len(old), len(new)) > _DIFFED_LINES:
        yield f"body: {len(old)} lines → {len(new)} lines"
        return
    diff = difflib.unified_diff(old, new, lineterm="", n=0)
    for line in islice(diff, 2, None):
        yield line[:1] + " " + _short(line[1:]) if line[:1] in "+-" else _short(line)


def _values(path: str, was: Any, now: Any, depth: int = 0) -> Iterator[str]:
    """Where two JSON values differ, by paths such as $.items[3].id."""
    if depth > _DEPTH:
        return
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *(key for key in now if key not in was)]:
            name = f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"
            yield from _values(name, was.get(key, _ABSENT), now.get(key, _ABSENT), depth + 1)
    elif isinstance(was, list) and isinstance(now, list):
        for number in range(max(len(was), len(now))):
            old = was[number] if number < len(was) else _ABSENT
            new = now[number] if number < len(now) else _ABSENT
            yield from _values(f"{path}[{number}]", old, new, depth + 1)
    elif type(was) is not type(now) or was != now:
        yield f"{_short(path)}: {_json(was)} → {_json(now)}"


def _json(value: object) -> str:
    return "(none)" if value is _ABSENT else _short(json.dumps(value))


def _short(words: str) -> str:
    return printable(words if len(words) <= _WIDTH else words[: _WIDTH - 1] + "…")
