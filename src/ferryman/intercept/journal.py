"""What has to be put back, on disk: one file a tapped socket, written before anything is moved.

The files are 0600 in the state folder ($FERRY_HOME, else XDG's). Whoever has the say over an entry
holds a lock on its file, which the kernel drops when that process dies: unlike a process id, a lock
is never somebody else's later. An entry that nobody has locked is for ``repair``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator

from ferryman.errors import Conflict, UserError
from ferryman.intercept.entry import Entry, parse, render
from ferryman.intercept.places import SUFFIX, folder, names

_LONGEST = 16 * 1024


class Journal:
    """One entry's file, locked for as long as it is open and we live."""

    def __init__(self, descriptor: int, file: str) -> None:
        self._descriptor = descriptor
        self._file = file

    @classmethod
    def open(cls, path: str) -> Journal:
        """The file for a socket, a new one or what a dead process left; raises Conflict if a
        living one has it.
        """
        where = folder()
        try:
            os.makedirs(where, mode=0o700, exist_ok=True)
            _check(where, os.lstat(where), stat.S_ISDIR)
        except OSError as cause:
            raise UserError(f"cannot write to {where}: {cause.strerror}") from cause
        name = hashlib.blake2s(os.fsencode(path), digest_size=12).hexdigest() + SUFFIX
        while True:
            try:
                journal = cls._locked(os.path.join(where, name), os.O_CREAT)
            except BlockingIOError:
                raise Conflict(
                    f"{path} is tapped already", "ferry tap --status says more"
                ) from None
            except OSError as cause:
                raise UserError(f"cannot write to {where}: {cause.strerror}") from cause
            if journal is not None:
                return journal

    @classmethod
    def left(cls, name: str) -> Journal | None:
        """The file of that name if whoever wrote it is dead; None if not, or if it is gone."""
        try:
            return cls._locked(os.path.join(folder(), name), 0)
        except (OSError, UserError):
            return None

    @classmethod
    def _locked(cls, file: str, flags: int) -> Journal | None:
        """None if it was removed meanwhile; raises BlockingIOError if a living process has it."""
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
        try:
            _check(file, os.fstat(descriptor), stat.S_ISREG)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                return cls(descriptor, file)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def read(self) -> Entry | None:
        """What is in it; None if that is nothing (its writer died before it could)."""
        return parse(os.pread(self._descriptor, _LONGEST, 0))

    def write(self, entry: Entry) -> None:
        """One write: a process that is killed leaves all of the line or none of it."""
        os.pwrite(self._descriptor, render(entry), 0)

    def remove(self) -> None:
        """Nothing is left to be put back."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._file)
        self.close()

    def close(self) -> None:
        """Give up the lock, and leave the entry to whoever comes."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def standing() -> Iterator[tuple[Entry, bool]]:
    """Every entry, and whether the process that watches over it lives."""
    for name in names():
        file = os.path.join(folder(), name)
        with contextlib.suppress(OSError, UserError):
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                _check(file, os.fstat(descriptor), stat.S_ISREG)
                entry = parse(os.pread(descriptor, _LONGEST, 0))
                lives = not _lockable(descriptor)
            finally:
                os.close(descriptor)
            if entry is not None:
                yield entry, lives


def _lockable(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check(name: str, status: os.stat_result, kind: Callable[[int], bool]) -> None:
    """What others could have written is no guide for a process that may be root's."""
    if not kind(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise UserError(f"{name} may have been written by others", "remove it, or set FERRY_HOME")
