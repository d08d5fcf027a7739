"""Makes the files of ``-w``: for their owner only, and never over what is there unless forced.

They are made before anything listens, so that a wrong name is an error at once; ``keeping`` writes
them, maybe in another process, which inherits the descriptors.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from typing import Literal

from ferryman.errors import UserError

Kind = Literal["ferry", "pcapng", "har"]
KINDS: tuple[Kind, ...] = ("ferry", "pcapng", "har")


def kind_of(path: str) -> Kind:
    """Which format a file's name asks for; raises UserError."""
    for kind in KINDS:
        if path.endswith("." + kind):
            return kind
    known = ", ".join("." + kind for kind in KINDS)
    raise UserError(f"cannot tell what to write to {path!r}", f"end its name with one of {known}")


class Files:
    """Files that were made, by path; nothing is in them yet."""

    def __init__(self, descriptors: dict[str, int]) -> None:
        self.descriptors = descriptors

    @classmethod
    def make(cls, paths: Sequence[str], *, force: bool = False) -> Files:
        """All or none of them; raises UserError."""
        made = cls({})
        new: list[str] = []
        try:
            for path in paths:
                kind_of(path)
                there = os.path.lexists(path)
                made.descriptors[path] = _create(path, force)
                if not there:
                    new.append(path)
        except UserError:
            made.close()
            _remove(new)
            raise
        return made

    def close(self) -> None:
        """Nobody here needs them any more."""
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors = {}

    def discard(self) -> None:
        """Nothing will be written after all: no empty file stays."""
        empty = [p for p, d in self.descriptors.items() if os.fstat(d).st_size == 0]
        self.close()
        _remove(empty)


def _remove(paths: Sequence[str]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _create(path: str, force: bool) -> int:
    """A file of mode 0600 that is empty; what is no ordinary file is refused, also with force."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    flags |= os.O_NONBLOCK if force else os.O_EXCL  # a FIFO there must not make us wait
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise UserError(f"{path} exists", "name another file, or add --force") from error
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{path} is no ordinary file", "name another file")
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
    except UserError:
        os.close(descriptor)
        raise
    except OSError as error:
        os.close(descriptor)
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return descriptor
