"""STDIO, FD, OPEN, CREATE, GOPEN and PIPE: opens them and makes sides of them (``descriptors``)."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable

from ferryman.addresses.specs import Create, Descriptors, File, OpenOptions, Pipe, UnixConnect
from ferryman.dataplane import terminals, tuning
from ferryman.dataplane.contract import Client
from ferryman.dataplane.descriptors import DescriptorSide
from ferryman.dataplane.loop import Loop
from ferryman.dataplane.sockets import FinishingSocket
from ferryman.dataplane.udp import UdpSide

_FLAGS = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_side(loop: Loop, spec: Descriptors | File | Create | Pipe) -> Client | UnixConnect:
    """The side, or what to connect to, if GOPEN found a socket. Raises OSError, UserError."""
    match spec:
        case Descriptors():
            return _inherited(loop, spec)
        case Create():
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            fd = _open(spec.path, flags, spec)
            return DescriptorSide(loop, None, fd, ours=True, finish=_finish(spec))
        case File():
            return _file(loop, spec)
        case Pipe():
            return _pipe(loop, spec)


def _inherited(loop: Loop, spec: Descriptors) -> Client:
    for fd in (spec.read, spec.write):
        if fd is not None:
            os.fstat(fd)  # EBADF now, not later
    terminal = spec.write if spec.read is None else spec.read
    restore = None if terminal is None else terminals.set_modes(terminal, spec.terminal)
    one = spec.read if spec.read == spec.write else None
    if one is not None and stat.S_ISSOCK(os.fstat(one).st_mode):
        return _socket(loop, one)
    return DescriptorSide(loop, spec.read, spec.write, ours=False, finish=restore)


def _socket(loop: Loop, fd: int) -> Client:
    """A socket that we inherited; it is made non-blocking for as long as we use it."""
    blocking = os.get_blocking(fd)
    sock = socket.socket(fileno=os.dup(fd))
    sock.setblocking(False)
    if sock.type == socket.SOCK_DGRAM:
        return UdpSide(loop, sock)
    return FinishingSocket(loop, sock, lambda: os.set_blocking(fd, blocking))


def _file(loop: Loop, spec: File) -> Client | UnixConnect:
    options, extra = spec.open, 0
    if spec.generic:
        try:
            mode = os.stat(spec.path).st_mode
        except FileNotFoundError:
            extra = os.O_CREAT | os.O_APPEND
        else:
            if stat.S_ISSOCK(mode):
                return UnixConnect(spec.path)
            extra = os.O_APPEND if stat.S_ISREG(mode) else 0
    fd = _open(spec.path, _flags(options) | extra, spec)
    try:
        restore = terminals.set_modes(fd, spec.terminal)
    except BaseException:
        os.close(fd)
        raise
    read = None if options.wronly else fd
    write = None if options.rdonly else fd
    finish = _finish(spec)

    def finished() -> None:
        restore()
        if finish is not None:
            finish()

    return DescriptorSide(loop, read, write, ours=True, finish=finished)


def _pipe(loop: Loop, spec: Pipe) -> Client:
    if not spec.path:
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        return DescriptorSide(loop, read, write, ours=True)
    made = True
    tuning.unlink_early(spec.path, spec.name)
    with tuning.umask(spec.name):
        try:
            os.mkfifo(spec.path, 0o666)
        except FileExistsError:
            made = False
        else:
            tuning.own(spec.path, spec.name)
    # Two descriptors, so that closing the one that is written can be seen on the other.
    read = os.open(spec.path, os.O_RDONLY | _FLAGS)
    try:
        write = os.open(spec.path, os.O_WRONLY | _FLAGS)
    except BaseException:
        os.close(read)
        raise
    return DescriptorSide(loop, read, write, ours=True, finish=_finish(spec, goes=made))


def _finish(spec: File | Create | Pipe, *, goes: bool = False) -> Callable[[], None] | None:
    """What removes the name in the end, if it is to go."""
    if not (goes if spec.name.unlink_close is None else spec.name.unlink_close):
        return None

    def unlink() -> None:
        with contextlib.suppress(OSError):
            os.unlink(spec.path)

    return unlink


def _open(path: str, flags: int, spec: File | Create) -> int:
    tuning.unlink_early(path, spec.name)
    with tuning.umask(spec.name):
        fd = os.open(path, flags | _FLAGS, 0o666)
    try:
        tuning.own(path, spec.name)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _flags(options: OpenOptions) -> int:
    access = os.O_RDONLY if options.rdonly else os.O_WRONLY if options.wronly else os.O_RDWR
    for flag, wanted in (
        (os.O_APPEND, options.append),
        (os.O_CREAT, options.creat),
        (os.O_EXCL, options.excl),
        (os.O_TRUNC, options.trunc),
        (os.O_NOFOLLOW, options.nofollow),
        (os.O_SYNC, options.sync),
    ):
        access |= flag if wanted else 0
    return access
