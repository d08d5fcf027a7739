"""Moves a socket aside for one of ours, and back: link, bind, rename, so that no connect fails.

All of it happens in a process of its own (``guardian``), because binding and connecting know no
folder descriptors: it changes the working directory to the folder, which stays that folder whatever
its path comes to mean. Ours is bound in a new private folder beside the original, gets mode, owner
and access list there, and only then its name. ``verdict`` decides what is put back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from types import TracebackType

from ferryman.errors import UserError
from ferryman.intercept.clients import check_stream
from ferryman.intercept.entry import Entry, Identity
from ferryman.intercept.verdict import Outcome, Seen, decide

SAVED, STAGING = ".ferry-orig", ".ferry-new"
BACKLOG = 4096
_ACCESS_LIST = "system.posix_acl_access"
_SETTLE = 0.1
_PINS = hasattr(os, "O_PATH") and os.path.isdir("/proc/self/fd")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Place:
    """A socket's name in its folder, which is pinned; ``path`` has no links in it.

    Entering changes the process's working directory to the folder.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        folder, self.name = os.path.split(path)
        try:
            self._folder = os.open(folder, _FOLDER)
        except OSError as cause:
            raise UserError(f"cannot open {folder}: {cause.strerror}") from cause

    def __enter__(self) -> Place:
        os.fchdir(self._folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._folder)

    # -- looking --

    def inspect(self) -> os.stat_result:
        """The socket that is to be tapped; raises UserError if it cannot or should not be."""
        try:
            status = os.lstat(self.name, dir_fd=self._folder)
        except FileNotFoundError:
            raise UserError(f"there is no {self.path}", "is its server running?") from None
        if not stat.S_ISSOCK(status.st_mode):
            raise UserError(f"{self.path} is no UNIX socket")
        folder = os.fstat(self._folder)
        if _others_write(folder, status):
            raise UserError(
                f"others could put their own socket into {os.path.dirname(self.path)}",
                f"ferry tap {self.path} -- COMMAND moves nothing",
            )
        check_stream(self.name, self.path)
        return status

    def identity(self) -> Identity | None:
        """What has the socket's name now."""
        return self._identity(self.name)

    def open_original(self) -> int | None:
        """The saved socket itself, to be dialled as /proc/self/fd/N whatever becomes of its name;
        None where there is no such thing (macOS).
        """
        if not _PINS:
            return None
        return os.open(
            self.name + SAVED, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder
        )

    # -- moving aside --

    def stage(self, original: os.stat_result) -> tuple[socket.socket, Identity]:
        """A listening socket with the original's mode and owner, which nobody can see yet."""
        self._clear_staging()
        os.mkdir(self.name + STAGING, 0o700, dir_fd=self._folder)
        inside = os.open(self.name + STAGING, _FOLDER, dir_fd=self._folder)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            access = _access_list(self.name)
            os.fchdir(inside)
            listener.bind(self.name)
            _permit_alike(self.name, original, access)
            listener.listen(BACKLOG)
            listener.setblocking(False)
            return listener, Identity.of(os.lstat(self.name))
        except BaseException:
            listener.close()
            self._clear_staging()
            raise
        finally:
            os.fchdir(self._folder)
            os.close(inside)

    def expose(self, original: Identity) -> None:
        """Give the original its second name and the staged socket the first: no connect fails."""
        saved = self.name + SAVED
        staging = os.open(self.name + STAGING, _FOLDER, dir_fd=self._folder)
        try:
            try:
                self._link(self.name, saved)
            except FileExistsError:
                raise _in_the_way(self.path) from None
            if not self._identity(self.name) == self._identity(saved) == original:
                self._unlink(saved)
                raise UserError(f"{self.path} has just been replaced", "try again")
            os.rename(self.name, self.name, src_dir_fd=staging, dst_dir_fd=self._folder)
        finally:
            os.close(staging)
            self._clear_staging()

    # -- and back --

    def leftover(self) -> Entry:
        """An entry for what a tap left here whose journal is not ours, or is lost; raises
        UserError if that does not look dead.
        """
        os.fchdir(self._folder)
        saved = self._identity(self.name + SAVED)
        if saved is None:
            raise UserError(f"{self.path} is not tapped: there is nothing to put back")
        if self._answers(self.name):
            raise UserError(
                f"{self.path} answers: it is tapped by another user, or its server has it again",
                f"that user's `ferry tap {self.path} --restore`, or rm {self.path}{SAVED}",
            )
        ours = self._identity(self.name)
        return Entry(self.path, saved, mode=0, uid=0, gid=0, main=0, guardian=0, since=0, ours=ours)

    def restore(self, entry: Entry) -> Outcome:
        """Put right what the entry says; may be called again, by whomever, at any point."""
        os.fchdir(self._folder)
        verdict = decide(entry, self._see(entry))
        saved = self.name + SAVED
        if verdict.put == "over ours":
            os.rename(saved, self.name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        elif verdict.put == "if free":
            return self._put_if_free(entry)
        if verdict.remove_ours:
            self._unlink(self.name)
        if verdict.remove_saved:
            self._unlink(saved)
        self._clear_staging()
        return verdict.outcome

    def _put_if_free(self, entry: Entry) -> Outcome:
        """Our name was removed though the server answers: it has just begun to stop, or a person
        did it. Never over what comes meanwhile, and withdrawn if it turns out to be dead.
        """
        with contextlib.suppress(FileExistsError):
            self._link(self.name + SAVED, self.name)
            time.sleep(_SETTLE)
            if not self._answers(self.name) and self._identity(self.name) == entry.original:
                self._unlink(self.name)
        return decide(entry, self._tidied(entry)).outcome

    def _tidied(self, entry: Entry) -> Seen:
        seen = self._see(entry)
        if seen.saved == entry.original:
            self._unlink(self.name + SAVED)
        self._clear_staging()
        return Seen(seen.path, None, answers=False)

    def _see(self, entry: Entry) -> Seen:
        saved = self._identity(self.name + SAVED)
        answers = saved == entry.original and self._answers(self.name + SAVED)
        return Seen(self._identity(self.name), saved, answers)

    def _answers(self, name: str) -> bool:
        """Whether somebody listens there; a full backlog is a busy server, not a dead one."""
        return self._connect(name) in (0, errno.EAGAIN)

    def _connect(self, name: str) -> int:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            return probe.connect_ex(name)

    def _identity(self, name: str) -> Identity | None:
        try:
            return Identity.of(os.lstat(name, dir_fd=self._folder))
        except FileNotFoundError:
            return None

    def _link(self, name: str, new: str) -> None:
        folder = self._folder
        os.link(name, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._folder)

    def _clear_staging(self) -> None:
        """Remove the private folder, ours of now or what a killed process left of it."""
        staging = self.name + STAGING
        with contextlib.suppress(FileNotFoundError):
            inside = os.open(staging, _FOLDER, dir_fd=self._folder)
            try:
                status = os.fstat(inside)
                if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                    raise UserError(f"{self.path}{STAGING} is not ours", "remove it first")
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.name, dir_fd=inside)
            finally:
                os.close(inside)
            os.rmdir(staging, dir_fd=self._folder)


def _in_the_way(path: str) -> UserError:
    return UserError(
        f"there is a {path}{SAVED}: another user has tapped it, or a tap was never undone",
        f"ferry tap {path} --restore",
    )


def _others_write(folder: os.stat_result, sock: os.stat_result) -> bool:
    """Whether somebody could put a name of theirs in place of ours who could not do it to the
    socket's own server. A sticky folder lets only a file's owner do that. A group that writes is
    the server's own (/run/postgresql) or root's.
    """
    owners = {0, os.geteuid()}
    if _PINS:  # else its owner could make us, who may be root, dial something else
        owners.add(sock.st_uid)
    if folder.st_uid not in owners:
        return True
    if folder.st_mode & stat.S_ISVTX:
        return False
    by_group = folder.st_mode & stat.S_IWGRP and folder.st_gid not in (0, sock.st_gid)
    return bool(folder.st_mode & stat.S_IWOTH or by_group)


def _permit_alike(name: str, original: os.stat_result, access: bytes | None) -> None:
    """Let exactly those connect who could before. While there is an access list, the group's bits
    of the mode are its mask: neither goes without the other.
    """
    status = os.lstat(name)
    if (status.st_uid, status.st_gid) != (original.st_uid, original.st_gid):
        os.chown(name, original.st_uid, original.st_gid, follow_symlinks=False)
    if access is not None:
        os.setxattr(name, _ACCESS_LIST, access)
        return
    if _access_list(name) is not None:  # the folder's default
        os.removexattr(name, _ACCESS_LIST)
    os.chmod(name, stat.S_IMODE(original.st_mode))


def _access_list(name: str) -> bytes | None:
    """The POSIX access list of a file in the working directory, where there is such a thing."""
    if not hasattr(os, "getxattr"):
        return None
    try:
        return os.getxattr(name, _ACCESS_LIST, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise
