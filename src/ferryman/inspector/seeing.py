"""What is to be seen of connections, and how, as plain data that may go to another process.

``cli.seeing`` makes it of a command line, ``process`` acts on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Format = Literal["pretty", "json", "socat", "raw"]
FORMATS: tuple[Format, ...] = get_args(Format)

SHOWN_BODY = 64 << 10
"""How much of a body is shown unless ``--max-body`` says otherwise, in bytes."""
KEPT_BODY = 4 << 20
"""How much of a body goes into a HAR unless ``--max-body`` says otherwise."""
BODY_LIMIT = 64 << 20
"""The most that ``--max-body`` may ask for, because it is held in memory."""


@dataclass(frozen=True, slots=True)
class Seeing:
    """What was asked for; plain data."""

    format: Format = "pretty"
    verbose: bool = False
    hexadecimal: bool = False
    only: str = ""
    grep: str = ""
    max_body: int | None = None
    colour: bool = False
    redact: bool = True
    files: tuple[str, ...] = ()
    force: bool = False

    def as_json(self) -> dict[str, Any]:
        """For another process; ``from_json`` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Seeing:
        """What ``as_json`` said."""
        return cls(**{**data, "files": tuple(data["files"])})

    @property
    def needs_bodies(self) -> bool:
        """Whether bodies must be copied, not only counted."""
        bytes_wanted = self.verbose or self.hexadecimal or self.format in ("socat", "raw")
        return bytes_wanted or bool(self.grep) or bool(self.files)

    @property
    def shown_body(self) -> int:
        """How many bytes of a body to show."""
        return SHOWN_BODY if self.max_body is None else self.max_body

    @property
    def body_limit(self) -> int:
        """How many bytes of a body to hold until its exchange is complete."""
        if not self.needs_bodies:
            return 0
        if self.max_body is not None:
            return self.max_body
        return KEPT_BODY if any(f.endswith(".har") for f in self.files) else SHOWN_BODY
