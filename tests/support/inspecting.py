"""Records of observed connections, and what sessions and forms make of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ferryman.inspection import feed
from ferryman.inspection.forms import Form
from ferryman.inspection.session import Decoded, Seen
from ferryman.inspection.sessions import Sessions
from tests.support.split import cut

MS = 1_000_000
Said = Sequence[tuple[feed.Direction, bytes]]


def records(
    said: Said,
    places: Iterable[int] = (),
    *,
    connection: int = 1,
    reset: str = "",
    closed: bool = True,
) -> list[feed.Record]:
    """One connection that says this, cut at these places; each step takes a millisecond."""
    places = list(places)
    client, endpoint = f"127.0.0.1:{5000 + connection}", "localhost:8081"
    out: list[feed.Record] = [feed.Opened(connection, 0, "relay", client, endpoint)]
    sizes: dict[feed.Direction, int] = {feed.UP: 0, feed.DOWN: 0}
    for step, (direction, data) in enumerate(said, 1):
        for piece in cut(data, places):
            out.append(feed.Chunk(connection, step * MS, direction, piece))
        sizes[direction] += len(data)
    end = (len(said) + 1) * MS
    if closed and not reset:
        out += [feed.Ended(connection, end, way) for way in (feed.UP, feed.DOWN)]
    if closed:
        out.append(feed.Closed(connection, end, sizes[feed.UP], sizes[feed.DOWN], reset))
    return out


def seen(
    given: Iterable[feed.Record],
    *,
    redact: bool = True,
    raw: bool = True,
    body_limit: int = 1 << 20,
) -> list[Seen]:
    """What leaves the sessions."""
    sessions = Sessions(redact=redact, raw=raw, body_limit=body_limit)
    return [one for record in given for one in sessions.receive(record)]


def shown(form: Form, given: Iterable[feed.Record], *, redact: bool = True) -> bytes:
    """What the form writes."""
    passed = seen(given, redact=redact, raw=form.raw, body_limit=form.body_limit)
    return b"".join(map(form.write, passed)) + form.finish()


def raw_bytes(passed: Iterable[Seen]) -> dict[tuple[int, feed.Direction], bytes]:
    """The bytes of each direction of each connection."""
    out: dict[tuple[int, feed.Direction], bytes] = {}
    for one in passed:
        if isinstance(one, feed.Chunk):
            key = (one.connection, one.direction)
            out[key] = out.get(key, b"") + one.data
    return out


def events(passed: Iterable[Seen]) -> list[Decoded]:
    """The events among them."""
    return [one for one in passed if isinstance(one, Decoded)]
