"""Recordings for tests: what clients and servers said, as `-w FILE.ferry` would have kept it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ferryman.inspection import feed
from ferryman.inspection.exports.recording import Header, Recording
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.session import Decoded
from ferryman.inspection.sessions import Sessions

AT = 1_795_424_948_123_456_789
SECRET = "pl4nted"
Talk = Sequence[tuple[Direction, bytes]]


def request(path: str, *, method: str = "GET", body: bytes = b"", headers: str = "") -> bytes:
    """With a secret in it."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: api\r\nCookie: s={SECRET}\r\n{headers}{length}\r\n"
    return head.encode() + body


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nDate: Mon, 23 Nov 2026 09:09:08 GMT\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def connection(number: int, talk: Talk, endpoint: str = "localhost:8081") -> list[feed.Record]:
    """One, from its opening to its end."""
    at = AT + number * 1_000_000_000
    records: list[feed.Record] = [
        feed.Opened(number, at, "127.0.0.1:8080", f"127.0.0.1:{40_000 + number}", endpoint)
    ]
    sizes = {UP: 0, DOWN: 0}
    for direction, data in talk:
        at += 1_000_000
        sizes[direction] += len(data)
        records.append(feed.Chunk(number, at, direction, data))
    records += [feed.Ended(number, at, UP), feed.Ended(number, at, DOWN)]
    return [*records, feed.Closed(number, at, sizes[UP], sizes[DOWN], "")]


def write(path: Path, records: Iterable[feed.Record], *, redact: bool = True) -> Path:
    """The records, as sessions let them out."""
    recording = Recording(Header("0.1.0", AT, ("127.0.0.1:8080",), redact))
    sessions = Sessions(redact=redact, raw=True)
    with path.open("wb") as file:
        file.write(recording.begin())
        for record in records:
            for seen in sessions.receive(record):
                if not isinstance(seen, Decoded):
                    file.write(recording.record(seen))
    return path
