"""A TCP connection to whichever of a name's addresses answers first (RFC 8305), on asyncio.

Names are looked up in a thread that nobody waits for: asyncio waits for its own when a program
ends, and a name server that does not answer keeps them for half a minute. ``connection`` speaks
on what comes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import socket
import threading
from collections.abc import Callable, Iterable

from ferryman.runtime.tasks import Tasks

HEAD_START = 0.25
"""Seconds that an address gets before the next one is tried beside it."""

Place = tuple[int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""Family and address, as the socket module has them."""


async def reach(host: str, port: int) -> socket.socket:
    """A connected, non-blocking socket; raises OSError or UnicodeError as the system does.

    Cancelled, it leaves nothing open.
    """
    return await _first(in_turn(await resolve(host, port)))


async def resolve(host: str, port: int) -> list[Place]:
    """The addresses of a name; none twice. Raises OSError, UnicodeError."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):  # ValueError: a NUL, or no ASCII
            socket.inet_pton(family, host)
            return [(family, (host, port))]
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Place]] = loop.create_future()

    def tell(say: Callable[[], None]) -> None:
        if not found.done():
            say()

    def look_up() -> None:
        try:
            answer = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as failure:
            say = functools.partial(found.set_exception, failure)
        else:
            places: list[Place] = [(family, place) for family, _, _, _, place in answer]
            say = functools.partial(found.set_result, list(dict.fromkeys(places)))
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(tell, say)

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    return await found


def in_turn(places: Iterable[Place]) -> list[Place]:
    """The families by turns, beginning with the first one's."""
    families: dict[int, list[Place]] = {}
    for place in places:
        families.setdefault(place[0], []).append(place)
    rounds = itertools.zip_longest(*families.values())
    return [place for turn in rounds for place in turn if place is not None]


async def _first(places: list[Place]) -> socket.socket:
    """Begin with the first; each next one when all before have failed, or after a head start."""
    left, trying = list(reversed(places)), set[asyncio.Task[socket.socket]]()
    failure: BaseException = OSError("it has no address")
    async with Tasks(failed=lambda _: None) as tasks:  # failures are looked at here
        try:
            while left or trying:
                if left:
                    place = left.pop()
                    trying.add(tasks.start(_connect(place), f"connect to {place[1][0]!r}"))
                done, _ = await asyncio.wait(
                    trying,
                    timeout=HEAD_START if left else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    trying.discard(task)
                    error = task.exception()
                    if error is None:
                        return task.result()
                    failure = error
        finally:
            for task in trying:
                if task.done() and task.exception() is None:
                    task.result().close()
    raise failure


async def _connect(place: Place) -> socket.socket:
    family, address = place
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
