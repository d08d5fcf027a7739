"""Continue tokens: which version a list began at, and where its last page ended.

They are the caller's to keep, so nothing of a list stays in memory; ``memory`` makes the old
version's state again from ``history``.
"""

from __future__ import annotations

import base64
from typing import Any

from ferryman.api import codec
from ferryman.api.resource import Name
from ferryman.api.status import BadRequest


def encode_token(version: int, last: Name) -> str:
    """A token that goes on after the object ``last``, as of a version."""
    data = codec.to_json({"v": version, "ns": last.namespace, "n": last.name})
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode_token(token: str) -> tuple[int, Name]:
    """What ``encode_token`` was given; raises BadRequest for anything else."""
    try:
        padded = token + "=" * (-len(token) % 4)
        said: Any = codec.from_json(base64.b64decode(padded.encode(), b"-_", validate=True))
        version, namespace, name = said["v"], said["ns"], said["n"]
    except (ValueError, KeyError, TypeError, BadRequest) as error:
        raise BadRequest(f"continue key is not valid: {token[:100]!r}") from error
    if not (isinstance(version, int) and isinstance(namespace, str) and isinstance(name, str)):
        raise BadRequest(f"continue key is not valid: {token[:100]!r}")
    return version, Name(name, namespace)
