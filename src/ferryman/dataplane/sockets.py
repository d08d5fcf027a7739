"""Plain sockets for the data plane: how they listen, how they end, and as a ``Side`` of a flow.

``listeners`` decides what to listen on, ``dialling`` makes connections, ``flow`` moves the bytes.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ferryman.addresses import Address, TcpAddress, UnixAddress
from ferryman.dataplane.contract import HANGUP, READ, WRITE, ReadyCallback
from ferryman.dataplane.loop import Loop

if TYPE_CHECKING:
    from ferryman.addresses.specs import Spec

BACKLOG = 512
_ERROR = 8  # select.EPOLLERR: an RST came, or the like
_AT_ONCE = getattr(socket, "SOCK_NONBLOCK", 0)  # Linux makes it so without another call
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class SocketSide:
    """A connected stream socket, TCP or UNIX, as one end of a flow.

    Its end comes out as it came in: ``close`` sends a FIN (after what is queued), ``abort`` an
    RST. A UNIX socket knows no RST: the peer sees an end of stream, or ECONNRESET if it had sent
    something that was not read.
    """

    __slots__ = ("_interest", "_loop", "_on_ready", "_registered", "fd", "sock")

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self.sock = sock
        self.fd: int | None = sock.fileno()
        self._loop = loop
        self._interest = 0
        self._registered = False
        self._on_ready: ReadyCallback | None = None

    @property
    def is_unix(self) -> bool:
        return self.sock.family == socket.AF_UNIX

    def attach(self, on_ready: ReadyCallback) -> None:
        self._on_ready = on_ready

    def want(self, mask: int) -> None:
        if mask == self._interest and self._registered:
            return
        fd = self.fd
        if fd is None:
            return
        self._interest = mask
        if self._registered:
            self._loop.modify(fd, mask)
        else:
            self._registered = True
            self._loop.add(fd, mask, self._ready)

    def recv_into(self, buffer: memoryview) -> int:
        return self.sock.recv_into(buffer)

    def send(self, data: memoryview) -> int:
        return self.sock.send(data)

    def shutdown(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EINVAL):  # it is gone already
                raise

    def close(self) -> None:
        if self.fd is not None:
            if self._registered:
                self._loop.forget(self.fd)
            self.fd = None
            self.sock.close()

    def abort(self, why: str) -> None:  # noqa: ARG002  an RST carries no message
        if self.fd is not None:
            if not self.is_unix:
                reset_on_close(self.sock)
            self.close()

    def half_closed(self) -> bool:
        """Whether the peer will send no more, whatever there still is to be read; where poll
        cannot tell (macOS), False.
        """
        rdhup = getattr(select, "POLLRDHUP", 0)
        if not rdhup or self.fd is None:
            return False
        poll = select.poll()
        poll.register(self.fd, rdhup)
        return bool(poll.poll(0))

    def departed(self) -> bool:
        """Whether the peer has ended its stream (or was reset) and left nothing to be read."""
        try:
            return not self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _ready(self, mask: int) -> None:
        if mask & (HANGUP | _ERROR):
            if self._interest & READ:
                mask |= READ  # what came before the end is read first, then the error
            elif not self._interest:
                # Cannot be masked and would spin: listen again when something is wanted.
                self._registered = False
                if self.fd is not None:
                    self._loop.remove(self.fd)
                mask |= HANGUP
            else:
                mask |= WRITE
        if self._on_ready is not None:
            self._on_ready(mask)


class FinishingSocket(SocketSide):
    """Says when it is closed: ``finish`` is called once."""

    __slots__ = ("_finish",)

    def __init__(self, loop: Loop, sock: socket.socket, finish: Callable[[], None]) -> None:
        super().__init__(loop, sock)
        self._finish = finish

    def close(self) -> None:
        if self.fd is not None:
            super().close()
            self._finish()


def reset_on_close(sock: socket.socket) -> None:
    """Make ``close`` send an RST and drop what is queued."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    except OSError:
        pass  # it is gone already


def non_blocking(family: int) -> socket.socket:
    """A new stream socket, with TCP_NODELAY if it is TCP."""
    if _AT_ONCE:
        sock = socket.socket(family, socket.SOCK_STREAM | _AT_ONCE)
    else:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
    if family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def accepted(sock: socket.socket) -> None:
    """What every new connection needs; Linux inherits TCP_NODELAY from the listener."""
    sock.setblocking(False)
    if sock.family != socket.AF_UNIX and not _NODELAY_INHERITED:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def listen(address: Address) -> socket.socket:
    """A non-blocking listener; raises OSError.

    An IPv6 listener takes no IPv4 connections. A UNIX socket's path may be a socket on which
    nobody listens any more: that one is replaced; anything else there is EADDRINUSE.
    """
    if isinstance(address, UnixAddress):
        return _listen_unix(address.path)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def bound_address(sock: socket.socket, asked: Address | Spec) -> Address | Spec:
    """The address with the port that the kernel chose, if it was asked to."""
    if not isinstance(asked, TcpAddress):
        return asked
    return TcpAddress(asked.host, sock.getsockname()[1])


def peer_label(sock: socket.socket, address: object) -> str:
    """Who connected, for people."""
    if isinstance(address, tuple):
        return str(TcpAddress(address[0], address[1]))
    return str(sock.getsockname())


def kernel_path(path: str) -> str:
    """A UNIX path as the kernel takes it: ``@x`` is the abstract name ``\\0x``."""
    return "\0" + path[1:] if path.startswith("@") else path


def bind_unix(sock: socket.socket, path: str) -> None:
    """Bind; a socket on which nobody listens any more is replaced. Raises OSError."""
    try:
        sock.bind(kernel_path(path))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not _is_dead_socket(path):
            raise
        os.unlink(path)
        sock.bind(path)


def _listen_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bind_unix(sock, path)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_dead_socket(path: str) -> bool:
    """A socket file on which nobody listens: its owner was killed."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


_NODELAY_INHERITED = sys.platform.startswith("linux")
