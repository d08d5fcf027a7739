"""The grammar of ``[LOCAL:]REMOTE`` and of ``--address``, as kubectl has it; pure.

Rules and error texts are client-go's (``tools/portforward``, 1.37), because people search for
them. ``daemon.forward`` makes a Relay of what comes out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from ferryman.errors import UserError

BOTH_FAMILIES = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Pair:
    """One forwarded port. ``local`` 0 is a random port; None is the number behind ``remote``."""

    local: int | None
    remote: int | str


def parse_pair(text: str) -> Pair:
    """The pair that ``8080``, ``8080:8000``, ``:8000``, ``8080:http`` or ``http`` means."""
    parts = text.split(":")
    if len(parts) > 2:
        raise UserError(f"invalid port format '{text}'", "write [LOCAL:]REMOTE, such as 8080:80")
    remote = _remote(parts[-1])
    if len(parts) == 2:
        return Pair(_number(parts[0], "local") if parts[0] else 0, remote)
    return Pair(remote if isinstance(remote, int) else None, remote)


def parse_pairs(texts: Iterable[str]) -> list[Pair]:
    """All pairs; a local port can be given away only once."""
    pairs = [parse_pair(text) for text in texts]
    check_distinct(pairs)
    return pairs


def check_distinct(pairs: Iterable[Pair]) -> None:
    """Raises UserError if a local port is asked for twice."""
    chosen = [pair.local for pair in pairs if pair.local]
    twice = next((local for local in chosen if chosen.count(local) > 1), None)
    if twice is not None:
        raise UserError(f"local port {twice} is asked for twice")


def parse_hosts(text: str) -> list[str]:
    """The IP addresses that ``--address`` means, in kubectl's order, without repeats."""
    hosts: set[str] = set()
    for part in text.split(","):
        if part == "localhost":
            hosts.update(BOTH_FAMILIES)
            continue
        try:
            hosts.add(str(ipaddress.ip_address(part)))
        except ValueError as cause:
            raise UserError(
                f"{part} is not a valid IP", "--address takes IP addresses and localhost"
            ) from cause
    return sorted(hosts)


def _remote(text: str) -> int | str:
    if not text:
        raise UserError("the remote port is missing", "write [LOCAL:]REMOTE, such as 8080:80")
    if text[0].isdigit() or text[0] in "+-":
        number = _number(text, "remote")
        if number == 0:
            raise UserError("remote port must be > 0")
        return number
    return text


def _number(text: str, which: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise UserError(f"error parsing {which} port '{text}': invalid syntax")
    if len(text) > 5 or int(text) > 65535:
        raise UserError(f"error parsing {which} port '{text}': value out of range")
    return int(text)
