"""What people write for the two ends of a relay, and what it means; pure.

``short`` has the forms of every day (8080, localhost:8081, /run/x.sock); ``socat`` has socat's
grammar, ``workloads`` deploy/x:8000. ``written`` decides which of them a text is. Nothing but
``short`` is imported before it is needed: `ferry relay 8080 localhost:8081` starts without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.addresses.short import (
    FORMS,
    Address,
    TcpAddress,
    UnixAddress,
    loopbacks,
    parse_port,
)
from ferryman.addresses.short import parse as parse
from ferryman.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.addresses.specs import Spec
    from ferryman.addresses.workloads import WorkloadAddress

__all__ = [
    "FORMS",
    "Address",
    "TcpAddress",
    "UnixAddress",
    "loopbacks",
    "parse",
    "parse_any",
    "parse_place",
    "parse_port",
    "parse_workload",
    "two",
]


def parse_any(text: str) -> TcpAddress | UnixAddress | Spec | WorkloadAddress:
    """What a text in any of the grammars means; ``parse`` knows the short forms only.

    Raises UserError, which says what was expected and what is near.
    """
    plain = text.isdecimal() or text.startswith(("127.", "localhost:", ":", "[", "@"))
    if (plain or text.startswith(("/", "./", "../", "~/"))) and "," not in text and "!" not in text:
        return parse(text)
    from ferryman.addresses.written import parse_written

    return parse_written(text)


def parse_place(text: str) -> TcpAddress | UnixAddress | Spec:
    """As ``parse_any``, where a workload has no place; raises UserError."""
    found = parse_any(text)
    if isinstance(found, (TcpAddress, UnixAddress)):
        return found
    from ferryman.addresses.workloads import WorkloadAddress

    if isinstance(found, WorkloadAddress):
        raise UserError(f"{found} cannot be listened on", "a workload is a target of connections")
    return found


def parse_workload(text: str) -> WorkloadAddress | None:
    """The workload that is meant, or None if something else is; raises UserError."""
    if "/" not in text or not text[:1].isalpha():
        return None
    from ferryman.addresses import workloads

    return workloads.parse(text) if workloads.is_workload(text) else None


def two(texts: Sequence[str]) -> tuple[str, str]:
    """The two addresses of a command line; raises UserError in socat's manner."""
    if len(texts) == 2:
        return texts[0], texts[1]
    from ferryman.addresses.written import not_two

    raise not_two(texts)
