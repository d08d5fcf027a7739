"""Two descriptors as one end of a flow: STDIO, FD, files, FIFOs, terminals.

One is read, one written; they may be the same. A regular file is always ready, which epoll will
not say, so it is emulated. Descriptors that we inherited are shared with others (a shell's
terminal), so they are not made non-blocking: they are polled before each call instead, and no more
is written than then fits. ``terminals`` sets modes, ``opening`` opens.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import stat
from collections.abc import Callable

from ferryman.dataplane.contract import HANGUP, READ, WRITE
from ferryman.dataplane.emulated import Emulated
from ferryman.dataplane.loop import Loop

_FITS = select.PIPE_BUF  # POSIX: what a pipe takes that polls as writable
_TERMINAL_FITS = 512
_ERROR = 8  # select.EPOLLERR


class DescriptorSide(Emulated):
    """Descriptors that are ``ours`` are non-blocking, and closed with the side.

    ``finish`` is called once before they are. ``end`` says how to end the writing half of a
    descriptor that is still read; without it, only sockets know how.
    """

    fd: int | None = None

    def __init__(
        self,
        loop: Loop,
        read: int | None,
        write: int | None,
        *,
        ours: bool,
        finish: Callable[[], None] | None = None,
        end: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(loop)
        self._read = read
        self._write = write
        self._ours = ours
        self._finish = finish
        self._end = end
        self._masks: dict[int, int] = {}  # what each descriptor is watched for
        self._always = {fd for fd in (read, write) if fd is not None and not pollable(fd)}
        self._ended = False  # there is nothing more to be read
        self._hung_up = False
        self._closed = False

    def recv_into(self, buffer: memoryview) -> int:
        if self._ended:
            return 0
        if self._read is None:
            raise BlockingIOError
        if not self._ours and not _ready_now(self._read, select.POLLIN):
            raise BlockingIOError
        try:
            return os.readv(self._read, [buffer])
        except OSError as error:
            if error.errno == errno.EIO:  # so a terminal's master says that nobody has the slave
                return 0
            raise

    def send(self, data: memoryview) -> int:
        if self._write is None:
            raise OSError(errno.EBADF, "it is only read from")
        if not self._ours and self._write not in self._always:
            if not _ready_now(self._write, select.POLLOUT):
                raise BlockingIOError
            data = data[: _TERMINAL_FITS if os.isatty(self._write) else _FITS]
        return os.write(self._write, data)

    def shutdown(self) -> None:
        if self._read is None or (self._end is None and os.isatty(self._read)):
            # It was only written to, or a person sits there to whom no end can be shown.
            self._ended = True
            self._hung_up = True
            self._news()
        write, self._write = self._write, None
        if write is None:
            return
        if write != self._read:
            self._unwatch(write)
            if self._ours:
                os.close(write)
                return
        if self._end is not None:
            self._end()
        else:
            end_writing(write)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for fd in list(self._masks):
            self._unwatch(fd)
        if self._finish is not None:
            self._finish()
        if self._ours:
            for ours in {self._read, self._write}:
                if ours is not None:
                    os.close(ours)

    def abort(self, why: str) -> None:
        del why  # there is nobody to be told
        self.close()

    def half_closed(self) -> bool:
        return False

    def departed(self) -> bool:
        if self._read is None or self._read in self._always:
            return False
        found = _poll(self._read, select.POLLIN)
        return bool(found & select.POLLHUP and not found & select.POLLIN)

    # -- readiness --

    def want(self, mask: int) -> None:
        super().want(mask)
        if self._closed:
            return
        wanted: dict[int, int] = {}
        for fd, bit in ((self._read, READ), (self._write, WRITE)):
            if fd is not None and fd not in self._always:
                wanted[fd] = wanted.get(fd, 0) | (mask & bit)
        for fd, bits in wanted.items():
            self._watch(fd, bits)

    def _possible(self) -> int:
        if self._closed:
            return 0
        return (
            (READ if self._ended or self._read in self._always else 0)
            | (WRITE if self._write in self._always else 0)
            | (HANGUP if self._hung_up else 0)
        )

    def _watch(self, fd: int, bits: int) -> None:
        """Nothing wanted is not watched: an end that nobody wants to hear of would spin."""
        before = self._masks.get(fd, 0)
        if bits and not before:
            self._loop.add(fd, bits, lambda mask: self._ready(fd, mask))
        elif bits != before and bits:
            self._loop.modify(fd, bits)
        elif before and not bits:
            self._loop.remove(fd)
        self._masks[fd] = bits

    def _unwatch(self, fd: int) -> None:
        if self._masks.pop(fd, 0):
            self._loop.remove(fd)

    def _ready(self, fd: int, mask: int) -> None:
        bits = self._masks.get(fd, 0)
        if mask & (HANGUP | _ERROR):
            mask = bits  # reading or writing tells what it is
        if self._on_ready is not None and mask & bits:
            self._on_ready(mask & bits)


def pollable(fd: int) -> bool:
    """Whether readiness can be told of it: not of regular files, nor of /dev/null."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return False
    if not hasattr(select, "epoll"):
        return True
    with select.epoll() as poller:
        try:
            poller.register(fd, 0)
        except PermissionError:
            return False
    return True


def end_writing(fd: int) -> None:
    """Let whoever reads from a descriptor of others see the end, if it is a socket or a pipe.

    A pipe becomes /dev/null in our hands: its number must not be given to anything else.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as sock:
            sock.shutdown(socket.SHUT_WR)
    elif stat.S_ISFIFO(mode):
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, fd)
        os.close(null)


def _ready_now(fd: int, event: int) -> bool:
    return bool(_poll(fd, event) & (event | select.POLLHUP | select.POLLERR))


def _poll(fd: int, event: int) -> int:
    poll = select.poll()
    poll.register(fd, event)
    found = poll.poll(0)
    return found[0][1] if found else 0
