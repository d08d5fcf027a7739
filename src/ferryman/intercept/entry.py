"""What the journal says of one tapped socket, and how it is written down; pure.

``journal`` has the files, ``verdict`` judges by it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True, slots=True)
class Identity:
    """Tells one file from another, whatever they are called. An inode's number is soon another
    file's once that is removed, so there is also when it was made, in ns: nothing changes a
    socket's st_mtime later.
    """

    device: int
    inode: int
    made: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Entry:
    """A socket that is moved aside, or may be: ``path`` is absolute and has no links in it.

    ``ours`` is the socket in its place; None as long as that does not exist. ``main`` and
    ``guardian`` are process ids, for people; ``since`` is in seconds since the epoch.
    """

    path: str
    original: Identity
    mode: int
    uid: int
    gid: int
    main: int
    guardian: int
    since: float
    ours: Identity | None = None

    def taken(self, ours: Identity) -> Entry:
        """The same, with our socket in its place."""
        return replace(self, ours=ours)


def render(entry: Entry) -> bytes:
    """One line."""
    return json.dumps(asdict(entry)).encode() + b"\n"


def parse(text: bytes) -> Entry | None:
    """What the first line says; None if nothing, or nothing of ours."""
    try:
        found = json.loads(text.partition(b"\n")[0])
        ours = found.pop("ours")
        original = Identity(**found.pop("original"))
        entry = Entry(original=original, ours=ours and Identity(**ours), **found)
        return entry if os.path.isabs(entry.path) else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
