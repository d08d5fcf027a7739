"""The addresses of the hosts that forwards are to listen on.

A name is looked up outside the event loop and before the data plane hears of it, which knows
addresses only: a slow name server must stop nobody else.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable

from ferryman.apiclient.reaching import resolve
from ferryman.controllers.forwards import Hosts
from ferryman.runtime.clock import Clock

TIMEOUT = 5.0
FRESH = 60.0
"""Seconds for which an answer is not asked for again."""
_MOST = 1024
LOOPBACKS = ("127.0.0.1", "::1")

LookUp = Callable[[str], Awaitable[tuple[str, ...]]]
"""Addresses of a name; raises OSError, UnicodeError or TimeoutError."""


async def look_up(name: str) -> tuple[str, ...]:
    """What the system says."""
    async with asyncio.timeout(TIMEOUT):
        found = await resolve(name, 0)
    return tuple(dict.fromkeys(str(place[0]) for _, place in found))


class HostNames:
    """Remembers what names meant: a name server that fails later takes no listener away."""

    def __init__(self, clock: Clock, look_up: LookUp = look_up) -> None:
        self._clock = clock
        self._look_up = look_up
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}

    async def addresses(self, hosts: Iterable[str]) -> Hosts:
        """The addresses of each host, or why it has none; none and localhost are the loopbacks."""
        found: dict[str, tuple[str, ...] | str] = {}
        for host in dict.fromkeys(hosts):
            if host in ("", "localhost"):
                found[host] = LOOPBACKS
            elif _is_address(host):
                found[host] = (host,)
            else:
                found[host] = await self._named(host)
        return found

    async def _named(self, host: str) -> tuple[str, ...] | str:
        looked, known = self._known.pop(host, (-FRESH, ()))
        now = self._clock.monotonic()
        if now - looked >= FRESH or not known:
            try:
                looked, known = now, await self._look_up(host)
            except (OSError, UnicodeError, TimeoutError) as error:
                if not known:
                    return f"cannot listen on {host}: {_reason(error)}"
        self._known[host] = (looked, known)
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return known


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "not a host's name"
    return getattr(error, "strerror", None) or "the name server does not answer"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
