"""The pod's end of a forwarded connection: dials, copies, and ends as containerd 2.4 does.

It never half-closes the pod's socket, and gives the other direction one second when one has ended;
failures are told in containerd's words, which clients are known to read. ``portforward`` has the
wire that the pairs share, and everything that clients see of it.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import socket
import struct
from contextlib import suppress
from typing import Protocol

from ferryman.demo.kubelet.sandbox import Sandbox, Stage
from ferryman.protocols.multiplex import ServerWire

LINGER = 1.0
"""Seconds that one direction may go on after the other has ended (containerd)."""
TICK = 0.01
"""Seconds to which that is rounded up: the ends of many short connections come together, so that
they do not cost as much as the connections themselves.
"""
FRAME = 32768
"""Bytes from the pod in one frame at most, as a node sends them."""
HIGH_WATER = 1 << 20
"""Bytes waiting for a reader on either side before its writer is paused."""

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EALREADY})
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_BUFFER = memoryview(bytearray(262144))
"""What is read is copied into frames before anything else is read: one buffer does for all."""


class Wire(Protocol):
    """What a pair needs of its wire; ``half_close`` carries ends faithfully."""

    machine: ServerWire
    sandbox: Sandbox
    writable: bool
    half_close: bool

    def flush(self) -> None:
        """Write what the machine has to say."""
        ...

    def flush_soon(self) -> None:
        """As ``flush``, once for all who ask in this turn."""
        ...

    def clogged(self, pair: int, state: bool) -> None:
        """The pod does not read, or reads again."""
        ...

    def dial_failed(self) -> None:
        """Count it."""
        ...

    def drop(self, pair: int) -> None:
        """The pair is over."""
        ...


class PodSide:
    """The pod's end of one pair: dials, copies, and ends as containerd does.

    A socket on the event loop, without asyncio's transport: of the time that a connection takes
    here, that and its task were a third (py-spy), which every contender of a bench would pay.
    """

    def __init__(self, wire: Wire, pair: int, port: int) -> None:
        self._wire = wire
        self._pair = pair
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = None
        self._connected = False
        self._unsent = bytearray()
        self._client_over = False
        self._pod_over = False
        self._over = False
        self._timer: asyncio.TimerHandle | None = None

    def dial(self) -> None:
        """Reach the pod's port, or tell the client why not."""
        sandbox = self._wire.sandbox
        match sandbox.stage:
            case Stage.SILENT:
                return  # seen under load: accepted, and never heard of again
            case Stage.CLOSED:
                self._fail(f'network namespace for sandbox "{sandbox.id}" is closed', gone=True)
                return
            case Stage.GONE:
                self._fail(f'failed to find sandbox "{sandbox.id}" in store: not found', gone=True)
                return
            case Stage.UP:
                pass
        try:
            address = sandbox.address(self._port)
            self._sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._sock.setblocking(False)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = self._sock.connect_ex(address)
            if code in _UNDER_WAY:  # on loopback it is through by now, and says so if asked again
                code = self._sock.connect_ex(address)
        except OSError as error:
            self._dialled(error.errno or errno.ECONNREFUSED)
            return
        if code in _UNDER_WAY:
            self._loop.add_writer(self._sock, self._settled, self._sock)
        else:
            self._dialled(0 if code == errno.EISCONN else code)

    def _settled(self, sock: socket.socket) -> None:
        self._loop.remove_writer(sock)
        self._dialled(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _dialled(self, code: int) -> None:
        if code:
            self._fail(_dial_error(self._wire.sandbox, self._port, code))
            return
        self._connected = True
        if self._wire.writable:
            self.resume_reading()
        if self._unsent or self._client_over:
            self._send_unsent()

    # From the client to the pod.

    def write(self, data: memoryview) -> None:
        """Bytes from the client."""
        if self._over:
            return
        if self._connected and not self._unsent and self._sock is not None:
            try:
                data = data[self._sock.send(data) :]
            except BlockingIOError:
                pass
            except OSError as error:
                self._broke(error)
                return
            if data:
                self._loop.add_writer(self._sock, self._send_unsent)
        self._unsent += data
        if len(self._unsent) > HIGH_WATER:
            self._wire.clogged(self._pair, True)

    def client_ended(self, *, reset: bool) -> None:
        """The client's FIN, or its RST, which containerd cannot tell from a FIN."""
        if self._client_over or self._over:
            return
        self._client_over = True
        if not self._wire.half_close:
            self._one_direction_ended()
        elif reset:
            self.abort()
        elif self._pod_over:
            self._succeed()
        elif self._connected and not self._unsent:
            self._half_close()

    def _send_unsent(self) -> None:
        """Go on with what the pod did not take; also after the end, until it has all."""
        sock = self._sock
        if sock is None:
            return
        if self._unsent:
            try:
                del self._unsent[: sock.send(self._unsent)]
            except BlockingIOError:
                pass
            except OSError as error:
                self._broke(error)
                return
        if self._unsent:
            self._loop.add_writer(sock, self._send_unsent)
            return
        self._loop.remove_writer(sock)
        if self._over:
            self._close()
            return
        self._wire.clogged(self._pair, False)
        if self._client_over and self._wire.half_close:
            self._half_close()

    def _half_close(self) -> None:
        if self._sock is not None:
            with suppress(OSError):  # it is gone: reading tells
                self._sock.shutdown(socket.SHUT_WR)

    # From the pod to the client.

    def _readable(self) -> None:
        if self._sock is None:
            return
        try:
            count = self._sock.recv_into(_BUFFER)
        except BlockingIOError:
            return
        except OSError as error:
            self._broke(error)
            return
        if not count:
            self._pod_ended()
            return
        send = self._wire.machine.send
        for start in range(0, count, FRAME):
            send(self._pair, _BUFFER[start : min(start + FRAME, count)])
        self._wire.flush()

    def _pod_ended(self) -> None:
        self.pause_reading()
        self._pod_over = True
        if not self._wire.half_close:
            self._one_direction_ended()
        elif self._client_over:
            self._succeed()
        else:
            self._wire.machine.finish(self._pair)
            self._wire.flush()

    def pause_reading(self) -> None:
        """The client does not read."""
        if self._sock is not None and self._connected:
            self._loop.remove_reader(self._sock)

    def resume_reading(self) -> None:
        """The client reads again."""
        if self._sock is not None and self._connected and not (self._pod_over or self._over):
            self._loop.add_reader(self._sock, self._readable)

    # Both.

    def abort(self) -> None:
        """The wire is gone, or a reset is carried faithfully: RST to the pod."""
        self._unsent.clear()
        if self._sock is not None:
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._finish()
        self._wire.machine.reset(self._pair)

    def _one_direction_ended(self) -> None:
        if self._client_over and self._pod_over:
            self._succeed()
        elif self._timer is None:
            when = math.ceil((self._loop.time() + LINGER) / TICK) * TICK
            self._timer = self._loop.call_at(when, self._succeed)

    def _succeed(self) -> None:
        if not self._over:
            self._finish()
            self._wire.machine.succeed(self._pair)
            self._wire.flush_soon()

    def _broke(self, error: OSError) -> None:
        """The pod reset the connection, or the like."""
        self._unsent.clear()
        if self._over:
            self._close()
        else:
            self._fail(_copy_error(self._wire.sandbox, self._port, error))

    def _fail(self, why: str, *, gone: bool = False) -> None:
        if self._over:
            return
        sandbox = self._wire.sandbox
        self._wire.dial_failed()
        self._unsent.clear()
        self._finish()
        text = f"error forwarding port {self._port} to pod {sandbox.id}, uid : {why}"
        self._wire.machine.fail(self._pair, text, gone=gone)
        self._wire.flush()

    def _finish(self) -> None:
        """The pair is over; its socket once everything is written."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._connected and self._unsent:
            self.pause_reading()
        else:
            self._close()
        self._wire.drop(self._pair)

    def _close(self) -> None:
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()
            self._sock = None


def _dial_error(sandbox: Sandbox, port: int, code: int) -> str:
    where = f'network namespace "{sandbox.namespace}"'
    return (
        f"failed to execute portforward in {where}: failed to connect to localhost:{port} inside "
        f'namespace "{sandbox.namespace}", IPv4: dial tcp4 127.0.0.1:{port}: connect: '
        f"{os.strerror(code).lower()} IPv6 dial tcp6: address localhost: no suitable address found "
    )


def _copy_error(sandbox: Sandbox, port: int, error: OSError) -> str:
    return (
        f'failed to execute portforward in network namespace "{sandbox.namespace}": '
        f"read tcp4 127.0.0.1->127.0.0.1:{port}: read: {os.strerror(error.errno or 0).lower()}"
    )
